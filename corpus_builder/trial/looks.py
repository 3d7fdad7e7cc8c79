"""When a trial is compared: once, or at several numbers of seeds with alpha spread over them.

Invariant: the looks are declared before the first model trains; their levels sum to alpha.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..train.statistics.spending import look_levels

LONGER = 4
"""Undecided arms go on to so many times the recipe's seeds."""

ALPHA = 0.05
"""Chance of any false claim of one kind in a trial, over all its looks."""


@dataclass(frozen=True)
class Look:
    """A comparison after so many seeds, at its own part of alpha."""

    seeds: int
    alpha: float


def one_look(seeds: int, alpha: float) -> tuple[Look, ...]:
    """All of alpha at the end."""
    return (Look(seeds, alpha),)


def looks_until(first: int, last: int, alpha: float) -> tuple[Look, ...]:
    """Looks at `first` seeds, twice as many, and so on, and at `last`.

    Few of them: each costs alpha. The last stretch may be shorter than the one before it.
    """
    seeds, next_ = list[int](), first
    while next_ < last:
        seeds.append(next_)
        next_ *= 2
    seeds.append(max(first, last))
    levels = look_levels(seeds, alpha)
    return tuple(Look(n, level) for n, level in zip(seeds, levels, strict=True))
