"""Fitting a trial to a time."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.store.errors import RecipeError
from corpus_builder.train.statistics.forecast import (
    power_of_difference,
    resolvable_margin,
    smallest_detectable,
)
from corpus_builder.trial.looks import Look, looks_until
from corpus_builder.trial.prospect import (
    ENOUGH_SEEDS,
    MOST_MARGIN,
    Fit,
    Prospect,
    Shape,
    Speed,
    as_one_sample,
    fit,
    margin_of,
    power_at,
    remembered_fit,
)
from corpus_builder.trial.trial import Options, run_trial

SPEED = Speed(tokens_per_second=1_000, processes=2, heldout_tokens=4_500)


def test_runs_go_in_rounds_of_as_many_as_there_are_processes() -> None:
    assert SPEED.seconds(2, 8_000) == 10
    assert SPEED.seconds(3, 8_000) == 20


def test_compiling_is_paid_by_every_run() -> None:
    slow = replace(SPEED, start=7.0)
    assert slow.seconds(3, 8_000) == 34
    for runs, seconds in ((1, 30.0), (5, 60.0)):
        assert slow.seconds(runs, slow.affordable(runs, seconds)) == pytest.approx(seconds)


def test_a_short_time_takes_tokens_first() -> None:
    found = fit(40, SPEED, Shape(2), Fit(3, 50_000, 3), least=1_000)
    assert found.seeds == 3
    assert 10_000 < found.tokens < 13_000
    assert SPEED.seconds(6, found.tokens) <= 40


def test_then_seeds_before_a_run_gets_too_short() -> None:
    assert fit(23, SPEED, Shape(2), Fit(5, 50_000, 5), least=8_000) == Fit(2, 9_500, 2)


def test_a_long_time_buys_seeds() -> None:
    found = fit(100, SPEED, Shape(2), Fit(3, 8_000, 3), least=1_000)
    assert found == Fit(10, 8_000, 10)


def test_models_of_the_checks_cost_as_much_as_arms() -> None:
    wanted = Fit(3, 8_000, 3)
    assert fit(100, SPEED, Shape(2, extra=2), wanted, 1_000) == fit(
        100, SPEED, Shape(4), wanted, 1_000
    )


def test_half_is_kept_for_arms_that_stay_undecided() -> None:
    """10 s are 2 models of 8,000 tokens: 5 seeds of 2 arms take 50 s, 50 s are 10 models more."""
    found = fit(100, SPEED, Shape(2, goes_on=True), Fit(5, 8_000, 5), least=1_000)
    assert found == Fit(5, 8_000, last=10, more=10)
    longer = fit(10_000, SPEED, Shape(2, goes_on=True), Fit(3, 8_000, 3), least=1_000)
    assert longer.last == ENOUGH_SEEDS
    assert longer.more == 2 * (ENOUGH_SEEDS - 3), "no more than the looks allow"


def test_what_is_kept_buys_looks_however_many_seeds_there_are() -> None:
    """30 seeds of 2 arms take 300 s: as many are left for the base and one arm."""
    shape, wanted = Shape(2, goes_on=True), Fit(30, 8_000, 30)
    assert fit(600, SPEED, shape, wanted, least=1_000) == Fit(30, 8_000, last=60, more=60)
    assert fit(10_000, SPEED, shape, wanted, least=1_000).last == 120


def test_too_short_a_time_says_how_long_it_takes() -> None:
    with pytest.raises(RecipeError, match=r"^--budget: 5\.5 s are too few .* give it 24 s"):
        fit(5.5, SPEED, Shape(2), Fit(3, 50_000, 3), least=7_999)


def test_at_most_is_the_sum_of_the_rounds_of_every_stretch_between_looks() -> None:
    """Two arms on 16 processes: each stretch is one round, however few models it has."""
    looks, speed = looks_until(3, 12, 0.05), Speed(10_000, 16, 0)
    power = power_at(looks[-1], 100, 1, 2)
    found = Prospect(6, 6, 18, 2, looks, 1_000_000, speed, power, 0.025, False)
    assert found.seconds_at_most == pytest.approx(3 * found.seconds) == pytest.approx(300)
    # A budget for six models more pays for the stretch to the second look alone.
    assert replace(found, more=6).seconds_at_most == pytest.approx(200)
    assert replace(found, more=0, looks=looks[:1]).seconds_at_most == pytest.approx(100)


def test_what_may_follow_a_first_look_that_is_trained_has_no_cost_that_is_known() -> None:
    looks = looks_until(3, 12, 0.05)
    power = power_at(looks[-1], 100, 1, 2)
    found = Prospect(6, 0, 18, 2, looks, 1_000_000, None, power, 0.025, False)
    assert (found.seconds, found.seconds_at_most) == (0, None)
    assert found.as_json()["models_at_most"] == 24
    assert replace(found, more=0).seconds_at_most == 0


def test_what_was_fitted_is_kept_for_the_same_trial_only(tmp_path: Path) -> None:
    assert remembered_fit(tmp_path, ["a"]) is None
    remembered_fit(tmp_path, ["a"], Fit(4, 1_000, 6, 12))
    assert remembered_fit(tmp_path, ["a"]) == Fit(4, 1_000, 6, 12)
    assert remembered_fit(tmp_path, ["b"]) is None


def test_more_arms_detect_less_and_the_forecast_has_the_stated_power() -> None:
    one, four = (power_at(Look(3, 0.05), 100, arms, 2) for arms in (1, 4))
    assert smallest_detectable(one) < smallest_detectable(four)
    assert smallest_detectable(one) < smallest_detectable(power_at(Look(3, 0.02), 100, 1, 2))
    assert power_of_difference(one, smallest_detectable(one)) == pytest.approx(0.8, abs=1e-6)


@given(st.lists(st.tuples(st.floats(0.01, 1), st.integers(2, 2_000)), min_size=1, max_size=6))
def test_documents_of_several_corpora_count_as_one_sample_that_is_as_sure(
    corpora: list[tuple[float, int]],
) -> None:
    headline = {str(i): weight for i, (weight, _) in enumerate(corpora)}
    documents = {str(i): count for i, (_, count) in enumerate(corpora)}
    total = sum(headline.values())
    variance = sum((w / total) ** 2 / documents[name] for name, w in headline.items())
    assert as_one_sample(headline, documents) == pytest.approx(1 / variance, abs=0.5)


def test_a_corpus_of_little_weight_lends_the_headline_no_certainty() -> None:
    assert as_one_sample({"few": 0.9, "many": 0.1}, {"few": 20, "many": 500}) == 25
    assert as_one_sample({"a": 1, "b": 4}, {"a": 100, "b": 400, "unweighted": 9}) == 500


def test_the_margin_is_what_can_be_resolved_and_never_hides_what_counts() -> None:
    few, many = (power_at(Look(seeds, 0.05), 400, 1, 2) for seeds in (3, 20))
    assert resolvable_margin(few) > MOST_MARGIN == margin_of(few, None)
    assert margin_of(many, None) == resolvable_margin(many) < MOST_MARGIN


@pytest.mark.parametrize("declared", [0.004, 0.5])
def test_a_declared_margin_is_taken_as_it_is(declared: float) -> None:
    assert margin_of(power_at(Look(3, 0.05), 100, 1, 2), declared) == declared


@pytest.mark.parametrize("budget", [0.0, -5.0, math.nan, math.inf])
def test_a_budget_that_is_no_time_is_refused_before_anything_is_planned(budget: float) -> None:
    nothing: Any = SimpleNamespace()
    with pytest.raises(RecipeError, match=r"a budget of .* seconds; above 0"):
        run_trial(nothing, Path("no"), nothing, nothing, Options(budget=budget))
