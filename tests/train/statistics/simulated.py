"""Simulated trials with known truth: seeds, documents and the rest drawn apart, then added.

y = (effect + seed + document + rest) * bytes, the components independent of the bytes, so that the
true difference in bits per byte is `effect` whatever the tails and lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from corpus_builder.train.statistics.components import Estimate, Part, estimate

Generator = np.random.Generator

TAILS: dict[str, Callable[[Generator, tuple[int, ...]], np.ndarray]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "t3": lambda rng, shape: rng.standard_t(3, shape) / np.sqrt(3),
    "skewed": lambda rng, shape: rng.standard_exponential(shape) - 1,
}


@dataclass(frozen=True)
class World:
    """How a trial varies. `lengths`: sd of the log of the documents' bytes."""

    seeds: int
    documents: int = 200
    sd_seeds: float = 0.03
    sd_documents: float = 0.2
    sd_rest: float = 0.1
    tails: str = "t3"
    lengths: float = 0.8


def trial(
    rng: Generator, world: World, replicates: int, effects: np.ndarray, weights: np.ndarray
) -> list[Estimate]:
    """Headlines of all arms, then arms x corpora, with `effects` (arms, corpora) in bits per byte.

    Arms share the base's seed and document noise, and an arm's seed moves all corpora together by
    half, as training runs do; every estimate has leading axis `replicates`.
    """
    arms, corpora = effects.shape
    base_seed = rng.standard_normal((replicates, world.seeds, 1))
    shared = [base_seed + rng.standard_normal(base_seed.shape) for _ in range(arms)]
    heads: list[list[Part]] = [[] for _ in range(arms)]
    for c in range(corpora):
        sizes = np.exp(7.5 + world.lengths * rng.standard_normal((replicates, world.documents)))
        tails = TAILS[world.tails]
        base_document = tails(rng, (replicates, 1, world.documents))
        for a in range(arms):
            own = rng.standard_normal(base_seed.shape)
            seed = world.sd_seeds * (shared[a] / 2 + own / np.sqrt(2))
            document = base_document + tails(rng, base_document.shape)
            rest = rng.standard_normal((replicates, world.seeds, world.documents))
            per_byte = effects[a, c] + seed + world.sd_documents * document / np.sqrt(2)
            difference = (per_byte + world.sd_rest * rest) * sizes[:, None, :]
            heads[a].append(Part(difference, sizes, float(weights[c])))
    each = [estimate([Part(p.differences, p.bytes)]) for parts in heads for p in parts]
    return [estimate(parts) for parts in heads] + each


def comparison(rng: Generator, world: World, replicates: int, effect: float = 0.0) -> Estimate:
    """One arm on one corpus; replicates in slices, for memory."""
    found = []
    for start in range(0, replicates, 1000):
        count = min(1000, replicates - start)
        found.append(trial(rng, world, count, np.array([[effect]]), np.ones(1))[1])
    return Estimate(
        np.concatenate([e.value for e in found]),
        np.concatenate([e.variances for e in found]),
        np.concatenate([e.df for e in found]),
    )


def at_most(count: int, replicates: int, share: float) -> bool:
    """Whether `count` does not refute "probability <= share" (binomial, one in ten thousand)."""
    from scipy.stats import binom

    return bool(binom.sf(count - 1, replicates, share) > 1e-4)
