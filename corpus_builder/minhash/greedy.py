"""Kernels of verification: exact overlaps, the bounds that spare them, and the greedy walk.

Invariant: bounds only spare work. They are adjusted with the very float64 division that decides,
so they never rule out a pair whose Jaccard similarity reaches the threshold. Documents appear in
rank order: row r of `starts`, `ends`, `keeper` and `jaccard` is the document of rank r.
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
Elements = UInt64s | Int32s

_HASHES_IN = nb.types.Array(nb.uint64, 1, "C", readonly=True)
_INTS_IN = nb.types.Array(nb.int64, 1, "C", readonly=True)
_TOKENS_IN = nb.types.Array(nb.int32, 1, "C", readonly=True)
_BEST = nb.types.Tuple((nb.int64, nb.float64))


@njit(nb.int64(nb.int64, nb.float64), cache=True)
def _least_shared(size: int, threshold: float) -> int:
    """The least overlap with which a set of `size` reaches the threshold with any other."""
    least = int(size * threshold)
    while least > 0 and (least - 1) / size >= threshold:
        least -= 1
    while least < size and least / size < threshold:
        least += 1
    return least


@njit(nb.int64(nb.int64, nb.float64), cache=True)
def _least_overlap(total: int, threshold: float) -> int:
    """The least overlap with which two sets, of `total` elements in sum, reach the threshold."""
    least = int(total * threshold / (1.0 + threshold))
    while least > 0 and (least - 1) / (total - least + 1) >= threshold:
        least -= 1
    while least < total and least / (total - least) < threshold:
        least += 1
    return least


@njit(
    [
        nb.int64(_HASHES_IN, nb.int64, nb.int64, nb.int64, nb.int64, nb.int64),
        nb.int64(_TOKENS_IN, nb.int64, nb.int64, nb.int64, nb.int64, nb.int64),
    ],
    cache=True,
)
def _overlap(elements: Elements, i: int, i_end: int, j: int, j_end: int, needed: int) -> int:
    """Size of the intersection of elements[i:i_end] and [j:j_end], or -1 if < `needed`."""
    shared = 0
    while i < i_end and j < j_end:
        if shared + min(i_end - i, j_end - j) < needed:
            return -1
        x, y = elements[i], elements[j]
        shared += int(x == y)
        i += int(x <= y)
        j += int(y <= x)
    return shared if shared >= needed else -1


@njit(nb.float64(_HASHES_IN, _HASHES_IN), cache=True)
def sorted_jaccard(a: UInt64s, b: UInt64s) -> float:
    """Jaccard similarity of two sorted arrays of unique hashes; 0.0 if both are empty."""
    shared, i, j = 0, 0, 0
    while i < len(a) and j < len(b):
        x, y = a[i], b[j]
        shared += int(x == y)
        i += int(x <= y)
        j += int(y <= x)
    union = len(a) + len(b) - shared
    return shared / union if union else 0.0


@njit(nb.boolean(nb.int64, nb.int64, nb.float64), cache=True)
def _sizes_allow(a: int, b: int, threshold: float) -> bool:
    """Whether two sets of these sizes can reach the threshold; two empty ones cannot."""
    return a > 0 and b > 0 and min(a, b) / max(a, b) >= threshold


@njit(
    [
        _BEST(_HASHES_IN, _INTS_IN, _INTS_IN, nb.int64, nb.int64[::1], nb.int64, nb.float64),
        _BEST(_TOKENS_IN, _INTS_IN, _INTS_IN, nb.int64, nb.int64[::1], nb.int64, nb.float64),
    ],
    cache=True,
)
def _best_keeper(
    elements: Elements,
    starts: Int64s,
    ends: Int64s,
    rank: int,
    candidates: Int64s,
    count: int,
    threshold: float,
) -> tuple[int, float]:
    """The most similar of candidates[:count] and the similarity; (-1, 0.0) below the threshold.

    Of equally similar ones, the first by rank.
    """
    best, best_jaccard = -1, threshold
    for c in range(count):
        other = candidates[c]
        total = ends[rank] - starts[rank] + ends[other] - starts[other]
        needed = _least_overlap(total, best_jaccard)
        shared = _overlap(elements, starts[rank], ends[rank], starts[other], ends[other], needed)
        if shared < 0:
            continue
        similarity = shared / (total - shared)
        if best < 0 or similarity > best_jaccard or other < best:
            best, best_jaccard = other, similarity
    return best, (best_jaccard if best >= 0 else 0.0)


@njit(
    nb.int64(
        _HASHES_IN, _INTS_IN, _INTS_IN, nb.float64, nb.int64, nb.int64[::1], nb.float64[::1]
    ),
    cache=True,
)  # fmt: skip
def greedy(
    hashes: UInt64s,
    starts: Int64s,
    ends: Int64s,
    threshold: float,
    budget: int,
    keeper: Int64s,
    jaccard: Float64s,
) -> int:
    """Compare each rank with all kept ones of fitting size; return how many ranks were done."""
    kept, candidates = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64)
    n_kept = 0
    for rank in range(len(starts)):
        size, count = ends[rank] - starts[rank], 0
        for k in range(n_kept):
            other_size = ends[kept[k]] - starts[kept[k]]
            if _sizes_allow(size, other_size, threshold):
                candidates[count] = kept[k]
                count += 1
                budget -= size + other_size
        if budget < 0:
            return rank
        keeper[rank], jaccard[rank] = _best_keeper(
            hashes, starts, ends, rank, candidates, count, threshold
        )
        if keeper[rank] < 0:
            kept[n_kept] = rank
            n_kept += 1
    return len(starts)


@njit(
    nb.types.UniTuple(nb.int64, 2)(
        _TOKENS_IN, nb.int64, nb.int64, _INTS_IN, nb.int64[::1], nb.int32[::1], nb.int64[::1],
        nb.int64[::1],
    ),
    cache=True,
)  # fmt: skip
def _probe(
    tokens: Int32s,
    start: int,
    end: int,
    posting_starts: Int64s,
    posting_ends: Int64s,
    postings: Int32s,
    shared: Int64s,
    candidates: Int64s,
) -> tuple[int, int]:
    """Count the kept documents' shared prefix tokens; return (candidates, postings read)."""
    count = read = 0
    for token in tokens[start:end]:
        read += posting_ends[token] - posting_starts[token]
        for p in range(posting_starts[token], posting_ends[token]):
            other = postings[p]
            if shared[other] == 0:
                candidates[count] = other
                count += 1
            shared[other] += 1
    return count, read


@njit(
    nb.boolean(_TOKENS_IN, _INTS_IN, _INTS_IN, _INTS_IN, nb.int64, nb.int64, nb.int64, nb.float64),
    cache=True,
)
def _may_reach(
    tokens: Int32s,
    starts: Int64s,
    ends: Int64s,
    prefix_ends: Int64s,
    x: int,
    y: int,
    shared: int,
    threshold: float,
) -> bool:
    """Whether two sets that share so many prefix tokens can reach the threshold.

    The one whose prefix ends first has no further match before its end: it shares at most what
    is behind it (positional filter: Xiao et al., "PPJoin", WWW 2008).
    """
    size_x, size_y = ends[x] - starts[x], ends[y] - starts[y]
    if not _sizes_allow(size_x, size_y, threshold):
        return False
    first = x if tokens[prefix_ends[x] - 1] <= tokens[prefix_ends[y] - 1] else y
    most = shared + ends[first] - prefix_ends[first]
    reaches: bool = most >= _least_overlap(size_x + size_y, threshold)
    return reaches


@njit(
    nb.int64(
        _TOKENS_IN, _INTS_IN, _INTS_IN, nb.float64, nb.int64, nb.int64[::1], nb.float64[::1],
        _INTS_IN, _INTS_IN, _INTS_IN,
    ),
    cache=True,
)  # fmt: skip
def greedy_indexed(
    tokens: Int32s,
    starts: Int64s,
    ends: Int64s,
    threshold: float,
    budget: int,
    keeper: Int64s,
    jaccard: Float64s,
    prefix_starts: Int64s,
    prefix_ends: Int64s,
    posting_starts: Int64s,
) -> int:
    """As `greedy`, with candidates from an inverted index over the kept ones' prefixes."""
    postings = np.empty(posting_starts[-1], np.int32)
    posting_ends = posting_starts[:-1].copy()
    shared, candidates = np.zeros(len(starts), np.int64), np.empty(len(starts), np.int64)
    for rank in range(len(starts)):
        start, end = prefix_starts[rank], prefix_ends[rank]
        touched, read = _probe(
            tokens, start, end, posting_starts, posting_ends, postings, shared, candidates
        )
        budget -= read
        count = 0
        for c in range(touched):
            other = candidates[c]
            if _may_reach(tokens, starts, ends, prefix_ends, rank, other, shared[other], threshold):
                candidates[count] = other
                count += 1
                budget -= ends[rank] - starts[rank] + ends[other] - starts[other]
            shared[other] = 0
        if budget < 0:
            return rank
        keeper[rank], jaccard[rank] = _best_keeper(
            tokens, starts, ends, rank, candidates, count, threshold
        )
        if keeper[rank] < 0:
            for token in tokens[start:end]:
                postings[posting_ends[token]] = rank
                posting_ends[token] += 1
    return len(starts)


@njit(
    nb.void(
        nb.int32[::1], _INTS_IN, _INTS_IN, nb.float64, nb.int64, nb.int64[::1], nb.int64[::1],
        nb.int64[::1],
    ),
    cache=True,
)  # fmt: skip
def find_prefixes(
    tokens: Int32s,
    starts: Int64s,
    ends: Int64s,
    threshold: float,
    first_common: int,
    prefix_starts: Int64s,
    prefix_ends: Int64s,
    occurrences: Int64s,
) -> None:
    """Sort each row; find its prefix but for the tokens that no other row has; count the rest."""
    for row in range(len(starts)):
        start, end = starts[row], ends[row]
        tokens[start:end].sort()
        prefix_ends[row] = min(end, end - _least_shared(end - start, threshold) + 1)
        while start < prefix_ends[row] and tokens[start] < first_common:
            start += 1
        prefix_starts[row] = start
        for token in tokens[start : prefix_ends[row]]:
            occurrences[token] += 1
