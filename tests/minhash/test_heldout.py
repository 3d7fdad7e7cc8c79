"""The nearest held-out document is found exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_builder.minhash.heldout import HeldoutIndex
from corpus_builder.minhash.shingles import shingle_hashes
from corpus_builder.minhash.verify import jaccard

# Multiples of 2**40 crowd into one slot of the table: probing must go on.
ELEMENTS = st.integers(0, 12) | st.integers(0, 12).map(lambda i: i << 40)
SETS = st.lists(st.sets(ELEMENTS, max_size=12), max_size=8)


def packed(sets: list[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    rows = [np.array(sorted(row), np.uint64) for row in sets]
    ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
    return np.concatenate([np.zeros(0, np.uint64), *rows]), np.concatenate(([0], ends))


def nearest(document: set[int], heldout: list[set[int]]) -> tuple[int, float]:
    likeness = [len(document & h) / len(document | h) if document & h else 0.0 for h in heldout]
    best = max(likeness, default=0.0)
    return (likeness.index(best) if best > 0 else -1), best


@settings(deadline=None, max_examples=150)
@given(SETS, SETS, st.floats(0.05, 1.0))
def test_matches_are_those_of_brute_force(heldout, documents, threshold) -> None:
    best, similarity = HeldoutIndex(*packed(heldout)).match(*packed(documents), threshold)
    expected = [nearest(document, heldout) for document in documents]
    assert similarity.tolist() == [j for _, j in expected]
    assert best.tolist() == [h if j >= threshold else -1 for h, j in expected]


def test_real_documents_against_two_hundred_held_out(shared_data: Path) -> None:
    table = pq.read_table(shared_data / "dedup" / "docs.parquet", columns=["text"])
    texts = table["text"].cast(pa.large_string()).combine_chunks()
    heldout, documents = (
        shingle_hashes(t, 5) for t in (texts.slice(0, 200), texts.slice(200, 800))
    )
    best, similarity = HeldoutIndex(*heldout).match(*documents, 0.5)
    rows = [np.split(hashes, offsets[1:-1]) for hashes, offsets in (heldout, documents)]
    for document, found, likeness in zip(rows[1], best, similarity, strict=True):
        all_likeness = [jaccard(document, h) for h in rows[0]]
        assert likeness == max(all_likeness)
        assert found == (all_likeness.index(likeness) if likeness >= 0.5 else -1)
    assert (best >= 0).any()
