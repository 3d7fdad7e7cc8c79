"""An optimisation end to end, in this process: what is trained and kept, written and said."""

from __future__ import annotations

import io
import json
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from spine import Inline, code, notes, write_jsonl, write_parquet, write_recipe

pytest.importorskip("torch", reason="models train with torch: pip install '.[trial]'")

from corpus_builder import runner
from corpus_builder.cli.optimise import SwarmWatcher, print_report
from corpus_builder.optimise import answer, choosing, optimise
from corpus_builder.optimise.optimise import fitted, run_optimise, target_of
from corpus_builder.optimise.proxies import SEED, Cost
from corpus_builder.optimise.report import OptimiseReport, write_report
from corpus_builder.plan import Resources
from corpus_builder.recipe import load_recipe
from corpus_builder.report.verify_trial import verify_report
from corpus_builder.store.errors import CorpusError, DataError, RecipeError
from corpus_builder.train import machine
from corpus_builder.trial import trial as trials
from corpus_builder.trial.prospect import Speed

RUNS = 12


def recipe(folder: Path, **mix: Any) -> dict[str, Any]:
    """Two corpora, more notes than code; the target is code."""
    return {
        "name": "tiny",
        "corpora": {
            "notes": {"source": {"jsonl": str(folder / "notes.jsonl")}, "stages": ["dedup"]},
            "code": {"source": {"parquet": str(folder / "code.parquet")}, "stages": []},
        },
        "heldout": {"share": "10%", "max_documents": 8},
        "tokenizer": {"train": {"vocab": 300, "max_bytes": "100KB"}},
        "mix": {"tokens": 6_000, "sequence_length": 64, "sampler": "proportional", **mix},
        "trial": {
            "model": {"layers": 1, "width": 32}, "seeds": 2, "tokens": 1_920,
            "target": {"code": 2}, "arms": {},
        },
    }  # fmt: skip


class _Inline(Inline):
    def __init__(self, folder: Path, workers: int, preload: Sequence[str] = ()) -> None:
        super().__init__(folder, workers)
        self.workers = workers


@dataclass
class Heard:
    """A follower that remembers what it was told."""

    costs: list[Cost] = field(default_factory=list)

    def launched(self, title: str, tasks: int) -> None: ...

    def progressed(self, tasks: int, documents: int, size: int) -> None: ...

    def sealed(self, stage: Any, manifest: Any) -> None: ...

    def expected(self, cost: Cost) -> None:
        self.costs.append(cost)

    def trained(self, runs: int, tokens: int, nats: float) -> None: ...

    def foreseen(self, prospect: Any) -> None: ...

    def looked(self, found: Any) -> None: ...

    def fitting(self) -> None: ...


@pytest.fixture(scope="module", autouse=True)
def _here() -> Any:
    """Tasks in this process, in fp32; few resamples, no trees."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (runner, trials, optimise):
            patch.setattr(module, "LocalEngine", _Inline)
        patch.setattr(machine, "choose_precision", lambda *_, **__: "fp32")
        patch.setattr(answer, "RESAMPLES", 20)
        patch.setattr(choosing, "is_installed", lambda: False)
        yield


@dataclass
class Optimised:
    """An optimisation that has ended."""

    report: OptimiseReport
    cost: Cost
    out: Path

    @property
    def folders(self) -> list[str]:
        """Of its runs."""
        return sorted(path.parent.name for path in (self.out / "trial").glob("*/run.json"))


def optimised(path: Path, out: Path, runs: int = RUNS, **options: Any) -> Optimised:
    """Run one."""
    heard = Heard()
    report = run_optimise(
        load_recipe(path), out, Resources(1, 1 << 30), heard, runs=runs, **options
    )
    return Optimised(report, heard.costs[-1], out)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("documents")
    write_jsonl(folder / "notes.jsonl", notes(200))
    write_parquet(folder / "code.parquet", code(100))
    return recipe(folder)


@pytest.fixture(scope="module")
def done(content: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Optimised:
    out = tmp_path_factory.mktemp("out")
    return optimised(write_recipe(out / "recipe.yaml", content), out)


# --- what is trained -----------------------------------------------------------------------------


def test_every_mix_is_one_run_at_the_swarms_seed(done: Optimised) -> None:
    assert len(done.folders) == len(done.report.mixes) == RUNS
    assert {name.split("-")[2] for name in done.folders} == {str(SEED)}
    assert (done.cost.runs, done.cost.to_train) == (RUNS, RUNS)
    assert done.cost.seconds > 0


def test_no_trial_can_have_the_swarms_seed(content: dict[str, Any], tmp_path: Path) -> None:
    trial = content["trial"] | {"seeds": SEED + 1}
    with pytest.raises(RecipeError, match="seeds"):
        load_recipe(write_recipe(tmp_path / "r.yaml", content | {"trial": trial}))


def test_shares_are_those_that_models_were_trained_on(done: Optimised) -> None:
    """Regressions see what was realised, in whole sequences, not what was asked for."""
    table = pq.read_table(done.out / "optimise" / "swarm.parquet").to_pylist()
    sequences = done.report.settings.steps * done.report.settings.sequences
    assert sequences == 30
    for row, mix in zip(table, done.report.mixes, strict=True):
        assert [row["share.code"], row["share.notes"]] == mix.tolist()
        assert np.allclose(mix * sequences, np.round(mix * sequences))
        manifest = json.loads((done.out / "trial" / row["run"] / "run.json").read_text())
        assert manifest["identity"]["seed"] == SEED


def test_the_same_again_trains_nothing_and_says_the_same(done: Optimised) -> None:
    before = (done.out / "optimise" / "report.json").read_bytes()
    again = optimised(done.out / "recipe.yaml", done.out)
    assert again.cost.to_train == 0
    assert (done.out / "optimise" / "report.json").read_bytes() == before


def test_a_changed_recipe_is_named_by_verify_and_kept_when_it_is_written_anew(
    done: Optimised, tmp_path: Path
) -> None:
    out = tmp_path / "a copy"
    shutil.copytree(done.out, out, symlinks=True)
    entries = json.loads((out / "optimise" / "manifest.json").read_text())["runs"]
    results: Any = [SimpleNamespace(tables=entry.pop("tables")) for entry in entries]
    assert all(len(result.tables) == 64 for result in results)
    runs: Any = [
        SimpleNamespace(name=entry.pop("name"), hash=entry.pop("hash"), identity=entry)
        for entry in entries
    ]
    write_report(out / "optimise", done.report, runs, results)
    assert not [*(out / "optimise").glob("former-*")]
    best = out / "optimise" / "best.yaml"
    written = best.read_text()
    assert f"corpus trial {shlex.quote(str(best))} --out {shlex.quote(str(out))}" in written
    best.write_text(written + "# mine\n")
    found = [c.finding for c in verify_report(out, "optimise") if c.finding]
    assert [finding.where for finding in found] == ["optimise/best.yaml"]
    write_report(out / "optimise", done.report, runs, results)
    assert best.read_text() == written
    (kept,) = (out / "optimise").glob("former-*/best.yaml")
    assert kept.read_text() == written + "# mine\n"


def test_what_was_lost_is_trained_again_and_a_larger_swarm_keeps_the_smaller(
    done: Optimised, tmp_path: Path
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(done.out, out, symlinks=True)
    for name in done.folders[:2]:
        shutil.rmtree(out / "trial" / name)
    more = optimised(out / "recipe.yaml", out, RUNS + 3)
    assert more.cost.to_train <= 5
    assert set(done.folders) <= set(more.folders)
    (former,) = (out / "optimise").glob("former-*")
    assert {path.name for path in former.iterdir()} == {
        "best.yaml", "manifest.json", "report.json", "swarm.parquet",
    }  # fmt: skip
    for name in ("best.yaml", "report.json"):
        assert (former / name).read_bytes() == (done.out / "optimise" / name).read_bytes()


def test_the_recipes_own_weights_need_not_fit(
    content: dict[str, Any], done: Optimised, tmp_path: Path
) -> None:
    """Nine tenths of code are more than there is."""
    out = tmp_path / "copy"
    shutil.copytree(done.out, out, symlinks=True)
    has = done.report.available
    sequences = (sum(has.values()) + has["code"]) // 2
    assert 0.9 * sequences > has["code"]
    mix = {"tokens": 64 * sequences, "sequence_length": 64, "max_epochs": 1,
           "weights": {"notes": 1, "code": 9}}  # fmt: skip
    report = optimised(write_recipe(out / "heavy.yaml", content | {"mix": mix}), out).report
    assert report.weights["code"] <= has["code"] / sequences
    assert report.room.most == pytest.approx([has[n] / sequences for n in ("code", "notes")], 1e-9)


# --- what is found and written -------------------------------------------------------------------


def test_more_of_the_target_is_chosen_than_there_is(done: Optimised) -> None:
    report = done.report
    assert report.weights["code"] > report.natural["code"] + 0.1
    assert sum(report.weights.values()) == pytest.approx(1)
    assert report.effects["code"]["code"].value < 0 < report.effects["code"]["notes"].value


def test_the_recipe_written_is_the_users_with_other_weights_and_a_trial(done: Optimised) -> None:
    found, mine = load_recipe(done.report.path), load_recipe(done.out / "recipe.yaml")
    assert (found.name, found.corpora) == ("tiny-best", found.corpora)
    assert found.mix.weights == done.report.weights
    assert found.mix.sampler is None
    assert [c.to_canonical() for c in found.corpora.values()] == [
        c.to_canonical() for c in mine.corpora.values()
    ]
    assert found.trial.arms == {
        "natural": {"mix.weights": done.report.natural},
        "uniform": {"mix.weights": done.report.uniform},
    }
    head = done.report.path.read_text("utf-8").split("\nname:")[0].splitlines()
    assert all(line.startswith("#") for line in head)
    assert any("corpus trial" in line for line in head)


def test_its_trial_runs_at_other_seeds_and_agrees(done: Optimised) -> None:
    report = trials.run_trial(
        load_recipe(done.report.path), done.out, Resources(1, 1 << 30), Heard()
    )
    assert report.arms == ["base", "natural", "uniform"]
    assert report.of_arm("natural")["headline"].difference > 0
    seeds = {name.rsplit("-", 2)[1] for name in done.folders if not name.startswith("mix-")}
    assert seeds == {"0", "1"}


def test_the_terminal_shows_mix_effects_and_what_to_run_next(done: Optimised) -> None:
    shown = io.StringIO()
    print_report(Console(file=shown, width=110), done.report, done.out)
    text = shown.getvalue()
    for part in ("natural", "chosen", "5-95 %", "best for: 100% code", "held-out text", "corpus"):
        assert part in text
    assert f"corpus trial {done.report.path} --out {done.out}" in text.replace("\n", "")


def test_the_watcher_says_what_the_swarm_will_cost() -> None:
    shown = io.StringIO()
    watcher = SwarmWatcher(Console(file=shown, width=110))
    with watcher:
        watcher.expected(Cost(32, 30, 100_000, Speed(2_000.0, 2, 30_000)))
        watcher.trained(1, 100_000, 3e5)
        watcher.fitting()
    assert "32 models on as many mixes, 100,000 tokens each; 2 are trained already" in (
        shown.getvalue()
    )
    assert "2,000 tokens/s in each of 2 processes" in shown.getvalue()
    assert "1 of 30 models trained" in shown.getvalue()


# --- budgets and refusals ------------------------------------------------------------------------


def test_a_budget_gives_up_tokens_then_runs() -> None:
    speed = Speed(1_000.0, 2, 4_500)  # 2 s to score a model
    assert fitted(10_000, speed, (64, 100_000), 20_000) == (64, 100_000)
    assert fitted(32 * 52, speed, (64, 100_000), 20_000) == (64, 50_000)
    assert fitted(20 * 22, speed, (64, 100_000), 20_000) == (40, 20_000)
    with pytest.raises(RecipeError, match="give it 159 s"):
        fitted(100, speed, (64, 100_000), 20_000)


def test_a_budget_is_remembered(done: Optimised, tmp_path: Path) -> None:
    """So that an interrupted optimisation trains the same runs, however fast it goes on."""
    out = tmp_path / "copy"
    shutil.copytree(done.out, out, symlinks=True)
    first = optimised(out / "recipe.yaml", out, budget=1e4)
    (path,) = (out / "optimise" / "budgets").glob("*.json")
    assert json.loads(path.read_text()) == {"runs": RUNS, "tokens": 1_920}
    path.write_text(json.dumps({"runs": RUNS, "tokens": 1_280}))
    again = optimised(out / "recipe.yaml", out, budget=1e4)
    assert (first.cost.to_train, again.cost.tokens) == (0, 1_280)


@pytest.mark.parametrize(
    ("patch", "what"),
    [
        ({"trial": {"model": "1M", "arms": {}}}, "trial.target is missing"),
        ({"trial": {"model": "1M", "target": {"notes": 1}, "arms": {}}, "mix": {
            "tokens": 6000, "sequence_length": 64,
            "stages": [{"until": 0.5, "weights": {"notes": 1, "code": 1}},
                       {"weights": {"notes": 1, "code": 2}}]}}, "not stages"),
        ({"mix": {"tokens": 6000, "sequence_length": 64, "sampler": "proportional", "buckets": {
            "notes": {"by": "n_words", "edges": [50], "times": [1, 2]}}}}, "not buckets"),
        ({"mix": {"tokens": 6000, "sequence_length": 64, "weights": {"notes": 1, "code": 0}}},
         r"^\S+r.yaml:\d+: corpus 'notes' alone leaves nothing to optimise"),
        ({"heldout": {"share": "10%", "texts": {"target": "own.txt"}}},
         r"^\S+r.yaml:\d+: heldout.texts.target: optimise calls"),
    ],
)  # fmt: skip
def test_what_cannot_be_optimised_is_refused(
    content: dict[str, Any], tmp_path: Path, patch: dict[str, Any], what: str
) -> None:
    with pytest.raises(RecipeError, match=what):
        target_of(load_recipe(write_recipe(tmp_path / "r.yaml", content | patch)))


def test_a_lone_corpus_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    alone = content | {"corpora": {"code": content["corpora"]["code"]}}
    with pytest.raises(RecipeError, match="'code' alone leaves nothing to optimise"):
        target_of(load_recipe(write_recipe(tmp_path / "r.yaml", alone)))


def test_a_corpus_cannot_be_called_as_the_mean_of_targets(
    content: dict[str, Any], tmp_path: Path
) -> None:
    """Nothing is built for it: the effects of both would share a row."""
    notes_, code_ = content["corpora"].values()
    trial = content["trial"] | {"target": {"target": 1, "code": 1}}
    named = content | {"corpora": {"target": notes_, "code": code_}, "trial": trial}
    path = write_recipe(tmp_path / "r.yaml", named)
    with pytest.raises(RecipeError, match=r"r.yaml:\d+: corpora.target: .*; rename it"):
        optimised(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_caps_that_leave_one_mix_are_refused_before_training(
    content: dict[str, Any], done: Optimised, tmp_path: Path
) -> None:
    """All data, once: every mix is the natural one."""
    out = tmp_path / "copy"
    shutil.copytree(done.out, out, symlinks=True)
    mix = {"tokens": 64 * sum(done.report.available.values()), "max_epochs": 1}
    path = write_recipe(out / "all.yaml", content | {"mix": content["mix"] | mix})
    with pytest.raises(DataError, match=r"12 mixes come to 1 .*nothing to choose.*lower mix"):
        optimised(path, out)
    assert Optimised(done.report, done.cost, out).folders == done.folders


def test_missing_packages_are_named(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "PACKAGES", ("torch", "no-such-package"))
    path = write_recipe(tmp_path / "r.yaml", content)
    with pytest.raises(CorpusError, match="no-such-package"):
        optimised(path, tmp_path)
