"""A trial end to end: what is trained, what is kept, what is said of which arm."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from spine import corpus, write_recipe
from tokenizers import Tokenizer, models, pre_tokenizers
from trials import HALF, Tried, recipe, tried

from corpus_builder.recipe import load_recipe
from corpus_builder.recipe_trial import HEADLINE
from corpus_builder.runner import unreferenced
from corpus_builder.store.errors import CorpusError, DataError, IntegrityError, RecipeError
from corpus_builder.train.statistics.comparison import Verdict
from corpus_builder.trial import trial, work
from corpus_builder.trial.arms import plan_arms
from corpus_builder.trial.data import allocations_of
from corpus_builder.trial.prospect import Speed, as_one_sample

STRICTER = {"corpora.notes.filter.gopher.n_words.min": 120}
NO_DEDUP = {"corpora.notes.dedup": "off"}


def losses(found: Tried, arm: str) -> np.ndarray[Any, Any]:
    """Bits of every held-out document of an arm, seed by seed."""
    parts = [r for (name, _), r in found.report.results.items() if name == arm]
    return np.stack([np.concatenate([*part.bits.values()]) for part in parts])


# --- one arm with other weights ------------------------------------------------------------------


def test_every_arm_is_trained_with_every_seed_and_kept_by_content(half: Tried) -> None:
    assert [name.rpartition("-")[0] for name in half.folders] == [
        "base-0", "base-1", "half-0", "half-1",
    ]  # fmt: skip


def test_the_verdict_compares_the_means_of_paired_seeds(half: Tried) -> None:
    found = half.report.of_arm("half")
    assert [*found] == [HEADLINE, "notes", "code"]
    for corpus_name in ("notes", "code"):
        bits = {
            arm: [r.bits[corpus_name].sum() / r.bytes[corpus_name].sum()
                  for (name, _), r in half.report.results.items() if name == arm]
            for arm in ("base", "half")
        }  # fmt: skip
        assert found[corpus_name].difference == pytest.approx(
            np.mean(bits["half"]) - np.mean(bits["base"])
        )
        assert half.report.scores["half"][corpus_name].value == pytest.approx(np.mean(bits["half"]))
    parts = {name: found[name].difference for name in ("notes", "code")}
    assert found[HEADLINE].difference == pytest.approx(0.8 * parts["notes"] + 0.2 * parts["code"])


def test_more_of_a_corpus_helps_its_held_out_text(half: Tried) -> None:
    """2.5 times the code, less of the notes: what any sound trial must see."""
    found = half.report.of_arm("half")
    assert found["code"].difference < 0 < found["notes"].difference


def test_models_have_learnt_what_they_are_compared_on(half: Tried) -> None:
    """Below the entropy of knowing nothing: ln 300 nats for each token."""
    for result in half.report.results.values():
        total = sum(part.sum() for part in result.bits.values())
        assert total < 0.8 * result.tokens * np.log2(300)


def test_weights_are_nested_so_that_most_sequences_are_shared(half: Tried) -> None:
    """.8 to .5 moves three tenths of the slots, and no sequence of the others."""
    found = half.report.pairing["half"]
    assert found["nested"]
    assert found["same_sequences"] == pytest.approx(0.7, abs=0.03)


def test_files_hold_what_the_report_says(half: Tried) -> None:
    folder = half.out / "trial"
    report = json.loads((folder / "report.json").read_text())
    assert report == json.loads(json.dumps(half.report.as_json()))
    table = pq.read_table(folder / "measurements.parquet").to_pandas()
    kept = table[(table.arm == "half") & (table.corpus == "code")]
    by_seed = kept.groupby("seed")[["bits", "bytes"]].sum()
    shown = report["arms"]["half"]["bits_per_byte"]["code"]["value"]
    assert (by_seed.bits / by_seed.bytes).mean() == pytest.approx(shown)
    curves = pq.read_table(folder / "curves.parquet").to_pandas()
    assert set(curves.groupby(["arm", "seed"]).size()) == {half.report.settings.steps}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert len(manifest["runs"]) == 4
    assert {run["arm"] for run in manifest["runs"]} == {"base", "half"}
    accounts = manifest["arms"]
    for arm, weights in (("base", (0.8, 0.2)), ("half", (0.5, 0.5))):
        for name, weight in zip(("notes", "code"), weights, strict=True):
            part = accounts[arm][name]
            assert part["requested_weight"] == weight
            assert part["realised_weight"] == pytest.approx(weight, abs=0.02)
            assert part["effective_tokens"] == part["unique_tokens"] == part["tokens"]
        assert sum(part["tokens"] for part in accounts[arm].values()) == 3_200


def test_before_training_it_says_what_it_will_cost_and_see(half: Tried) -> None:
    (prospect,) = half.heard.prospects
    assert (prospect.runs, prospect.to_train, prospect.seeds) == (4, 4, 2)
    assert prospect.seconds > 0
    assert prospect.smallest > 0
    assert not prospect.margin_declared
    assert prospect.design.documents == as_one_sample(half.report.headline, half.report.documents)
    assert prospect.design.documents < sum(half.report.documents.values())
    content = half.report.as_json()
    assert content["margin"] == 0.025 < content["resolvable_margin"] == prospect.resolvable


def test_what_arms_share_is_built_once(half: Tried) -> None:
    """Other weights need nothing but what the base has."""
    stores = [name for name in half.heard.stages if ".tokens-" in name]
    assert len(stores) == 2
    assert len(half.heard.stages) == len(set(half.heard.stages))


def test_a_second_time_nothing_is_trained(half: Tried) -> None:
    before = {path: path.stat().st_mtime_ns for path in (half.out / "trial").rglob("*.parquet")}
    again = tried(json.loads(json.dumps(_content(half))), half.out)
    assert again.heard.launches == []
    assert again.heard.prospects[0].to_train == 0
    assert again.report.as_json() == half.report.as_json()
    runs_before = {p: t for p, t in before.items() if p.parent.name != "trial"}
    assert {path: path.stat().st_mtime_ns for path in runs_before} == runs_before


def test_another_arm_trains_only_itself(half: Tried) -> None:
    content = _content(half)
    content["trial"]["arms"]["even-more"] = {"mix.weights": {"notes": 0.3, "code": 0.7}}
    more = tried(content, half.out)
    assert more.heard.prospects[0].to_train == 2
    assert {name for name in more.folders if name not in half.folders} == {
        name for name in more.folders if name.startswith("even-more")
    }


def _content(found: Tried) -> dict[str, Any]:
    import yaml

    content: dict[str, Any] = yaml.safe_load((found.out / "recipe.yaml").read_text())
    content["trial"]["arms"] = {"half": HALF}
    return content


def test_equal_data_and_seed_give_equal_losses_wherever_they_are_trained(
    half: Tried, documents: Path, tmp_path: Path
) -> None:
    again = tried(recipe(documents, {"half": HALF}), tmp_path)
    for arm in ("base", "half"):
        assert (losses(again, arm) == losses(half, arm)).all()
    assert (losses(half, "base")[0] != losses(half, "base")[1]).all()
    assert again.report.as_json() == half.report.as_json()


# --- resuming ------------------------------------------------------------------------------------


def test_a_run_killed_in_training_goes_on_and_ends_in_the_same_bits(
    half: Tried, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from corpus_builder.train import loop

    advance, steps = loop._Run.advance, []

    def dying(run: Any, tokens: Any, share: float) -> Any:
        steps.append(run.step)
        if len(steps) == 30:
            raise KeyboardInterrupt
        return advance(run, tokens, share)

    monkeypatch.setattr(loop._Run, "advance", dying)
    content = recipe(documents, {"half": HALF})
    with pytest.raises(KeyboardInterrupt):
        tried(content, tmp_path)
    steps.extend([0] * 100)
    before = len(steps)
    again = tried(content, tmp_path)
    probed = min(work.PROBE_STEPS, half.report.settings.steps)
    assert steps[before + probed] > 0, "the first run did not go on from a checkpoint"
    assert again.report.as_json() == half.report.as_json()


def test_a_damaged_run_is_refused(documents: Path, tmp_path: Path) -> None:
    content = recipe(documents, {"half": HALF})
    found = tried(content, tmp_path)
    path = tmp_path / "trial" / found.folders[0] / "documents.parquet"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(IntegrityError, match="delete the folder"):
        tried(content, tmp_path)


# --- comparability -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stages(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """Arms that change a filter, deduplication, and nothing that reaches the tokens."""
    arms = {
        "stricter": STRICTER,
        "no-dedup": NO_DEDUP,
        "same": {"corpora.notes.documents.columns": ["n_words"]},
    }
    return tried(recipe(documents, arms), tmp_path_factory.mktemp("stages"))


def test_an_arm_that_changes_a_filter_is_not_compared_without_a_target(stages: Tried) -> None:
    assert dict(stages.report.apart) == {"stricter": ("notes",)}
    assert "stricter" not in stages.report.scores
    assert not [name for name in stages.folders if name.startswith("stricter")]
    assert stages.report.as_json()["not_comparable"] == {"stricter": ["notes"]}
    assert len([name for name in stages.heard.stages if name.startswith("notes.filter-")]) == 1


def test_an_arm_without_dedup_is_compared(stages: Tried) -> None:
    assert "no-dedup" in stages.report.scores
    found = stages.report.pairing["no-dedup"]
    assert found["aligned"] == ["notes"]
    assert 0.7 < found["same_sequences"] < 1


def test_an_arm_that_reaches_no_token_is_identical_and_not_trained_twice(stages: Tried) -> None:
    same = stages.report.of_arm("same")[HEADLINE]
    assert same.identical
    assert same.verdict is Verdict.EQUIVALENT
    assert not [name for name in stages.folders if name.startswith("same")]


def test_stages_of_arms_are_on_record_until_the_recipe_drops_the_arm(
    stages: Tried, documents: Path
) -> None:
    assert unreferenced(stages.out) == []
    tried(recipe(documents, {"same": {"corpora.notes.documents.columns": ["n_words"]}}), stages.out)
    left = {path.name.partition("-")[0] for path in unreferenced(stages.out)}
    assert "notes.guard" in left
    assert "heldout" not in left
    models = {path.name for path in unreferenced(stages.out) if path.parent.name == "trial"}
    assert models == {name for name in stages.folders if name.startswith("no-dedup")}


def test_no_arm_trains_on_held_out_documents_of_the_base(stages: Tried, documents: Path) -> None:
    """Also where its own deduplication would have held other copies out."""
    (held,) = (stages.out / "stages").glob("heldout-*/data/heldout.parquet")
    texts = set(pq.read_table(held).column("text").to_pylist())
    assert len(list((stages.out / "stages").glob("heldout-*"))) == 1
    tables = list((stages.out / "stages").glob("notes.documents-*/data/*.parquet"))
    assert len(tables) >= 2
    for path in tables:
        assert not texts & set(pq.read_table(path).column("text").to_pylist())


def test_a_declared_target_makes_a_filter_comparable(documents: Path, tmp_path: Path) -> None:
    found = tried(recipe(documents, {"stricter": STRICTER}, target={"code": 1.0}), tmp_path)
    assert not found.report.apart
    assert found.report.headline == {"code": 1.0}
    arm = found.report.of_arm("stricter")
    assert arm[HEADLINE].difference == pytest.approx(arm["code"].difference)


def test_an_arm_with_its_own_tokenizer_is_compared_by_bytes(
    documents: Path, tmp_path: Path
) -> None:
    found = tried(recipe(documents, {"larger": {"tokenizer.train.vocab": 400}}), tmp_path)
    assert found.report.own_tokenizer == ("larger",)
    base, larger = (found.report.results[arm, 0] for arm in ("base", "larger"))
    assert larger.tokens < base.tokens
    assert all((larger.bytes[name] == base.bytes[name]).all() for name in base.bytes)


# --- what is refused -----------------------------------------------------------------------------


def test_an_arm_that_loses_text_is_refused_before_training(documents: Path, tmp_path: Path) -> None:
    path = tmp_path / "lower.json"
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "[SEP]": 1, "the": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(path))
    content = recipe(documents, {"words": {"tokenizer": {"path": str(path), "eos": "[SEP]"}}})
    with pytest.raises(RecipeError, match="arm 'words': the tokenizer does not keep"):
        tried(content, tmp_path / "out")


def test_a_run_that_diverges_is_named(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(_: Any, row: dict[str, Any]) -> None:
        raise DataError(f"training, step {row['step']}", "diverged", do="lower the rate")

    monkeypatch.setattr("corpus_builder.train.loop._Run._check", check)
    said = r"arm '(base|half)', seed \d, training, step 1: diverged; lower the rate"
    with pytest.raises(CorpusError, match=said):
        tried(recipe(documents, {"half": HALF}), tmp_path)


def test_what_the_whole_mix_repeats_is_said_of_each_arm(documents: Path, tmp_path: Path) -> None:
    arms = {
        "more-code": {"mix.weights": {"notes": 0.4, "code": 0.6}},
        "most-code": {"mix.weights": {"notes": 0.05, "code": 0.95}},
    }
    content = recipe(documents, arms)
    content["mix"] |= {"tokens": 150_000, "max_epochs": {"notes": 9, "code": 1.5}}
    warnings = tried(content, tmp_path).report.warnings
    repeats = "arm 'more-code': the mix is 46.9 times as long as a run: corpus 'code' is read 0.0"
    assert any(line.startswith(repeats) for line in warnings)
    cannot = "arm 'most-code': a mix of 150,000 tokens cannot be filled: too little data"
    assert any(line.startswith(cannot) for line in warnings)
    assert not any(line.startswith("the mix is") for line in warnings)  # the base repeats nothing


def test_what_keeps_base_and_arms_from_being_filled_is_said_once(
    documents: Path, tmp_path: Path
) -> None:
    step = {"until": "80%", "weights": {"notes": 0.2, "code": 0.8}}
    stages = [step, {"weights": {"notes": 0.5, "code": 0.5}}]
    others = [step, {"weights": {"notes": 0.4, "code": 0.6}}]
    content = recipe(documents, {"other": {"mix.stages": others}})
    del content["mix"]["weights"]
    content["mix"] |= {
        "tokens": 500_000, "max_epochs": {"notes": 1000, "code": 1}, "on_short": "redistribute",
        "stages": stages,
    }  # fmt: skip
    warnings = tried(content, tmp_path).report.warnings
    cannot = "a mix of 500,000 tokens cannot be filled: stage 2 weighs code, of which the stages be"
    assert [line.startswith(cannot) for line in warnings if "be filled" in line] == [True]


def test_runs_have_the_weights_that_caps_leave_the_whole_mix(
    documents: Path, tmp_path: Path
) -> None:
    """A run is too short for the caps to bind: it would be of a mix that is never made."""
    changes = {"more": {"mix.weights": {"notes": 0.05, "code": 0.95}}}
    content = recipe(documents, changes)
    content["mix"] |= {"weights": {"notes": 0.1, "code": 0.9}, "max_epochs": {"code": 0.25},
                       "on_short": "redistribute"}  # fmt: skip
    content["mix"]["tokens"] = 40_000
    done = tried(content, tmp_path)
    found = plan_arms(load_recipe(done.out / "recipe.yaml"), done.out)
    arms = {arm.name: arm for arm in found}
    tokens = done.report.settings.tokens
    whole = {part.name: part for part in allocations_of(arms["base"], 40_000)}
    assert whole["code"].capped and whole["code"].realised < 0.8
    runs = {name: allocations_of(arm, tokens) for name, arm in arms.items()}
    for part in runs["base"]:
        assert abs(part.realised - whole[part.name].realised) * tokens / 64 < 1
    assert runs["more"] == runs["base"], "in full both are the same mix"


def test_arms_of_which_none_can_be_compared_are_refused_before_anything_is_built(
    documents: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="no arm can be compared"):
        tried(recipe(documents, {"stricter": STRICTER}), tmp_path)
    assert not (tmp_path / "stages").exists()


def test_a_recipe_without_a_trial_is_refused(documents: Path, tmp_path: Path) -> None:
    content = recipe(documents, {})
    del content["trial"]
    with pytest.raises(RecipeError, match="has no trial"):
        tried(content, tmp_path)


def test_a_corpus_too_short_for_an_arm_names_the_arm(documents: Path, tmp_path: Path) -> None:
    arms = {"all-code": {"mix.weights": {"notes": 0, "code": 1}, "mix.max_epochs": 0.01}}
    with pytest.raises(DataError, match="arm all-code"):
        tried(recipe(documents, arms), tmp_path)


def test_too_few_held_out_documents_are_refused(documents: Path, tmp_path: Path) -> None:
    content = recipe(documents, {"half": HALF})
    content["heldout"]["share"] = "0.5%"
    with pytest.raises(DataError, match=r"held-out documents? of .*; raise heldout\.share"):
        tried(content, tmp_path)


def test_without_torch_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "find_spec", lambda name: None if name == "torch" else name)
    with pytest.raises(CorpusError, match=r"corpus-builder\[trial\]"):
        trial.require_packages()


# --- a budget ------------------------------------------------------------------------------------


def test_a_budget_is_fitted_once_and_kept_when_the_trial_goes_on(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 1,000 tokens a second 21 s are 3 seeds of 2 arms of 3,200 tokens."""
    monkeypatch.setattr(trial.Trainer, "speed", lambda self, due: Speed(1_000, 1, 0))
    content = recipe(documents, {"half": HALF})
    first = tried(content, tmp_path, budget=21.0)
    assert (first.report.prospect.seeds, first.report.settings.tokens) == (3, 3_200)
    monkeypatch.setattr(trial.Trainer, "speed", lambda self, due: Speed(9_000, 1, 0))
    again = tried(content, tmp_path, budget=21.0)
    assert again.heard.prospects[0].to_train == 0
    assert again.report.as_json() == first.report.as_json()


# --- the command line ----------------------------------------------------------------------------


def test_the_command_trains_in_processes_of_its_own_and_prints_a_report(
    half: Tried, documents: Path, tmp_path: Path
) -> None:
    """The same bits as in this process, at any number of workers."""
    path = write_recipe(tmp_path / "tiny.yaml", recipe(documents, {"half": HALF}))
    out = tmp_path / "out"
    shutil.copytree(half.out / "trial" / "machines", out / "trial" / "machines")  # fp32 there
    done = corpus("trial", path, "--out", out, "--workers", 2)
    for words in ("bits per byte", "verdict", "half", "4 models"):
        assert words in done.stdout + done.stderr
    again = corpus("trial", path, "--out", out, "--json")
    assert json.loads(again.stdout) == json.loads(json.dumps(half.report.as_json()))
    assert again.stderr == ""
