"""The best mix by a fitted regression: within the caps, and only where the swarm has been.

Invariant: every mix considered is drawn from the distributions that the swarm was drawn from, and
is no farther from the nearest run than the swarm's loneliest run is from its own nearest; caps are
linear, so the mean of such mixes keeps them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .solving import Array
from .swarm import Room, drawn, under_caps

DRAWS = 4096
"""Of each concentration."""

TOP = 16
"""The answer is the mean of so many mixes predicted best. The one best trusts every wiggle of the
regression: trees are steps, and a law's optimum often lies in a corner that one run decided. In
simulated swarms of 32 runs over 7 corpora the mean of 16 costs .001 more than the one best where
the law is true, and 512 cost .03."""


CLOSE = (30.0, 100.0)
"""Concentrations of the draws around a first answer, which make its region finer than the swarm's
own draws."""


def considered(room: Room, mixes: Array, seed: int) -> Array:
    """Mixes to choose from, `[m, k]`: the swarm's own, and draws that it supports.

    Args:
        mixes: of the swarm, `[n, k]`.
        seed: another than the swarm's.
    """
    every = np.concatenate(drawn(room, DRAWS, seed))
    return np.concatenate([mixes, every[_supported(every, mixes)]])


def around(room: Room, mixes: Array, centre: Array, seed: int) -> Array:
    """Draws around one mix that the caps and the swarm allow, `[m, k]`; it is one of them."""
    rng = np.random.default_rng(seed)
    mean = np.maximum(centre, 0.002)
    draws = [rng.dirichlet(mean / mean.sum() * c, DRAWS // 2) for c in CLOSE]
    every = under_caps(np.maximum(np.concatenate(draws), 1e-12), room.most)
    return np.concatenate([centre[None], every[_supported(every, mixes)]])


def _supported(every: Array, mixes: Array) -> npt.NDArray[np.bool_]:
    own = _nearest(mixes, mixes, themselves=True)
    near: npt.NDArray[np.bool_] = _nearest(every, mixes) <= own.max()
    return near


def _nearest(mixes: Array, runs: Array, *, themselves: bool = False) -> Array:
    """Hellinger distance (times a constant) to the nearest run."""
    a, b = np.sqrt(mixes), np.sqrt(runs)
    squares = np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0)
    if themselves:
        np.fill_diagonal(squares, np.inf)
    found: Array = np.sqrt(squares.min(1))
    return found


def best(predicted: Array, mixes: Array, top: int = TOP) -> Array:
    """The mean of the `top` mixes predicted best: `[problems, m]`, `[m, k]` -> `[problems, k]`."""
    top = min(top, len(mixes))
    order = np.argpartition(predicted, top - 1, axis=1)[:, :top]
    found: Array = mixes[order].mean(1)
    return found
