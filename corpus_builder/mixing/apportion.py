"""Whole numbers in proportion to weights: Hamilton's rounding, and filling under caps.

Invariant: all arithmetic is rational, so equal input gives equal counts on every platform.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction


def hamilton(quotas: Mapping[str, Fraction]) -> dict[str, int]:
    """Round quotas to whole numbers of the same sum, each down or up, largest remainders up.

    Ties go to the first name. The sum of the quotas must be whole.
    """
    counts = {name: math.floor(quota) for name, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda name: (counts[name] - quotas[name], name))
    spare = sum(quotas.values(), Fraction(0)) - sum(counts.values())
    for name in by_remainder[: int(spare)]:
        counts[name] += 1
    return counts


def water_fill(
    weights: Mapping[str, Fraction], total: int | Fraction, caps: Mapping[str, int]
) -> dict[str, Fraction]:
    """Quotas min(cap, λ w) that sum to `total`, or to all caps of positive weights if less."""
    quotas = dict.fromkeys(weights, Fraction(0))
    open_ = {name: weight for name, weight in weights.items() if weight > 0}
    left = Fraction(total)
    while open_:
        level = left / sum(open_.values())
        full = [name for name, weight in open_.items() if caps[name] <= level * weight]
        if not full:
            return quotas | scaled(open_, level)
        for name in full:
            quotas[name] = Fraction(caps[name])
            left -= caps[name]
            del open_[name]
    return quotas


def scaled(weights: Mapping[str, Fraction], factor: Fraction | int) -> dict[str, Fraction]:
    """Every weight times the factor."""
    return {name: weight * factor for name, weight in weights.items()}
