"""Warm-up, stable, decay: exact values, one trunk for all budgets."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.store.errors import RecipeError
from corpus_builder.train.schedule import Schedule


def test_values_of_a_linear_decay():
    plan = Schedule((20,), warmup=0.1, decay=0.25)
    rates = [plan.rate(step, 20) for step in range(20)]
    assert rates[:3] == [0.5, 1, 1]
    assert rates[3:15] == [1.0] * 12
    assert rates[15:] == pytest.approx([5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


def test_values_of_a_root_decay():
    plan = Schedule((10,), warmup=0, decay=0.3, shape="1-sqrt")
    rates = [plan.rate(step, 10) for step in range(7, 10)]
    assert rates == pytest.approx([1 - (n / 4) ** 0.5 for n in (1, 2, 3)])


budgets = st.lists(st.integers(1, 5000), min_size=1, max_size=4, unique=True).map(sorted)


@given(budgets, st.floats(0, 0.5), st.floats(0.01, 0.5), st.sampled_from(["linear", "1-sqrt"]))
def test_a_run_rises_stays_and_falls_and_shares_its_trunk(steps, warmup, decay, shape):
    plan = Schedule(tuple(steps), warmup, decay, shape)
    for budget in steps:
        branch = plan.branch_step(budget)
        rates = [plan.rate(step, budget) for step in range(budget)]
        assert all(0 < rate <= 1 for rate in rates)
        assert rates[: plan.warmup_steps] == sorted(rates[: plan.warmup_steps])
        assert set(rates[plan.warmup_steps : branch]) <= {1.0}
        after = [1.0, *rates[branch:]]
        assert all(a > b for a, b in pairwise(after))
        trunk = [plan.rate(step, steps[-1]) for step in range(branch)]
        assert rates[:branch] == trunk[:branch]


@pytest.mark.parametrize("steps", [(), (0,), (5, 5), (7, 3)])
def test_budgets_must_rise(steps):
    with pytest.raises(RecipeError, match="not rising"):
        Schedule(steps)


@pytest.mark.parametrize(("warmup", "decay"), [(-0.1, 0.2), (0.1, 0), (0.6, 0.5)])
def test_shares_must_fit(warmup, decay):
    with pytest.raises(RecipeError, match="add up to at most 1"):
        Schedule((10,), warmup, decay)
