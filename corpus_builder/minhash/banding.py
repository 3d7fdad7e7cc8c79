"""Locality-sensitive hashing of signatures by bands: which documents are worth comparing.

Invariant: two documents share a band's key where their signatures agree in all its rows (other
collisions have probability about 2**-64 a pair and cost a comparison, never a document). Keys
are spread evenly over 64 bits, so their high bits cut a band into partitions of bounded memory.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt
from numba import njit

NO_KEY = np.uint64(0)
"""The key of documents without shingles: never linked."""

Keys = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

_KEYS_IN = nb.types.Array(nb.uint64, 1, "C", readonly=True)
_INDICES_IN = nb.types.Array(nb.int64, 1, "C", readonly=True)
_SIGNATURES_IN = nb.types.Array(nb.uint32, 2, "C", readonly=True)

_LOAD = 0.7
_LEAST_SLOTS = 16
_SLOT_BYTES = 16


@njit(nb.uint64(_SIGNATURES_IN, nb.int64, nb.int64, nb.int64), cache=True)
def _band_key(signatures: npt.NDArray[np.uint32], d: int, band: int, rows: int) -> np.uint64:
    h = np.uint64(band + 1) * np.uint64(0x9E3779B97F4A7C15)
    for k in range(band * rows, band * rows + rows):
        h = (h ^ np.uint64(signatures[d, k])) * np.uint64(0xFF51AFD7ED558CCD)
        h ^= h >> np.uint64(32)
    h *= np.uint64(0xC4CEB9FE1A85EC53)
    h ^= h >> np.uint64(33)
    return h if h != NO_KEY else np.uint64(1)


@njit(nb.void(_SIGNATURES_IN, nb.int64, nb.int64, nb.uint64[:, ::1]), cache=True)
def _all_keys(signatures: npt.NDArray[np.uint32], bands: int, rows: int, out: Keys) -> None:
    for d in range(len(signatures)):
        empty = True
        for k in range(signatures.shape[1]):
            empty = empty and signatures[d, k] == np.uint32(0xFFFFFFFF)
        for band in range(bands):
            out[d, band] = NO_KEY if empty else _band_key(signatures, d, band, rows)


@njit(
    nb.types.UniTuple(nb.int64, 3)(
        nb.uint64[::1], nb.int64[::1], _KEYS_IN, _INDICES_IN, nb.int64, nb.int64,
        nb.int64[::1], nb.int64[::1],
    ),
    cache=True,
)  # fmt: skip
def _insert(
    slots: Keys,
    firsts: Indices,
    keys: Keys,
    indices: Indices,
    start: int,
    room: int,
    a: Indices,
    b: Indices,
) -> tuple[int, int, int]:
    """Insert keys[start:] until `room` new ones are in; return (next, edges, new keys)."""
    mask = np.uint64(len(slots) - 1)
    edges = added = 0
    for i in range(start, len(keys)):
        key = keys[i]
        if key == NO_KEY:
            continue
        slot = key & mask
        while slots[slot] != NO_KEY and slots[slot] != key:
            slot = (slot + np.uint64(1)) & mask
        if slots[slot] == key:
            a[edges], b[edges] = firsts[slot], indices[i]
            edges += 1
        elif added == room:
            return i, edges, added
        else:
            slots[slot], firsts[slot] = key, indices[i]
            added += 1
    return len(keys), edges, added


class BandTable:
    """Keys of one band (or one partition of it) seen so far, each with its first document.

    An open-addressing table of 16 bytes a slot, at most 70 % full; it doubles when that is
    reached, so a good `capacity` (distinct keys expected) saves work and memory.
    """

    def __init__(self, capacity: int) -> None:
        size = max(_LEAST_SLOTS, slots_for(capacity))
        self._slots = np.zeros(size, np.uint64)
        self._firsts = np.empty(size, np.int64)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def add(self, keys: Keys, indices: Indices) -> tuple[Indices, Indices]:
        """Link every document to the first that had its key.

        Args:
            keys: uint64[m] of this band; `NO_KEY` is passed over.
            indices: int64[m], the documents. Added in ascending order over all calls, the first
                document of a key is the lowest.

        Returns:
            a, b int64[e]: `a` first had the key of `b`.
        """
        keys = np.ascontiguousarray(keys, np.uint64)
        indices = np.ascontiguousarray(indices, np.int64)
        if len(keys) != len(indices):
            raise ValueError(f"{len(keys)} keys for {len(indices)} documents")
        a, b = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
        done = edges = 0
        while done < len(keys):
            room = int(len(self._slots) * _LOAD) - self._used
            done, more, added = _insert(
                self._slots, self._firsts, keys, indices, done, room, a[edges:], b[edges:]
            )
            edges, self._used = edges + more, self._used + added
            if done < len(keys):
                self._double()
        return a[:edges].copy(), b[:edges].copy()

    def _double(self) -> None:
        full = self._slots != NO_KEY
        keys, firsts = self._slots[full], self._firsts[full]
        self._slots = np.zeros(2 * len(self._slots), np.uint64)
        self._firsts = np.empty(len(self._slots), np.int64)
        none = np.empty(0, np.int64)
        _insert(self._slots, self._firsts, keys, firsts, 0, len(keys), none, none)


def slots_for(capacity: int) -> int:
    """Slots a `BandTable` needs for so many distinct keys: a power of two."""
    return 1 << max(0, int(capacity / _LOAD)).bit_length()


def table_bytes(capacity: int) -> int:
    """Bytes a `BandTable(capacity)` takes; choose the number of partitions by it."""
    return max(_LEAST_SLOTS, slots_for(capacity)) * _SLOT_BYTES


def band_keys(signatures: npt.NDArray[np.uint32], bands: int, rows: int) -> Keys:
    """Key of every band of every signature (Indyk & Motwani, 1998; Leskovec et al., ch. 3.4).

    Args:
        signatures: uint32[n, k], k >= bands * rows; the first bands * rows values are used.

    Returns:
        uint64[n, bands]; `NO_KEY` where a document has no shingles. Bands have different keys
        for equal rows.
    """
    if bands < 1 or rows < 1 or bands * rows > signatures.shape[1]:
        raise ValueError(f"{bands} bands of {rows} rows; signatures have {signatures.shape[1]}")
    out = np.empty((len(signatures), bands), np.uint64)
    _all_keys(np.ascontiguousarray(signatures), bands, rows, out)
    return out


def in_partition(keys: Keys, partition: int, partitions: int) -> npt.NDArray[np.bool_]:
    """Which keys belong to `partition` of `partitions`, by their high 32 bits: bool[m]."""
    high = keys >> np.uint64(32)
    part = (high * np.uint64(partitions)) >> np.uint64(32)
    inside: npt.NDArray[np.bool_] = part == np.uint64(partition)
    return inside


def edges_of_band(keys: Keys, indices: Indices) -> tuple[Indices, Indices]:
    """Edges of one band held in memory: `BandTable` over all of it, as a, b int64[e]."""
    return BandTable(len(keys)).add(keys, indices)
