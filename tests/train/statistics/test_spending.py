"""Looks at growing seed counts spend alpha once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import at_most

from corpus_builder.store.errors import RecipeError
from corpus_builder.train.statistics.components import Part, estimate
from corpus_builder.train.statistics.intervals import p_value
from corpus_builder.train.statistics.spending import look_levels

LOOKS = st.lists(st.integers(2, 60), min_size=1, max_size=6, unique=True).map(sorted)


@given(LOOKS, st.floats(0.001, 0.2))
def test_all_looks_together_spend_exactly_alpha(looks: list[int], alpha: float) -> None:
    levels = look_levels(looks, alpha)
    assert len(levels) == len(looks)
    assert min(levels) >= 0
    assert sum(levels) == pytest.approx(alpha)


def test_the_published_spending_function() -> None:
    """Lan & DeMets 1983 at information 1/4, 1/2, 3/4, 1."""
    pocock = np.cumsum(look_levels([4, 8, 12, 16], 0.05))
    assert pocock == pytest.approx([0.01787, 0.03101, 0.04139, 0.05], abs=1e-4)


def test_stopping_at_the_first_difference_does_not_raise_false_claims() -> None:
    """Seeds come in while documents stay; without spending the same looks claim far more."""
    looks, replicates = [3, 4, 6, 9], 4000
    rng = np.random.default_rng(11)
    m = np.ones(40)
    seeds = 0.03 * rng.standard_normal((replicates, looks[-1], 1))
    documents = 0.05 * rng.standard_t(3, (replicates, 1, 40)) / np.sqrt(3)
    rest = 0.1 * rng.standard_normal((replicates, looks[-1], 40))
    y = seeds + documents + rest
    found = [estimate([Part(y[:, :n], m)]) for n in looks]
    p = np.stack([p_value(e.value, e.variances, e.df) for e in found], -1)
    stopped = (p <= look_levels(looks, 0.05)).any(-1)
    assert at_most(int(stopped.sum()), replicates, 0.05)
    assert not at_most(int((p <= 0.05).any(-1).sum()), replicates, 0.05)


@pytest.mark.parametrize("looks", [[], [1, 3], [3, 3], [5, 3]])
def test_looks_that_are_none_are_refused(looks: list[int]) -> None:
    with pytest.raises(RecipeError, match=r"^trial\.looks"):
        look_levels(looks)


def test_alpha_is_checked() -> None:
    with pytest.raises(RecipeError, match=r"^trial\.alpha"):
        look_levels([3], 0.7)
