"""Whatever stops a run and when: the same command goes on and comes to the same bytes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import spine
from interrupted import begun, committed, family, gone, kill_group, start, wait_for
from spine import Built, tree

KILLED_IN = (
    "web.extract", "notes.filter", "notes.dedup.groups", "notes.dedup", "dedup-across.groups",
    "heldout", "notes.guard", "web.documents", "tokenizer", "notes.encode", "code.tokens", "mix",
)  # fmt: skip
"""One stage of every launch of the standard recipe; tests/slow kills in all of them."""


@pytest.fixture(scope="module")
def recipe(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    return spine.write_recipe(path, spine.recipe(inputs))


def test_workers_and_memory_do_not_show_in_any_byte(
    small: Built, recipe: Path, tmp_path: Path
) -> None:
    """Two processes through the command line, against one process with other memory."""
    done = spine.corpus(
        "run", recipe, "--out", tmp_path, "--workers", 2, "--memory", "1600M", "--json"
    )
    assert tree(tmp_path / "stages") == tree(small.out / "stages")
    report = json.loads(done.stdout)
    assert report["units_done"] == small.report.done
    assert sum(report["units_reused"].values()) == 0


def test_killed_in_stage_after_stage_it_goes_on_to_the_same_bytes(
    small: Built, recipe: Path, tmp_path: Path
) -> None:
    """kill -9 of the whole process group, then the same command, twelve times over.

    Each time no process is left, and no unit that was finished is done again.
    """
    stages, finished, inside = tmp_path / "stages", {}, 0
    for place, name in enumerate(KILLED_IN):
        folder = stages / small.plan.stages[name].id
        process = start(recipe, tmp_path, "--workers", 1 + place % 2, "--memory", "1600M")
        assert wait_for(lambda folder=folder: begun(folder), process), f"{name} never began"
        kill_group(process)
        inside += not (folder / "manifest.json").exists()
        now = committed(stages)
        assert finished.items() <= now.items(), f"killed in {name}: finished units were done again"
        finished = now
    assert inside >= len(KILLED_IN) - 2, "kills must hit stages at work, not their ends"
    done = spine.corpus("run", recipe, "--out", tmp_path, "--workers", 2, "--json")
    assert finished.items() <= committed(stages).items()
    assert tree(stages) == tree(small.out / "stages")
    report = json.loads(done.stdout)
    for name, manifest in small.manifests.items():
        mine = [path for path in finished if path.startswith(f"{manifest.stage}/")]
        assert report["units_done"].get(name, 0) == len(manifest.units) - len(mine), name
        assert report["units_reused"][name] == len(mine), name


def test_a_killed_worker_is_an_engine_error_that_names_the_shard(
    small: Built, recipe: Path, tmp_path: Path
) -> None:
    process = start(recipe, tmp_path, "--workers", 2, "--memory", "1600M")
    boards = tmp_path / ".engine" / "boards"

    def at_work() -> list[tuple[int, str]]:
        """(pid, label) of workers with a task of `web`, whose extraction takes longest."""
        found = []
        for path in boards.glob("*/running/*"):
            try:
                lines = (path.parents[1] / "tasks.jsonl").read_text().splitlines()
                pid = path.read_text()
            except FileNotFoundError:  # the task ended meanwhile
                continue
            label = json.loads(lines[int(path.name)])["label"]
            if label.startswith("web, ") and pid:
                found.append((int(pid), label))
        return found

    assert wait_for(at_work, process)
    processes = family(process)
    pid, label = at_work()[0]
    os.kill(pid, signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 6, said
    assert label in said and "run the same command again" in said
    assert wait_for(lambda: gone(processes))
    spine.corpus("run", recipe, "--out", tmp_path, "--workers", 2)
    assert tree(tmp_path / "stages") == tree(small.out / "stages")


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)]
)
def test_an_interrupt_or_termination_ends_everything(
    recipe: Path, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    process = start(recipe, tmp_path, "--workers", 2, "--memory", "1600M")
    assert wait_for(lambda: begun(tmp_path / "stages"), process)
    processes = family(process)
    process.send_signal(sent)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code
    assert (code < 0) or "run the same command again" in said
    assert wait_for(lambda: gone(processes))


def test_a_task_that_raises_ends_the_command_with_its_exit_code(
    inputs: Path, tmp_path: Path
) -> None:
    """A null where the rule set allows none: found in a worker, told by the command."""
    rules = tmp_path / "bad.yaml"
    rules.write_text(
        "name: bad\nversion: 1\ncite: none\nrules:\n"
        "  x: {keep: n_non_symbol_words / (n_non_symbol_words - n_non_symbol_words) >= 1}\n"
    )
    content = spine.notes_recipe(inputs / "notes" / "*.jsonl", {"filter": [str(rules)]})
    path = spine.write_recipe(tmp_path / "recipe.yaml", content)
    done = spine.corpus("run", path, "--out", tmp_path / "out", "--workers", 2, code=4)
    assert "bad.x" in done.stderr and "on_null" in done.stderr
