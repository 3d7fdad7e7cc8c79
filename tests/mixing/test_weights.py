"""Weights are exact; samplers follow their papers."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from corpus_builder.mixing.allocation import allocate
from corpus_builder.mixing.weights import exact, normalised, proportional, temperature, unimax
from corpus_builder.store.errors import RecipeError

SIZES = st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 10**12), min_size=1)


@pytest.mark.parametrize(
    "written",
    [0.1, np.float64(0.1), Decimal("0.1"), Fraction(1, 10)],
    ids=lambda v: type(v).__name__,
)
def test_a_number_means_what_was_written(written: float) -> None:
    assert exact(written, "w") == Fraction(1, 10)


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf"), Decimal("-inf"), None, "x"])
def test_what_is_no_weight_is_refused_with_its_place(bad: float) -> None:
    with pytest.raises(RecipeError, match=r"^mix\.weights\.web: "):
        exact(bad, "mix.weights.web")


def test_weights_are_scaled_to_one_and_sorted() -> None:
    assert normalised({"b": 3, "a": 0.5}) == {"a": Fraction(1, 7), "b": Fraction(6, 7)}
    assert list(normalised({"b": 1, "a": 1})) == ["a", "b"]
    with pytest.raises(RecipeError, match="no weight is above 0"):
        normalised({"a": 0})


def test_proportional_takes_wished_token_counts_too() -> None:
    assert proportional({"a": 300, "b": 100}) == {"a": Fraction(3, 4), "b": Fraction(1, 4)}


@given(SIZES)
def test_temperature_runs_from_proportional_to_uniform(sizes: dict[str, int]) -> None:
    assert temperature(sizes, 1) == proportional(sizes)
    assert set(temperature(sizes, 0).values()) == {Fraction(1, len(sizes))}


def test_temperature_is_the_power_of_the_size() -> None:
    weights = temperature({"a": 900, "b": 100, "empty": 0}, 0.5)
    assert weights == {"a": Fraction(3, 4), "b": Fraction(1, 4), "empty": 0}
    weights = temperature({"a": 10**9, "b": 10**6}, Fraction(3, 10))
    assert float(weights["a"] / weights["b"]) == pytest.approx(1000**0.3, rel=1e-12)


def test_unimax_is_uniform_where_it_may_be_and_at_the_cap_elsewhere() -> None:
    # 120 to draw: tiny may give 4 * 5 = 20, the other two share 100.
    weights = unimax({"big": 1000, "mid": 500, "tiny": 5}, budget=120, max_epochs=4)
    assert weights == {
        "big": Fraction(50, 120),
        "mid": Fraction(50, 120),
        "tiny": Fraction(20, 120),
    }


@given(SIZES, st.integers(1, 10**12), st.integers(1, 8))
def test_unimax_is_max_min_fair(sizes: dict[str, int], budget: int, epochs: int) -> None:
    weights = unimax(sizes, budget, epochs)
    drawn = min(budget, epochs * sum(sizes.values()))
    uses = {name: weight * drawn for name, weight in weights.items()}
    assert all(uses[name] <= epochs * sizes[name] for name in sizes)
    below_cap = [use for name, use in uses.items() if use < epochs * sizes[name]]
    assert len(set(below_cap)) <= 1
    assert not below_cap or below_cap[0] == max(uses.values())


@given(
    st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 500), min_size=1, max_size=6),
    st.decimals("0.05", 6, places=2),
    st.data(),
)
def test_unimax_fits_its_own_caps(
    sizes: dict[str, int], epochs: Decimal, data: st.DataObject
) -> None:
    caps = {name: math.floor(Fraction(epochs) * size) for name, size in sizes.items()}
    assume(sum(caps.values()) >= len(sizes))
    budget = data.draw(st.integers(len(sizes), sum(caps.values())))
    weights = unimax(sizes, budget, epochs)
    found = allocate(sizes, weights, tokens=budget, sequence_length=1, max_epochs=epochs)
    assert all(part.sequences <= caps[part.name] for part in found)
