"""Holm's step-down over all comparisons of a trial, the declared headline weighing more.

Invariant: the chance that *any* true null of the family is rejected is <= alpha, whatever the
dependence between comparisons (they share seeds, base and documents) (Holm 1979, Scand. J. Stat.
6:65, with weights as in his section 5).

The headline is primary without being a gate: all headlines together hold `headline_share` of alpha,
the corpora the rest. A gate ("corpora only if the headline differs") would hide what mixes mostly
do, better here and worse there with a headline near 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpus_builder.train.statistics.distributions import Floats


@dataclass(frozen=True)
class Family:
    """How alpha is laid over `arms` headlines and `arms` x `corpora` comparisons.

    With one corpus the headline *is* that corpus: `corpora` is then 0 and the headline holds all.
    """

    arms: int
    corpora: int
    headline_share: float = 0.5

    @property
    def headline_weight(self) -> float:
        """Share of alpha of one arm's headline."""
        return (self.headline_share if self.corpora else 1.0) / self.arms

    @property
    def corpus_weight(self) -> float:
        """Share of alpha of one arm on one corpus (0 without corpora)."""
        return (1 - self.headline_share) / (self.arms * self.corpora) if self.corpora else 0.0


def holm(p: Floats, weights: Floats) -> Floats:
    """Weighted Holm-adjusted p-values: comparison i is rejected at alpha where `adjusted <= alpha`.

    In the order of p/w, adjusted_(i) = max over j <= i of p_(j) / w_(j) * (w_(j) + w_(j+1) + ...),
    at most 1.

    Args:
        p: (..., comparisons); `weights`: (comparisons,), all > 0, of any sum.
    """
    ratio = p / weights
    order = np.argsort(ratio, axis=-1, kind="stable")
    left = np.cumsum(weights[order][..., ::-1], -1)[..., ::-1]
    steps = np.maximum.accumulate(np.take_along_axis(ratio, order, -1) * left, -1)
    adjusted = np.empty_like(steps)
    np.put_along_axis(adjusted, order, np.minimum(steps, 1.0), -1)
    return adjusted
