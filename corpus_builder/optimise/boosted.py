"""LightGBM as a regression of the loss on the mix, used where it is installed.

Invariant: one thread and a fixed seed, so the same input gives the same fit. The settings are those
of RegMix (2407.01492) with a quarter of its 1,000 trees at four times its learning rate of .01 (on
its own runs the same Spearman to .1 on average, in a third of the time: resampling fits a thousand
times), and with fewer runs to a leaf in a small swarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from .solving import Array

TREES = 250
SETTINGS: dict[str, Any] = {
    "objective": "regression", "learning_rate": 0.04, "seed": 42, "num_threads": 1,
    "deterministic": True, "force_row_wise": True, "verbosity": -1, "feature_pre_filter": False,
}  # fmt: skip
LEAF = (3, 20)
"""Least runs to a leaf, from 1/16 of the swarm: LightGBM's own 20 would leave 32 runs unsplit."""


def is_installed() -> bool:
    """Whether LightGBM can be imported."""
    return find_spec("lightgbm") is not None


@dataclass(frozen=True)
class BoostedFits:
    """One set of trees a problem."""

    trees: tuple[Any, ...]

    def predict(self, mixes: Array) -> Array:
        return np.stack([tree.predict(mixes, num_threads=1) for tree in self.trees])


class Boosted:
    """Gradient-boosted trees: no form is assumed, so they need many runs."""

    name = "LightGBM"
    by_target = False

    def fit(self, mixes: Array, losses: Array, weights: Array) -> BoostedFits:
        return BoostedFits(tuple(_trees(mixes, y, w) for y, w in zip(losses, weights, strict=True)))


def _trees(mixes: Array, losses: Array, weights: Array) -> Any:
    import lightgbm

    used = weights > 0
    fewest = max(LEAF[0], min(LEAF[1], int(used.sum()) // 16))
    settings = SETTINGS | {"min_data_in_leaf": fewest}
    data = lightgbm.Dataset(mixes[used], losses[used], weight=weights[used], params=settings)
    return lightgbm.train(settings, data, TREES)
