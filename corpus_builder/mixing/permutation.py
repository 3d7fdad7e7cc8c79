"""Keyed permutations of 0..n-1 that are computed, not stored.

Invariant: for every key and n, `position -> index` is a bijection of 0..n-1, the same on every
platform (64-bit integer arithmetic only). A balanced Feistel network over the next power of two is
walked until it lands below n, so an index that stays valid when n changes below the same power of
two keeps its position, unless its walk crossed an index that came or went.

Numba's cache of a function watches that function's file alone, so all callers of `shuffled` are
here: an edit never leaves an old copy inlined elsewhere.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

ROUNDS = 8
MIN_BITS = 6  # below 64 values a Feistel network reaches too few permutations; walking evens it out
_GOLDEN = uint64(0x9E3779B97F4A7C15)
_MUL_1 = uint64(0xBF58476D1CE4E5B9)
_MUL_2 = uint64(0x94D049BB133111EB)


def derive_key(*parts: str | int) -> int:
    """A 64-bit key from its parts: blake2b of their reprs, so that no two lists run together."""
    text = "\0".join(map(repr, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


@njit("uint64(uint64)", cache=True, inline="always")
def mix64(x):  # type: ignore[no-untyped-def]
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014): a bijection of 64-bit words."""
    x = (x ^ (x >> uint64(30))) * _MUL_1
    x = (x ^ (x >> uint64(27))) * _MUL_2
    return x ^ (x >> uint64(31))


@njit("uint64(uint64, uint64, uint64)", cache=True)
def shuffled(position, n, key):  # type: ignore[no-untyped-def]
    """Index at `position` of the permutation of 0..n-1 under `key`; 0 <= position < n, n >= 1."""
    bits = uint64(MIN_BITS)
    while (n - uint64(1)) >> bits:
        bits += uint64(1)
    low = bits >> uint64(1)
    low_mask = (uint64(1) << low) - uint64(1)
    high_mask = (uint64(1) << (bits - low)) - uint64(1)
    x = position
    while True:
        left, right = x >> low, x & low_mask
        round_key = key
        for _ in range(ROUNDS // 2):
            round_key += _GOLDEN
            left ^= mix64(right + round_key) & high_mask
            round_key += _GOLDEN
            right ^= mix64(left + round_key) & low_mask
        x = (left << low) | right
        if x < n:
            return x


@njit("void(uint8[::1], int64[::1], int64[::1], uint64[::1], int32[::1])", cache=True)
def shuffle_uses(corpus, uses, available, keys, epoch):  # type: ignore[no-untyped-def]
    """Split each use into epoch and position, and replace it by the index the epoch puts there."""
    for i in range(corpus.size):
        c = corpus[i]
        n = available[c]
        epoch[i] = uses[i] // n
        key = mix64(keys[c] + np.uint64(epoch[i]))
        uses[i] = np.int64(shuffled(np.uint64(uses[i] % n), np.uint64(n), key))


@njit("int64[::1](int64[::1], int64, uint64)", cache=True)
def _permute(positions, n, key):  # type: ignore[no-untyped-def]
    out = np.empty(positions.size, np.int64)
    for i in range(positions.size):
        out[i] = np.int64(shuffled(np.uint64(positions[i]), np.uint64(n), key))
    return out


def permute(positions: NDArray[np.int64], n: int, key: int) -> NDArray[np.int64]:
    """Indices at `positions` of the permutation of 0..n-1 under a 64-bit `key`.

    Raises:
        IndexError: a position outside 0..n-1.
    """
    positions = np.ascontiguousarray(positions, dtype=np.int64)
    if positions.size and (int(positions.min()) < 0 or int(positions.max()) >= n):
        raise IndexError(f"positions must be in 0..{n - 1}")
    indices: NDArray[np.int64] = _permute(positions, n, np.uint64(key))
    return indices
