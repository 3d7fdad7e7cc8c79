"""Swarms whose truth is known: what the tests of the optimiser share."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from corpus_builder.optimise.choosing import Swarm
from corpus_builder.optimise.swarm import Room, room_of, swarm

Array = NDArray[np.float64]

AVAILABLE = {"books": 4000, "code": 3000, "docs": 6000, "news": 400, "qa": 2500}
HELPS = {"qa": np.array([0.1, 0.05, 0.3, 0.3, 2.0]), "code": np.array([0.05, 2.0, 0.6, 0.0, 0.2])}
"""What a share of each corpus is worth for two targets."""


def room(epochs: int = 4, budget: int = 2000) -> Room:
    """Five corpora, `docs` the largest by far."""
    return room_of(AVAILABLE, dict.fromkeys(AVAILABLE, Fraction(epochs)), [500, budget])


def truth(mixes: Array, target: str) -> Array:
    """Bits per byte: no law of ours exactly (shares to the .9th, and two exponents)."""
    worth = 0.05 + (mixes**0.9) @ HELPS[target]
    found: Array = 1.2 + 0.6 * worth**-0.35 + 0.1 * worth**-0.1
    return found


def measured(mixes: Array, noise: float = 0.01, seed: int = 0) -> Swarm:
    """Losses of both targets with noise, half of each being what is asked for."""
    rng = np.random.default_rng(seed)
    losses = [truth(mixes, target) for target in HELPS]
    return Swarm(
        mixes, np.stack(losses) + rng.normal(0, noise, (2, len(mixes))), np.array([0.5, 0.5])
    )


def mixes(runs: int = 32) -> Array:
    """A swarm over `room`."""
    return swarm(room(), runs, 0)
