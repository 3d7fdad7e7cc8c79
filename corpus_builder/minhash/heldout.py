"""Exact search of a small set of documents: which held-out document is most like this one.

Invariant: no approximation; the best true Jaccard similarity over all held-out documents is
found, by counting shared shingles through an inverted index. Held-out documents without
shingles match nothing here (exact duplicates are found by `digests`).
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt
from numba import njit

UInt64s = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Float64s = npt.NDArray[np.float64]

_HASHES_IN = nb.types.Array(nb.uint64, 1, "C", readonly=True)
_INTS_IN = nb.types.Array(nb.int64, 1, "C", readonly=True)
_IDS_IN = nb.types.Array(nb.int32, 1, "C", readonly=True)

_LEAST_SLOTS = 16
_EMPTY = np.int32(-1)


@njit(nb.void(_HASHES_IN, nb.uint64[::1], nb.int32[::1]), cache=True)
def _fill_table(values: UInt64s, slots: UInt64s, ids: Int32s) -> None:
    """Open addressing: slots[s] = values[ids[s]]; ids[s] is -1 where the slot is empty."""
    mask = np.uint64(len(slots) - 1)
    for i in range(len(values)):
        slot = values[i] & mask
        while ids[slot] != _EMPTY:
            slot = (slot + np.uint64(1)) & mask
        slots[slot], ids[slot] = values[i], i


@njit(nb.int64(_HASHES_IN, _IDS_IN, nb.uint64), cache=True)
def _look_up(slots: UInt64s, ids: Int32s, value: np.uint64) -> int:
    """Id of a hash, or -1."""
    mask = np.uint64(len(slots) - 1)
    slot = value & mask
    while ids[slot] != _EMPTY and slots[slot] != value:
        slot = (slot + np.uint64(1)) & mask
    return int(ids[slot])


@njit(
    nb.void(
        _HASHES_IN, _INTS_IN, _HASHES_IN, _IDS_IN, _INTS_IN, _IDS_IN, _INTS_IN,
        nb.int32[::1], nb.float64[::1],
    ),
    cache=True,
)  # fmt: skip
def _match_all(
    hashes: UInt64s,
    offsets: Int64s,
    slots: UInt64s,
    ids: Int32s,
    posting_starts: Int64s,
    postings: Int32s,
    sizes: Int64s,
    best: Int32s,
    jaccard: Float64s,
) -> None:
    """Nearest held-out document of every document; -1 and 0.0 where none shares a shingle."""
    shared = np.zeros(len(sizes), np.int64)
    for d in range(len(offsets) - 1):
        best[d], jaccard[d] = -1, 0.0
        shared[:] = 0
        for i in range(offsets[d], offsets[d + 1]):
            value = _look_up(slots, ids, hashes[i])
            if value >= 0:
                for p in range(posting_starts[value], posting_starts[value + 1]):
                    shared[postings[p]] += 1
        for h in range(len(sizes)):
            if shared[h] > 0:
                size = offsets[d + 1] - offsets[d]
                similarity = shared[h] / (size + sizes[h] - shared[h])
                if similarity > jaccard[d]:
                    best[d], jaccard[d] = h, similarity


class HeldoutIndex:
    """Inverted index over all shingle hashes of the held-out documents.

    Args:
        hashes: uint64[s], sorted unique hashes of each document.
        offsets: int64[n + 1] into `hashes`.

    It takes about 50 bytes a shingle.
    """

    def __init__(self, hashes: UInt64s, offsets: Int64s) -> None:
        self._sizes = np.diff(offsets)
        documents = np.repeat(np.arange(len(self._sizes), dtype=np.int32), self._sizes)
        self._postings = documents[np.argsort(hashes, kind="stable")]
        values, counts = np.unique(hashes, return_counts=True)
        self._posting_starts = np.concatenate(([0], np.cumsum(counts)))
        size = max(_LEAST_SLOTS, 1 << (2 * len(values)).bit_length())
        self._slots = np.zeros(size, np.uint64)
        self._ids = np.full(size, _EMPTY, np.int32)
        _fill_table(values, self._slots, self._ids)

    def match(self, hashes: UInt64s, offsets: Int64s, threshold: float) -> tuple[Int32s, Float64s]:
        """The most similar held-out document of each of m documents.

        Returns:
            best int32[m], the held-out document (the first of equally similar ones), or -1 where
            none reaches `threshold`; jaccard float64[m], the best similarity, reached or not.
        """
        best, jaccard = np.empty(len(offsets) - 1, np.int32), np.empty(len(offsets) - 1)
        _match_all(
            np.ascontiguousarray(hashes),
            np.ascontiguousarray(offsets),
            self._slots,
            self._ids,
            self._posting_starts,
            self._postings,
            self._sizes,
            best,
            jaccard,
        )
        best[jaccard < threshold] = -1
        return best, jaccard
