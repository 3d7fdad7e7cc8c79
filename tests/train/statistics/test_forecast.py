"""The power promised before training is the power found in training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from simulated import World, comparison

from corpus_builder.store.errors import RecipeError
from corpus_builder.train.statistics.forecast import (
    Design,
    power_of_difference,
    power_of_equivalence,
    resolvable_margin,
    seeds_for_equivalence,
    seeds_needed,
    smallest_detectable,
)
from corpus_builder.train.statistics.intervals import equivalence_p, p_value

PLAN = Design(seeds=5, sd_seeds=0.03, sd_documents=0.2, documents=200)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 50])
@pytest.mark.parametrize("comparisons", [1, 20])
def test_without_document_variance_power_is_the_noncentral_t(seeds: int, comparisons: int) -> None:
    design = Design(seeds, sd_seeds=0.03, sd_documents=0, documents=10, comparisons=comparisons)
    critical = stats.t.isf(0.025 / comparisons, seeds - 1)
    for difference in (0.01, 0.03, 0.1, 0.4):
        exact = stats.nct.sf(critical, seeds - 1, difference / 0.03 * np.sqrt(seeds))
        assert power_of_difference(design, difference) == pytest.approx(exact, abs=2e-4)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("sd_documents", [0.05, 0.3])
def test_simulated_trials_reach_the_forecast(seeds: int, sd_documents: float) -> None:
    world = World(seeds, sd_documents=sd_documents, sd_rest=0, tails="normal", lengths=0)
    design = Design(seeds, 0.03, sd_documents, world.documents)
    for wanted in (0.5, 0.8):
        effect = smallest_detectable(replace(design, power=wanted))
        found = comparison(np.random.default_rng(seeds), world, 2000, effect)
        called = (p_value(found.value, found.variances, found.df) <= 0.05) & (found.value > 0)
        assert called.mean() == pytest.approx(wanted, abs=0.05)
    margin = resolvable_margin(design)
    found = comparison(np.random.default_rng(seeds), world, 2000)
    same = equivalence_p(found.value, margin, found.variances, found.df) <= 0.05
    assert same.mean() == pytest.approx(0.8, abs=0.05)


def test_what_is_detectable_is_detected_with_the_power_asked_for() -> None:
    reach = smallest_detectable(PLAN)
    assert power_of_difference(PLAN, reach) == pytest.approx(0.8, abs=1e-6)
    assert power_of_difference(PLAN, -reach) == power_of_difference(PLAN, reach)
    assert power_of_equivalence(PLAN, resolvable_margin(PLAN)) == pytest.approx(0.8, abs=1e-6)


def test_more_seeds_documents_or_fewer_comparisons_see_more() -> None:
    for better in (
        replace(PLAN, seeds=6),
        replace(PLAN, documents=400),
        replace(PLAN, sd_seeds=0.02),
    ):
        assert smallest_detectable(better) < smallest_detectable(PLAN)
        assert resolvable_margin(better) < resolvable_margin(PLAN)
    assert smallest_detectable(replace(PLAN, comparisons=10)) > smallest_detectable(PLAN)


def test_seeds_needed_is_the_first_number_that_is_enough() -> None:
    needed = seeds_needed(PLAN, 0.06)
    assert needed is not None
    assert power_of_difference(replace(PLAN, seeds=needed), 0.06) >= 0.8
    assert power_of_difference(replace(PLAN, seeds=needed - 1), 0.06) < 0.8
    same = seeds_for_equivalence(PLAN, 0.06)
    assert same is not None
    assert (
        power_of_equivalence(replace(PLAN, seeds=same), 0.06)
        >= 0.8
        > power_of_equivalence(replace(PLAN, seeds=same - 1), 0.06)
    )


def test_many_seeds_follow_the_rule_of_thumb() -> None:
    """n = 7.9 (sd / delta)^2; sd .025 to .036 and delta .005 make 200 to 400."""
    design = replace(PLAN, sd_documents=0)
    for sd in (0.025, 0.036):
        needed = seeds_needed(replace(design, sd_seeds=sd), 0.005)
        assert needed == pytest.approx(7.9 * (sd / 0.005) ** 2, rel=0.02)


def test_no_number_of_seeds_makes_up_for_too_few_documents() -> None:
    assert seeds_needed(replace(PLAN, sd_documents=1.0), 0.1) is None
    assert seeds_for_equivalence(replace(PLAN, sd_documents=1.0), 0.1) is None
    assert seeds_needed(replace(PLAN, sd_documents=1.0, documents=5000), 0.1) is not None
    assert seeds_needed(PLAN, 0.0) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("seeds", 1), ("sd_seeds", -1.0), ("sd_documents", np.inf), ("documents", 1),
     ("comparisons", 0.5), ("alpha", 0.0), ("power", 1.0)],
)  # fmt: skip
def test_a_design_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(RecipeError, match=rf"^trial\.{name}: "):
        replace(PLAN, **{name: value})
