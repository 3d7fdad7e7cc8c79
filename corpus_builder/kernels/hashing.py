"""Exact grouping of byte slices and of keys within one document, by open addressing.

Invariant: two elements share a group only if they are equal; hashes find candidates, comparison
decides. `slots` is one zeroed int64 array for a whole batch: a slot holds generation << 32 | index,
so a new generation empties it without touching it. Documents have fewer than 2**32 elements.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from corpus_builder.kernels.utf8 import BYTES, Bytes, count_chars

SLOTS = types.int64[::1]
INDICES = types.int64[::1]
HASHES = types.uint64[::1]

Indices = NDArray[np.int64]
Hashes = NDArray[np.uint64]

_SEED = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT = np.uint64(32)


@njit(types.uint64(types.uint64), cache=True, nogil=True)
def mix(key: np.uint64) -> np.uint64:
    """Spread a key over all 64 bits (one multiply and two shifts of splitmix64)."""
    key ^= key >> _SHIFT
    key *= _MIX
    return key ^ (key >> _SHIFT)


@njit(types.uint64(BYTES, types.int64, types.int64), cache=True, nogil=True)
def hash_bytes(data: Bytes, start: int, end: int) -> np.uint64:
    """Hash of bytes `[start, end)`, eight at a time."""
    value = _SEED ^ np.uint64(end - start)
    at = start
    while at + 8 <= end:
        word = np.uint64(0)
        for k in range(8):
            word |= np.uint64(data[at + k]) << np.uint64(8 * k)
        value = mix(value ^ word)
        at += 8
    word = np.uint64(0)
    while at < end:
        word = word << np.uint64(8) | np.uint64(data[at])
        at += 1
    return np.uint64(mix(value ^ word))


@njit(
    types.boolean(BYTES, types.int64, types.int64, types.int64, types.int64),
    cache=True,
    nogil=True,
)
def equal_bytes(data: Bytes, a: int, a_end: int, b: int, b_end: int) -> bool:
    """Whether slices `[a, a_end)` and `[b, b_end)` hold the same bytes."""
    if a_end - a != b_end - b:
        return False
    while a < a_end and data[a] == data[b]:
        a += 1
        b += 1
    return a == a_end


@njit(types.int64(types.int64), cache=True, nogil=True)
def slot_mask(n: int) -> int:
    """`size - 1` of the table for n elements: a power of two, at most half full."""
    size = 8
    while size < 2 * n:
        size *= 2
    return size - 1


@njit(
    types.void(BYTES, INDICES, INDICES, types.int64, SLOTS, types.int64, HASHES, INDICES),
    cache=True,
    nogil=True,
)
def group_slices(
    data: Bytes,
    starts: Indices,
    ends: Indices,
    n: int,
    slots: Indices,
    generation: int,
    hashes: Hashes,
    first: Indices,
) -> None:
    """`first[k]` = index of the first of slices 0..n-1 that equals slice k; `hashes` is scratch."""
    mask = slot_mask(n)
    for k in range(n):
        value = hash_bytes(data, starts[k], ends[k])
        hashes[k] = value
        slot = np.int64(value & np.uint64(mask))
        first[k] = k
        while slots[slot] >> 32 == generation:
            other = slots[slot] & 0xFFFFFFFF
            if hashes[other] == value and equal_bytes(
                data, starts[k], ends[k], starts[other], ends[other]
            ):
                first[k] = other
                break
            slot = (slot + 1) & mask
        if first[k] == k:
            slots[slot] = generation << 32 | k


@njit(types.void(HASHES, types.int64, SLOTS, types.int64, INDICES), cache=True, nogil=True)
def group_keys(keys: Hashes, n: int, slots: Indices, generation: int, first: Indices) -> None:
    """`first[k]` = index of the first of `keys[:n]` that equals `keys[k]`."""
    mask = slot_mask(n)
    for k in range(n):
        slot = np.int64(mix(keys[k]) & np.uint64(mask))
        first[k] = k
        while slots[slot] >> 32 == generation:
            other = slots[slot] & 0xFFFFFFFF
            if keys[other] == keys[k]:
                first[k] = other
                break
            slot = (slot + 1) & mask
        if first[k] == k:
            slots[slot] = generation << 32 | k


@njit(
    types.UniTuple(types.int64, 2)(
        BYTES, INDICES, INDICES, types.int64, SLOTS, types.int64, HASHES, INDICES
    ),
    cache=True,
    nogil=True,
)
def count_duplicates(
    data: Bytes,
    starts: Indices,
    ends: Indices,
    n: int,
    slots: Indices,
    generation: int,
    hashes: Hashes,
    first: Indices,
) -> tuple[int, int]:
    """How many of slices 0..n-1 repeat an earlier one, and their characters."""
    group_slices(data, starts, ends, n, slots, generation, hashes, first)
    duplicates = chars = 0
    for k in range(n):
        if first[k] != k:
            duplicates += 1
            chars += count_chars(data, starts[k], ends[k])
    return duplicates, chars
