"""What a design can see, computed before (or after) training: power, seeds, margins.

Invariant: the rule forecast is the rule applied (`intervals.half_width`), integrated over the
distribution of the seed variance's estimate by Gauss-Legendre quadrature; with no document
variance that is the noncentral t exactly. The documents' variance is taken as known.

Paired sd of a difference in bits per byte between seeds, measured on 1M to 4M models:
.025 to .036 (unpaired .16 to .17). So at 3 seeds one comparison sees about .1 bpb, at 10 about .03.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from corpus_builder.store.errors import RecipeError
from corpus_builder.train.statistics.distributions import (
    Floats,
    normal_cdf,
    scaled_chi2_quantiles,
    t_critical,
)
from corpus_builder.train.statistics.intervals import half_width

MOST_SEEDS = 10_000
_NODES = 200
_BISECTIONS = 60


@dataclass(frozen=True)
class Design:
    """A comparison of one arm with the base, as planned.

    Attributes:
        seeds: paired seeds, >= 2.
        sd_seeds: sd of the paired difference between seeds, documents fixed, bits per byte.
        sd_documents: sd of the difference between documents, bits per byte, such that the mean over
            `documents` has standard error sd_documents / sqrt(documents).
        documents: held-out documents.
        comparisons: alpha is divided by this (1 / the comparison's `Family` weight).
        alpha: chance of any false claim of one kind in the trial.
        power: chance wanted that a true claim is made.
    Raises:
        RecipeError: a value out of its range.
    """

    seeds: int
    sd_seeds: float
    sd_documents: float
    documents: int
    comparisons: float = 1.0
    alpha: float = 0.05
    power: float = 0.8

    def __post_init__(self) -> None:
        """Refuse what no formula below could answer."""
        ranges = {
            "seeds": self.seeds >= 2,
            "sd_seeds": 0 <= self.sd_seeds < np.inf and self.sd_seeds + self.sd_documents > 0,
            "sd_documents": 0 <= self.sd_documents < np.inf,
            "documents": self.documents >= 2,
            "comparisons": 1 <= self.comparisons < np.inf,
            "alpha": 0 < self.alpha < 0.5,
            "power": 0.5 <= self.power < 1,
        }
        for name, fine in ranges.items():
            if not fine:
                raise RecipeError(f"trial.{name}", f"{getattr(self, name)} is out of range")

    @property
    def level(self) -> float:
        """Alpha of this one comparison, two-sided."""
        return self.alpha / self.comparisons

    @property
    def variances(self) -> tuple[float, float]:
        """Of the estimated difference: from seeds, from documents."""
        return self.sd_seeds**2 / self.seeds, self.sd_documents**2 / self.documents

    @property
    def standard_error(self) -> float:
        """Of the estimated difference."""
        return float(np.sqrt(sum(self.variances)))


def power_of_difference(design: Design, difference: float) -> float:
    """Chance to call a true `difference` in its true direction (Bonferroni, Holm's first step)."""
    weights, width = _widths(design, design.level)
    called = normal_cdf((abs(difference) - width) / design.standard_error)
    return float(weights @ called)


def power_of_equivalence(design: Design, margin: float, difference: float = 0.0) -> float:
    """Chance to call a true `difference` equivalent within `margin`, by two one-sided tests."""
    weights, width = _widths(design, 2 * design.level)
    room = margin - width
    upper = normal_cdf((room - difference) / design.standard_error)
    lower = normal_cdf((-room - difference) / design.standard_error)
    return float(weights @ np.maximum(upper - lower, 0.0))


def smallest_detectable(design: Design) -> float:
    """The smallest true difference called with the design's power, bits per byte."""
    return _reach(design, lambda x: power_of_difference(design, x))


def resolvable_margin(design: Design) -> float:
    """The smallest margin within which two equal arms are called equivalent with that power.

    Fix it before training, from sds known beforehand: a margin fitted to the measured spread would
    call every noisy trial equivalent.
    """
    return _reach(design, lambda x: power_of_equivalence(design, x))


def seeds_needed(design: Design, difference: float) -> int | None:
    """Seeds to call a true `difference` with the design's power; its own `seeds` are ignored.

    None where no number up to 10,000 is enough; mostly the documents are then too few.
    """
    return _fewest(design, lambda trial: power_of_difference(trial, difference))


def seeds_for_equivalence(design: Design, margin: float) -> int | None:
    """Seeds to call two equal arms equivalent within `margin`; None as in `seeds_needed`."""
    return _fewest(design, lambda trial: power_of_equivalence(trial, margin))


def _widths(design: Design, level: float) -> tuple[Floats, Floats]:
    """Quadrature weights and the half-width at each node, both (nodes,)."""
    weights, scale = _quadrature(design.seeds - 1)
    of_seeds, of_documents = design.variances
    variances = np.stack([of_seeds * scale, np.full_like(scale, of_documents)], -1)
    df = np.array([design.seeds - 1, design.documents - 1])
    return weights, half_width(variances, df, level)


@cache
def _quadrature(df: int) -> tuple[Floats, Floats]:
    x, weights = _nodes()
    return weights / 2, scaled_chi2_quantiles(df, (x + 1) / 2)


@cache
def _nodes() -> tuple[Floats, Floats]:
    return np.polynomial.legendre.leggauss(_NODES)


def _reach(design: Design, power: Callable[[float], float]) -> float:
    """The least x with power(x) >= the wanted one."""
    critical = float(t_critical(min(design.seeds, design.documents) - 1, design.level))
    low, high = 0.0, design.standard_error * critical
    while power(high) < design.power:
        low, high = high, 2 * high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= design.power else (middle, high)
    return high


def _fewest(design: Design, power: Callable[[Design], float]) -> int | None:
    def enough(seeds: int) -> bool:
        return power(replace(design, seeds=seeds)) >= design.power

    low, high = 1, 2
    while not enough(high):
        if high == MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
