"""Exact weights, and the published samplers that propose them.

Invariant: every weight is a `fractions.Fraction` made without binary rounding (0.1 is 1/10), so
nothing downstream that decides a count or an order ever compares floats.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from decimal import Context, Decimal
from fractions import Fraction

from corpus_builder.store.errors import RecipeError, did_you_mean

Number = int | float | Decimal | Fraction

# libmpdec's power is well defined to the last digit on every platform; libm's is not.
_DECIMAL = Context(prec=40)


def exact(value: Number, where: str) -> Fraction:
    """The number as it was written: a float stands for its shortest decimal, so 0.1 is 1/10.

    Raises:
        RecipeError: not a finite number >= 0.
    """
    try:
        if isinstance(value, float):
            number = Fraction(float.__repr__(value))
        elif isinstance(value, Decimal | Fraction):
            number = Fraction(value)
        else:
            number = Fraction(operator.index(value))
    except (ValueError, OverflowError, TypeError) as error:
        raise RecipeError(where, f"{value!r} is not a finite number") from error
    if number < 0:
        raise RecipeError(where, f"{value} is negative", allowed="allowed: numbers >= 0")
    return number


def normalised(weights: Mapping[str, Number], where: str = "weights") -> dict[str, Fraction]:
    """Weights scaled to sum to exactly 1, names sorted.

    Raises:
        RecipeError: a weight that is not a finite number >= 0, or none above 0.
    """
    numbers = {name: exact(weights[name], f"{where}.{name}") for name in sorted(weights)}
    total = sum(numbers.values())
    if total == 0:
        raise RecipeError(where, "no weight is above 0", do="give at least one corpus a weight")
    return {name: number / total for name, number in numbers.items()}


def check_names(given: Mapping[str, object], corpora: Mapping[str, object], where: str) -> None:
    """Raise `RecipeError` unless `given` names every corpus once and nothing else."""
    for name in given:
        if name not in corpora:
            raise RecipeError(where, f"no corpus {name!r}", allowed=did_you_mean(name, corpora))
    missing = sorted(set(corpora) - set(given))
    if missing:
        raise RecipeError(where, f"no value for {', '.join(missing)}", do="write 0 to leave it out")


def proportional(sizes: Mapping[str, int]) -> dict[str, Fraction]:
    """w ∝ n. With token counts that a user wishes for as `sizes`, the weights of that wish."""
    return normalised(sizes, "sizes")


def temperature(sizes: Mapping[str, int], tau: Number) -> dict[str, Fraction]:
    """w ∝ n^τ: τ = 1 is proportional, τ = 0 uniform over corpora that are not empty.

    Computed to 40 decimal digits, the same on every platform.
    """
    power = exact(tau, "tau")
    exponent = _DECIMAL.divide(Decimal(power.numerator), Decimal(power.denominator))
    raised = {
        name: _DECIMAL.power(Decimal(int(n)), exponent) if n > 0 else Decimal(0)
        for name, n in sizes.items()
    }
    return normalised(raised, "sizes")


def unimax(sizes: Mapping[str, int], budget: int, max_epochs: Number) -> dict[str, Fraction]:
    """UniMax (2304.09151, algorithm 1): as uniform as `max_epochs` over each corpus allows.

    Args:
        sizes: tokens (or sequences) of each corpus.
        budget: tokens (or sequences) to be drawn in all, in the unit of `sizes`.
        max_epochs: the most passes over a corpus; a corpus' cap is rounded down, as that of
            `allocate_phases` is.
    """
    limit = exact(max_epochs, "max_epochs")
    left, uses = Fraction(budget), {}
    by_size = sorted(sizes, key=lambda name: (sizes[name], name))
    for done, name in enumerate(by_size):
        cap = Fraction(math.floor(limit * int(sizes[name])))
        uses[name] = min(left / (len(by_size) - done), cap)
        left -= uses[name]
    return normalised(uses, "sizes")
