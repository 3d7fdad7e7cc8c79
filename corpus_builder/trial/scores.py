"""What each arm scores by itself: bits per byte, and minimal pairs.

Invariant: intervals are about new seeds (and for bits per byte new documents), at 95 % each; arms
are compared by their differences, never by these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..recipe_trial import BASE_ARM, HEADLINE
from ..train.statistics.components import Part, estimate
from ..train.statistics.intervals import half_width
from .looks import ALPHA
from .measured import Results
from .runs import Result


@dataclass(frozen=True)
class Score:
    """Bits per byte of an arm on a corpus (or the headline), with its own 95 % interval.

    The interval is about new seeds and new documents; arms are not to be compared by it. `seeds`:
    models it is a mean over; an arm that was decided early has fewer than the base.
    """

    value: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Pairs:
    """A probe's minimal pairs: the share that an arm has right, a mean over seeds.

    Attributes:
        difference: to the base, seeds paired; None for the base.
        interval: of the difference, 95 %, for new seeds on the same pairs; this one alone.
    """

    right: float
    difference: float | None = None
    interval: tuple[float, float] | None = None


def scores_of(
    results: Results, arms: Sequence[str], headline: Mapping[str, float]
) -> dict[str, dict[str, Score]]:
    """Of each arm over all seeds it was trained with."""
    corpora = tuple(results[BASE_ARM, 0].bytes)
    targets = {corpus: {corpus: 1.0} for corpus in corpora}
    if len(corpora) > 1:
        targets = {HEADLINE: dict(headline)} | targets
    found = {}
    for arm in arms:
        runs = [result for (name, _), result in results.items() if name == arm]
        found[arm] = {name: _score(runs, weights) for name, weights in targets.items()}
    return found


def _score(runs: Sequence[Result], weights: Mapping[str, float]) -> Score:
    size = runs[0].bytes
    parts = [
        Part(np.stack([run.bits[c] for run in runs]), size[c].astype(np.float64), weight)
        for c, weight in weights.items()
    ]
    found = estimate(parts)
    width = float(half_width(found.variances, found.df, ALPHA))
    value = float(found.value)
    return Score(value, value - width, value + width, len(runs))


def pairs_of(results: Results, arms: Sequence[str], probe: str) -> dict[str, Pairs]:
    """What each arm makes of a probe's pairs."""
    shares = {
        (arm, seed): result.share_right(probe)
        for (arm, seed), result in results.items()
        if arm in arms
    }
    found = {}
    for arm in arms:
        own = {seed: share for (name, seed), share in shares.items() if name == arm}
        right = float(np.mean(list(own.values())))
        if arm == BASE_ARM:
            found[arm] = Pairs(right)
            continue
        differences = np.array([share - shares[BASE_ARM, seed] for seed, share in own.items()])
        variance = np.array([differences.var(ddof=1) / len(differences)])
        df = np.array([len(differences) - 1.0])
        width, middle = float(half_width(variance, df, ALPHA)), float(differences.mean())
        interval = max(middle - width, -1.0), min(middle + width, 1.0)
        found[arm] = Pairs(right, middle, interval)
    return found
