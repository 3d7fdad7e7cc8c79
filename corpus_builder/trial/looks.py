"""When a trial is compared: once, or at several numbers of seeds with alpha spread over them.

Invariant: the looks are declared before the first model trains; their levels sum to alpha.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..train.statistics.spending import look_levels

if TYPE_CHECKING:
    from .report import ArmVerdict

LONGER = 4
"""Undecided arms go on to so many times the recipe's seeds."""

ALPHA = 0.05
"""Chance of any false claim of one kind in a trial, over all its looks."""


@dataclass(frozen=True)
class Look:
    """A comparison after so many seeds, at its own part of alpha."""

    seeds: int
    alpha: float


@dataclass(frozen=True)
class Looked:
    """What a look found, and what follows.

    Attributes:
        verdicts: by arm, those of earlier looks too.
        models: until the next look; 0 where no arm goes on, or none fits.
        to_train: of them, not trained yet.
        seconds: that training them takes; 0 where no speed was measured.
    """

    seeds: int
    verdicts: Mapping[str, ArmVerdict]
    models: int
    to_train: int
    seconds: float

    @property
    def undecided(self) -> list[str]:
        """Arms that more seeds may decide."""
        return [arm for arm, found in self.verdicts.items() if found.undecided]


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
