"""Counts in proportion: of the sum that was asked, within caps, ties to the first name."""

from __future__ import annotations

from fractions import Fraction

from corpus_builder.mixing.apportion import hamilton, scaled, water_fill


def test_hamilton_gives_the_spare_to_the_largest_remainders_then_the_first_name() -> None:
    quotas = {"c": Fraction(5, 2), "b": Fraction(5, 2), "a": Fraction(16, 5), "d": Fraction(9, 5)}
    assert hamilton(quotas) == {"a": 3, "b": 3, "c": 2, "d": 2}


def test_water_filling_keeps_to_caps_exactly() -> None:
    weights = {"a": Fraction(1, 2), "b": Fraction(3, 10), "c": Fraction(1, 5)}
    assert water_fill(weights, 100, {"a": 20, "b": 100, "c": 100}) == {"a": 20, "b": 48, "c": 32}
    assert water_fill(weights, 100, {"a": 20, "b": 30, "c": 40}) == {"a": 20, "b": 30, "c": 40}
    assert water_fill({"a": Fraction(1), "b": Fraction(0)}, 5, {"a": 9, "b": 9}) == {"a": 5, "b": 0}


def test_scaled_weights_keep_their_proportions_exactly() -> None:
    third = Fraction(1, 3)
    assert scaled({"a": third, "b": Fraction(0)}, 3) == {"a": 1, "b": 0}
