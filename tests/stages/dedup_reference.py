"""Deduplication by brute force: word n-grams as sets of strings, every pair compared."""

from __future__ import annotations

import re
from collections.abc import Sequence

Shingles = frozenset[tuple[str, ...]]


def shingles(text: str, ngram: int = 5) -> Shingles:
    """The set of n-grams of `\\w+` words, lower-cased; all words where there are fewer than n."""
    words = re.findall(r"\w+", text.lower())
    size = min(len(words), ngram)
    return (
        frozenset(tuple(words[i : i + size]) for i in range(len(words) - size + 1))
        if words
        else frozenset()
    )


def jaccard(one: Shingles, other: Shingles) -> float:
    """True Jaccard similarity; 0 where both are empty."""
    union = len(one | other)
    return len(one & other) / union if union else 0.0


def greedy(texts: Sequence[str], order: Sequence[int], threshold: float) -> dict[int, int]:
    """Dropped document -> the kept one that drops it, in rank order; copies count as similar."""
    sets = [shingles(text) for text in texts]
    kept: list[int] = []
    dropped: dict[int, int] = {}
    for row in order:
        similar = [
            (texts[other] == texts[row] or jaccard(sets[row], sets[other]), -place, other)
            for place, other in enumerate(kept)
            if texts[other] == texts[row] or jaccard(sets[row], sets[other]) >= threshold
        ]
        if similar:
            dropped[row] = max(similar)[2]
        else:
            kept.append(row)
    return dropped
