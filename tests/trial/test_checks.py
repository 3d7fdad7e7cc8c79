"""What a trial tries on itself, and texts and pairs of a user's own: end to end, on tiny models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from spine import prose
from trials import HALF, Tried, recipe, tried

from corpus_builder.recipe_trial import BASE_ARM, HEADLINE
from corpus_builder.store.errors import DataError, RecipeError
from corpus_builder.train.statistics.comparison import Verdict
from corpus_builder.trial.checks import AA, DAMAGE, damaged, judge_self_tests, judge_slower, slower

STRICTER = {"corpora.notes.filter.gopher.n_words.min": 155}


def own(folder: Path) -> dict[str, str]:
    """Texts of a user's own, and minimal pairs: words in their order or not."""
    parts = [prose(f"own {n}", 40) for n in range(8)]
    (folder / "own-long.md").write_text("\n\n".join(parts[:5]))
    for n, text in enumerate(parts[5:]):
        (folder / f"own-{n}.md").write_text(text)
    good = [prose(f"good {n}", 2) for n in range(20)]
    bad = [" ".join(reversed(line.split())) for line in good]
    kind = ["reversed"] * 12 + ["other"] * 8
    table = pa.table({"sentence_good": good, "sentence_bad": bad, "UID": kind})
    pq.write_table(table, folder / "pairs.parquet")
    return {"texts": str(folder / "own-*.md"), "pairs": str(folder / "pairs.parquet")}


@pytest.fixture(scope="module")
def checked(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """Every check at once, two arms, one of which changes a filter."""
    folder = tmp_path_factory.mktemp("checked")
    files = own(folder)
    arms = {"half": HALF, "stricter": STRICTER}
    content = recipe(
        documents, arms, target={"mine": 1}, pairs={"order": files["pairs"]}, seeds=3, tokens=1_600
    )
    content["heldout"]["texts"] = {"mine": files["texts"]}
    return tried(content, folder / "out", self_test=True, lr_check=True)


# --- self-tests ----------------------------------------------------------------------------------


def test_the_a_a_arm_draws_its_own_data_for_every_seed(checked: Tried) -> None:
    """Same initial weights, same corpora, other sequences in other places."""
    assert checked.report.self_tests is not None
    for seed in range(3):
        base, again = (checked.report.results[arm, seed] for arm in (BASE_ARM, AA))
        assert base.documents.column("bits") != again.documents.column("bits")
    assert not any(c.identical for c in checked.report.self_tests.comparisons)


def test_more_damage_scores_worse_in_order(checked: Tried) -> None:
    tests = checked.report.self_tests
    assert tests is not None
    assert tests.series.damage == (0.0, *DAMAGE)
    assert list(tests.series.means) == sorted(tests.series.means)
    base = [r.bits["mine"].sum() / r.bytes["mine"].sum()
            for (arm, _), r in checked.report.results.items() if arm == BASE_ARM]  # fmt: skip
    assert tests.series.means[0] == pytest.approx(np.mean(base))


def test_a_trial_that_ranks_damage_wrongly_is_void(checked: Tried) -> None:
    results = dict(checked.report.results)
    for seed in range(3):
        worst, sound = (damaged(DAMAGE[-1]), seed), (BASE_ARM, seed)
        results[worst], results[sound] = results[sound], results[worst]
    found = judge_self_tests(results, {"mine": 1.0}, 3)
    assert found.void and "out of order" in found.void[-1]


def test_a_trial_that_calls_the_base_better_than_itself_is_void(checked: Tried) -> None:
    results = dict(checked.report.results)
    for seed in range(3):
        better = results[AA, seed]
        bits = {name: values * 0.5 for name, values in better.bits.items()}
        results[AA, seed] = replace(better, bits=bits)
    found = judge_self_tests(results, {"mine": 1.0}, 3)
    assert found.void and "called better than itself" in found.void[0]


def test_an_a_a_arm_on_the_same_draw_proves_nothing_and_says_so(checked: Tried) -> None:
    results = dict(checked.report.results)
    results |= {(AA, seed): results[BASE_ARM, seed] for seed in range(3)}
    found = judge_self_tests(results, {"mine": 1.0}, 3)
    assert found.void and "bit for bit" in found.void[0]


def test_a_trial_without_arms_can_try_itself_alone(documents: Path, tmp_path: Path) -> None:
    content = recipe(documents, {})
    found = tried(content, tmp_path, self_test=True)
    assert found.report.arms == [BASE_ARM]
    assert found.report.self_tests is not None
    with pytest.raises(RecipeError, match="no arms"):
        tried(content, tmp_path)


def test_a_tenth_of_the_rate_is_not_tried_on_the_base_alone(
    documents: Path, tmp_path: Path
) -> None:
    found = tried(recipe(documents, {}, tokens=1_600), tmp_path, self_test=True, lr_check=True)
    assert found.report.slower == {}
    assert not [name for name in found.folders if name.startswith("slower")]


# --- a tenth of the learning rate ----------------------------------------------------------------


def test_each_arm_is_compared_at_a_tenth_of_the_rate(checked: Tried) -> None:
    assert set(checked.report.slower) == {"half", "stricter"}
    at = {
        arm: [checked.report.results[slower(arm), s].bits["mine"].sum() for s in range(3)]
        for arm in (BASE_ARM, "half")
    }
    size = checked.report.results[BASE_ARM, 0].bytes["mine"].sum()
    expected = (np.mean(at["half"]) - np.mean(at[BASE_ARM])) / size
    assert checked.report.slower["half"].comparison.difference == pytest.approx(expected)
    curve = checked.report.results[slower(BASE_ARM), 0].curve.column("learning_rate").to_numpy()
    usual = checked.report.results[BASE_ARM, 0].curve.column("learning_rate").to_numpy()
    assert curve == pytest.approx(usual / 10)


def test_a_sign_holds_or_turns_where_both_rates_show_one(checked: Tried) -> None:
    """Noise at the trial's own rate has no sign, whatever the lower rate shows."""
    results = checked.report.results
    shown = {arm: found.comparison.p_holm <= 0.05 for arm, found in checked.report.slower.items()}
    assert any(shown.values())
    for arm, there in shown.items():
        difference = checked.report.slower[arm].comparison.difference
        for usual in Verdict:
            sign = {Verdict.BETTER: -1, Verdict.WORSE: 1}.get(usual)
            usually = dict.fromkeys(shown, usual)
            found = judge_slower(results, {"mine": 1.0}, 3, usually)[arm]
            assert found.holds is (difference * sign > 0 if sign and there else None)


# --- texts and pairs of one's own ----------------------------------------------------------------


def test_texts_of_ones_own_make_a_filter_comparable(checked: Tried) -> None:
    assert checked.report.headline == {"mine": 1.0}
    assert not checked.report.apart
    arm = checked.report.of_arm("stricter")
    assert set(arm) == {HEADLINE, "notes", "code", "mine"}
    assert arm[HEADLINE].difference == pytest.approx(arm["mine"].difference)


def test_pieces_of_one_text_are_one_document(checked: Tried) -> None:
    """Else a long file would count as so many independent ones."""
    result = checked.report.results[BASE_ARM, 0]
    rows = result.documents.to_pandas()
    mine = rows[rows.corpus == "mine"]
    assert checked.report.documents["mine"] == mine.doc_id.nunique() == 4
    assert len(mine) > 4
    by_text = mine.groupby("doc_id", sort=False)[["bits", "bytes"]].sum()
    assert result.bits["mine"].tolist() == pytest.approx(by_text.bits.tolist())
    assert result.bytes["mine"].tolist() == by_text.bytes.tolist()


def test_one_text_is_too_few_however_long_it_is(documents: Path, tmp_path: Path) -> None:
    own(tmp_path)
    content = recipe(documents, {"half": HALF}, target={"mine": 1})
    content["heldout"]["texts"] = {"mine": str(tmp_path / "own-long.md")}
    with pytest.raises(RecipeError, match=r"heldout\.texts\.mine: texts in it: 1; at least 2"):
        tried(content, tmp_path / "out")
    assert not (tmp_path / "out" / "stages").exists()


def test_two_texts_alike_are_one(documents: Path, tmp_path: Path) -> None:
    own(tmp_path)
    text = (tmp_path / "own-long.md").read_text()
    (tmp_path / "own-long-2.md").write_text(f"{text} One more.")
    content = recipe(documents, {"half": HALF}, target={"mine": 1})
    content["heldout"]["texts"] = {"mine": str(tmp_path / "own-long*.md")}
    said = r"1 held-out document of 'mine'.*give heldout\.texts\.mine other texts"
    with pytest.raises(DataError, match=said):
        tried(content, tmp_path / "out")


def test_what_holds_too_little_out_to_be_scored_is_said(documents: Path, tmp_path: Path) -> None:
    own(tmp_path)
    content = recipe(documents, {"half": HALF}, tokens=1_600)
    content["heldout"]["texts"] = {"mine": str(tmp_path / "own-long.md")}
    report = tried(content, tmp_path / "out").report
    assert set(report.documents) == {"notes", "code"}
    assert "'mine' is not scored: 1 held-out text, and 2 are the least" in report.warnings


def test_pairs_are_counted_by_phenomenon_and_compared_seed_by_seed(checked: Tried) -> None:
    table = pq.read_table(checked.out / "trial" / "pairs.parquet").to_pandas()
    assert set(table.phenomenon) == {"reversed", "other"}
    base = table[(table.arm == BASE_ARM)].groupby("seed")[["pairs", "right"]].sum()
    half = table[(table.arm == "half")].groupby("seed")[["pairs", "right"]].sum()
    assert (base.pairs == 20).all()
    found = checked.report.pairs["order"]
    assert found[BASE_ARM].right == pytest.approx((base.right / base.pairs).mean())
    shares = half.right / half.pairs - base.right / base.pairs
    assert found["half"].difference == pytest.approx(shares.mean())
    low, high = found["half"].interval or (0, 0)
    width = 4.3027 * shares.std(ddof=1) / np.sqrt(3)  # t at 97.5 %, 2 degrees of freedom
    assert (high - low) / 2 == pytest.approx(width, rel=1e-4)


def test_the_report_holds_all_of_it(checked: Tried) -> None:
    report: dict[str, Any] = json.loads((checked.out / "trial" / "report.json").read_text())
    assert report["self_tests"]["series"]["damage"] == [0.0, *DAMAGE]
    assert report["arms"]["half"]["slower_rate"]["holds"] in (True, False, None)
    assert set(report["arms"]["half"]["minimal_pairs"]) == {"order"}
    runs = {run["arm"] for run in json.loads(
        (checked.out / "trial" / "manifest.json").read_text())["runs"]}  # fmt: skip
    assert {AA, damaged(0.2), slower("half")} <= runs


def test_pairs_that_are_not_there_are_refused_with_their_place(
    documents: Path, tmp_path: Path
) -> None:
    content = recipe(documents, {"half": HALF}, pairs={"order": str(tmp_path / "no.parquet")})
    with pytest.raises(RecipeError, match=r"trial\.pairs\.order: there is no file"):
        tried(content, tmp_path)
    assert not (tmp_path / "stages").exists(), "refused before anything is built"
    (tmp_path / "no.parquet").write_text("no Parquet")
    with pytest.raises(DataError, match="cannot be read"):
        tried(content, tmp_path)


# --- until decided -------------------------------------------------------------------------------


def test_undecided_arms_go_on_alone_and_every_look_has_its_part_of_alpha(
    documents: Path, tmp_path: Path
) -> None:
    """One arm is far off, the other the base but for three sequences."""
    far = {"mix.weights": {"notes": 0.05, "code": 0.95}}
    near = {"mix.weights": {"notes": 0.75, "code": 0.25}}
    content = recipe(
        documents, {"far": far, "near": near}, margin=0.0001, target={"code": 1}, tokens=1_600
    )
    found = tried(content, tmp_path, until_decided=True)
    report = found.report
    assert [look for look, *_ in found.heard.looks] == [2, 4][: len(found.heard.looks)]
    seeds, going_on, models, seconds = found.heard.looks[0]
    assert models == seeds * (1 + len(going_on)) and seconds > 0
    assert sum(look.alpha for look in report.prospect.looks) == pytest.approx(0.05)
    trained = {arm: sum(name == arm for name, _ in report.results) for arm in ("far", "near")}
    for arm, verdict in report.verdicts.items():
        assert verdict.look.seeds == trained[arm]
        assert verdict.terms.alpha == verdict.look.alpha < 0.05
        assert verdict.undecided <= (verdict.look == report.prospect.looks[-1])
    assert min(trained.values()) < 8, "the one that is far off is decided before the end"
    again = tried(content, tmp_path, until_decided=True)
    assert again.heard.prospects[0].to_train == 0
    assert again.report.as_json() == report.as_json()


def test_a_budget_ends_the_looks(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """26 s at a second a model: 4 models up to the first look, then at most 9 more: 4 seeds."""
    from corpus_builder.trial import trial
    from corpus_builder.trial.prospect import Speed

    monkeypatch.setattr(trial.Trainer, "speed", lambda self, due: Speed(1_600, 1, 0))
    content = recipe(
        documents, {"near": {"mix.weights": {"notes": 0.78, "code": 0.22}}}, margin=0.0001
    )
    found = tried(content, tmp_path, until_decided=True, budget=26.0)
    assert len(found.report.results) <= 13
    assert found.report.verdicts["near"].look.seeds in (2, 4, 6)
