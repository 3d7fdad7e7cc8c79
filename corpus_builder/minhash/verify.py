"""Who of a component is dropped: greedy by rank, decided by true Jaccard similarity.

Invariant, within what was verified: a document is dropped exactly when a kept document ranked
above it has a Jaccard similarity of at least the threshold with it, and it names the most similar
of those. So no two kept documents reach the threshold.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpus_builder.minhash.greedy import find_prefixes, greedy, greedy_indexed, sorted_jaccard

UInt64s = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Float64s = npt.NDArray[np.float64]

INDEX_FROM = 128
"""Members from which an inverted index pays; below, all kept documents are compared.

Members of 500 shingles, all kept: at 64, 5.4 ms with the index and 2.9 without; at 256, 25 and 43.
"""


class Verdicts(NamedTuple):
    """What became of the m members of a component."""

    keeper: Int32s
    """int32[m]: the member that was kept instead; -1 where the member itself is kept."""
    jaccard: Float64s
    """float64[m]: similarity to the keeper; 0.0 where the member is kept."""
    unverified: npt.NDArray[np.bool_]
    """bool[m]: kept without having been compared, for want of budget."""


def _rare_first(rows: list[UInt64s]) -> tuple[Int32s, int, int]:
    """Elements of all rows as numbers that rise with how many rows have them.

    Returns the tokens int32, row behind row; how many are of one row only; how many there are.
    """
    _, inverse, counts = np.unique(np.concatenate(rows), return_inverse=True, return_counts=True)
    rarity = np.empty(len(counts), np.int32)
    rarity[np.argsort(counts, kind="stable")] = np.arange(len(counts), dtype=np.int32)
    return rarity[inverse], int((counts == 1).sum()), len(counts)


def _verify_indexed(
    rows: list[UInt64s], threshold: float, budget: int, keeper: Int64s, jaccard: Float64s
) -> int:
    """`greedy_indexed` over rows in rank order.

    Prefix filtering (Chaudhuri et al., ICDE 2006; Bayardo et al., WWW 2007): under one order of
    all elements, sets that reach the threshold share one among each one's first
    |x| - least shared + 1. The rarest come first, so that a template's shingles fill no prefix.
    """
    tokens, first_common, distinct = _rare_first(rows)
    ends = np.cumsum([len(row) for row in rows])
    starts = np.concatenate(([0], ends[:-1]))
    prefix_starts, prefix_ends = np.empty_like(starts), np.empty_like(starts)
    occurrences = np.zeros(distinct, np.int64)
    find_prefixes(
        tokens, starts, ends, threshold, first_common, prefix_starts, prefix_ends, occurrences
    )
    postings = np.concatenate(([0], np.cumsum(occurrences)))
    work = (tokens, starts, ends, threshold, budget, keeper, jaccard)
    return int(greedy_indexed(*work, prefix_starts, prefix_ends, postings))


def verify_component(
    hashes: UInt64s,
    offsets: Int64s,
    order: Int64s,
    threshold: float,
    max_comparisons: int,
) -> Verdicts:
    """Decide, for the m members of one component, who is kept and who is dropped for whom.

    Args:
        hashes: uint64[s], each member's sorted unique shingle hashes.
        offsets: int64[m + 1] into `hashes`.
        order: int64[m], the members from the first (kept by preference) to the last.
        threshold: Jaccard similarity from which a document is a near-duplicate, in (0, 1].
        max_comparisons: bound on the work, in comparisons of single hashes (some 3 ns each): a
            pair of documents that the filters leave counts the sum of their sizes. The first
            member that would exceed it, and all ranked below, are kept as unverified.
    """
    if not 0.0 < threshold <= 1.0:
        raise ValueError(f"threshold is {threshold}; it must lie in (0, 1]")
    if not np.array_equal(np.sort(order), np.arange(len(offsets) - 1)):
        raise ValueError(f"order is no permutation of the {len(offsets) - 1} members")
    members = len(order)
    hashes = np.ascontiguousarray(hashes)
    starts, ends = offsets[:-1][order], offsets[1:][order]
    by_rank, similarity = np.full(members, -1, np.int64), np.zeros(members)
    verdict = (threshold, max_comparisons, by_rank, similarity)
    if members < INDEX_FROM:
        done = int(greedy(hashes, starts, ends, *verdict))
    else:
        rows = [hashes[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        done = _verify_indexed(rows, *verdict)
    keeper, jaccard = np.full(members, -1, np.int32), np.zeros(members)
    dropped = by_rank >= 0
    keeper[order[dropped]] = order[by_rank[dropped]]
    jaccard[order] = similarity
    unverified = np.zeros(members, np.bool_)
    unverified[order[done:]] = True
    return Verdicts(keeper, jaccard, unverified)


def jaccard(a: UInt64s, b: UInt64s) -> float:
    """Jaccard similarity of two sets, each a sorted array of unique hashes; 0.0 if both empty."""
    return float(sorted_jaccard(np.ascontiguousarray(a), np.ascontiguousarray(b)))
