"""An order over changed sequences that follows the order over what they were.

A filter or deduplication takes some documents of a corpus away, or leaves more in; the sequences
that both versions have are read in the same places wherever that can be. Invariant: what comes out
is a permutation of the new sequences, and any stretch of it is as fair a draw from them as a
shuffle: those that only the new version has stand at random places, at their rate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .permutation import derive_key, permute

ALIGNMENT_VERSION = 1


def aligned(
    base: NDArray[np.int64], match: NDArray[np.int64], size: int, seed: int, name: str
) -> NDArray[np.int64]:
    """The new sequences in their order.

    Args:
        base: `int64[n]`, the old sequences in their order.
        match: `int64[n]`, of each old sequence the new one that stands for it, or -1; no new one
            stands for two.
        size: new sequences.
        seed, name: select the places of those that stand for none.

    Returns:
        `int64[size]`.
    """
    follows = match[base]
    known = np.zeros(size, bool)
    known[follows[follows >= 0]] = True
    rest = np.flatnonzero(~known)
    order = np.full(size, -1, np.int64)
    key = derive_key(ALIGNMENT_VERSION, seed, name)
    everywhere, among = np.arange(size), np.arange(len(rest))
    places = permute(everywhere, size, key)[: len(rest)] if len(rest) else among
    order[places] = rest[permute(among, len(rest), key)] if len(rest) else rest
    head = order[: min(size, len(base))]
    kept = (head < 0) & (follows[: len(head)] >= 0)
    head[kept] = follows[: len(head)][kept]
    placed = np.zeros(size, bool)
    placed[order[order >= 0]] = True
    waiting = follows[follows >= 0]
    order[order < 0] = waiting[~placed[waiting]]
    return order
