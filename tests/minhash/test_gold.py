"""The whole path on 20,001 documents whose similar pairs are all known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus_builder.minhash.banding import band_keys, edges_of_band
from corpus_builder.minhash.components import Components
from corpus_builder.minhash.shingles import shingle_hashes
from corpus_builder.minhash.signatures import signatures
from corpus_builder.minhash.verify import verify_component

BANDS, ROWS, THRESHOLD = 14, 8, 0.8


@dataclass(frozen=True)
class Gold:
    """The pairs a, b (row numbers) with their Jaccard, and what became of every document."""

    a: np.ndarray
    b: np.ndarray
    jaccard: np.ndarray
    keeper: np.ndarray
    similarity: np.ndarray


def deduplicate(texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
    hashes, offsets = shingle_hashes(texts, 5)
    keys = band_keys(signatures(hashes, offsets, BANDS * ROWS), BANDS, ROWS)
    found, documents = Components(len(texts)), np.arange(len(texts))
    for band in range(BANDS):
        found.union(*edges_of_band(keys[:, band], documents))
    roots = found.roots()
    keeper, similarity = np.full(len(texts), -1), np.zeros(len(texts))
    by_root = np.argsort(roots, kind="stable")
    for members in np.split(by_root, np.flatnonzero(np.diff(roots[by_root])) + 1):
        rows = [hashes[offsets[m] : offsets[m + 1]] for m in members]
        bounds = np.concatenate(([0], np.cumsum([len(row) for row in rows])))
        order = np.arange(len(members))
        verdicts = verify_component(np.concatenate(rows), bounds, order, THRESHOLD, 10**12)
        dropped = verdicts.keeper >= 0
        keeper[members[dropped]] = members[verdicts.keeper[dropped]]
        similarity[members] = verdicts.jaccard
    return keeper, similarity


@pytest.fixture(scope="module")
def gold(shared_data: Path) -> Gold:
    docs = pq.read_table(shared_data / "dedup" / "docs.parquet", columns=["id", "text"])
    pairs = pq.read_table(shared_data / "dedup" / "pairs.parquet")
    row_of = {name: row for row, name in enumerate(docs["id"].to_pylist())}
    a, b = (np.array([row_of[i] for i in pairs[c].to_pylist()]) for c in ("id_a", "id_b"))
    texts = docs["text"].cast(pa.large_string()).combine_chunks()
    return Gold(a, b, pairs["jaccard"].to_numpy(), *deduplicate(texts))


@pytest.mark.parametrize(("low", "share"), [(0.8, 0.99), (0.85, 0.995), (0.9, 1.0)])
def test_of_nearly_every_similar_pair_one_is_dropped(gold: Gold, low: float, share: float) -> None:
    """Measured: 0.99522 of the pairs with J >= .8, 0.99978 with J >= .85, all with J >= .9."""
    similar = gold.jaccard >= low
    dropped = gold.keeper >= 0
    assert np.mean(dropped[gold.a[similar]] | dropped[gold.b[similar]]) >= share


def test_nothing_is_dropped_that_is_not_truly_similar_to_its_keeper(gold: Gold) -> None:
    """By the gold's own list: a dropped document and its keeper are a pair with J >= .8."""
    listed = {
        (min(a, b), max(a, b)): j
        for a, b, j in zip(gold.a.tolist(), gold.b.tolist(), gold.jaccard.tolist(), strict=True)
    }
    dropped = np.flatnonzero(gold.keeper >= 0)
    assert len(dropped) > 4000
    for document in dropped.tolist():
        keeper = int(gold.keeper[document])
        true = listed[min(document, keeper), max(document, keeper)]
        assert true >= THRESHOLD
        assert gold.similarity[document] == pytest.approx(true, abs=1e-6)
        assert keeper < document
        assert gold.keeper[keeper] == -1
