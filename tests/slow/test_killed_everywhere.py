"""kill -9 in every stage of the standard recipe, and at moments drawn by lot.

pytest tests/slow/test_killed_everywhere.py        (half an hour on two cores)
"""

from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path

import pytest
import spine
from interrupted import begun, committed, kill_group, start, wait_for
from spine import Built, tree

# Names of all stages of the standard recipe; the first test says if one is missing.
CHAINS = {
    "web": (
        "extract language.identify language filter.signals filter transform late.signals late "
        "dedup.bands dedup.groups dedup dedup-across.bands dedup-across guard documents encode "
        "tokens"
    ),
    "notes": (
        "read filter.signals filter dedup.bands dedup.groups dedup dedup-across.bands "
        "dedup-across guard documents encode tokens"
    ),
    "code": "read filter.signals filter guard documents encode tokens",
}
STAGES = [f"{corpus}.{name}" for corpus, names in CHAINS.items() for name in names.split()]
STAGES += ["dedup-across.groups", "heldout", "tokenizer", "mix"]


@pytest.fixture(scope="module")
def recipe(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    return spine.write_recipe(path, spine.recipe(inputs))


def below(small: Built, name: str) -> set[str]:
    """A stage and all that reads it."""
    found = {name}
    for stage in small.plan.stages.values():
        if any(above.name in found for above in stage.upstream):
            found.add(stage.name)
    return found


def test_no_stage_is_forgotten(small: Built) -> None:
    assert set(STAGES) == set(small.plan.stages)


@pytest.mark.parametrize("name", STAGES)
def test_killed_inside_a_stage_the_same_command_ends_in_the_same_bytes(
    small: Built, recipe: Path, tmp_path: Path, name: str
) -> None:
    """Everything above the stage is done; the run is killed when it has committed a first unit."""
    out, stages = tmp_path / "out", tmp_path / "out" / "stages"
    shutil.copytree(small.out, out, symlinks=True)
    for stage in below(small, name):
        shutil.rmtree(stages / small.plan.stages[stage].id)
    folder = stages / small.plan.stages[name].id
    process = start(recipe, out, "--workers", 2, "--memory", "1600M")
    assert wait_for(lambda: list(folder.glob("**/records/**/*.json")) or begun(folder), process)
    kill_group(process)
    finished = committed(stages)
    done = spine.corpus("run", recipe, "--out", out, "--workers", 2, "--json")
    assert finished.items() <= committed(stages).items(), "finished units were done again"
    assert tree(stages) == tree(small.out / "stages")
    report = json.loads(done.stdout)
    assert set(report["units_done"]) <= below(small, name) | set(report["units_reused"])


@pytest.mark.parametrize("seed", range(5))
def test_killed_at_random_moments_it_still_ends_in_the_same_bytes(
    small: Built, recipe: Path, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    for _ in range(6):
        process = start(recipe, tmp_path, "--workers", 2, "--memory", "1600M")
        time.sleep(dice.uniform(1.0, 15.0))
        if process.poll() is not None:
            break
        kill_group(process)
    spine.corpus("run", recipe, "--out", tmp_path, "--workers", 2)
    assert tree(tmp_path / "stages") == tree(small.out / "stages")
