"""Shingle hashes stand for the set of n consecutive words."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_builder.minhash.shingles import shingle_hashes, word_hashes
from corpus_builder.minhash.verify import jaccard

MASK = (1 << 64) - 1


def shingle_set(text: str, ngram: int) -> set[tuple[str, ...]]:
    found = re.findall(r"\w+", text.lower().replace("ς", "σ"))
    if 0 < len(found) < ngram:
        return {tuple(found)}
    return {tuple(found[i : i + ngram]) for i in range(len(found) - ngram + 1)}


def set_jaccard(a: set[tuple[str, ...]], b: set[tuple[str, ...]]) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0


def rows(texts: list[str], ngram: int) -> list[np.ndarray]:
    hashes, offsets = shingle_hashes(pa.array(texts, pa.large_string()), ngram)
    return np.split(hashes, offsets[1:-1])


def fmix64(h: int) -> int:
    h = (h ^ h >> 33) * 0xFF51AFD7ED558CCD & MASK
    h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53 & MASK
    return h ^ h >> 33


SHORT = st.text(st.sampled_from("ab .é中\n_İ1"), max_size=60)


@settings(deadline=None)
@given(st.lists(SHORT, min_size=2, max_size=4), st.integers(1, 6))
def test_jaccard_of_hashes_is_jaccard_of_shingle_sets(texts: list[str], ngram: int) -> None:
    hashed, sets = rows(texts, ngram), [shingle_set(text, ngram) for text in texts]
    for a, b in zip(hashed, sets, strict=True):
        assert len(a) == len(b)
        assert np.all(a[1:] > a[:-1])
    assert jaccard(hashed[0], hashed[1]) == set_jaccard(sets[0], sets[1])


@settings(deadline=None)
@given(st.lists(SHORT, min_size=1, max_size=4), st.integers(1, 6))
def test_a_shingle_hash_is_the_documented_polynomial_of_its_words(
    texts: list[str], ngram: int
) -> None:
    hashes, offsets = word_hashes(pa.array(texts, pa.large_string()))
    for words, row in zip(np.split(hashes, offsets[1:-1]), rows(texts, ngram), strict=True):
        size = min(ngram, len(words))
        expected = set()
        for i in range(len(words) - size + 1 if size else 0):
            polynomial = 0
            for word in words[i : i + size].tolist():
                polynomial = (polynomial * 0x100000001B3 + word) & MASK
            expected.add(fmix64(polynomial))
        assert row.tolist() == sorted(expected)


def test_hashes_on_disk_stay_valid() -> None:
    """Pinned values: when this fails, `HASH_VERSION` must rise."""
    assert [row.tolist() for row in rows(["Straße, 中文 und Ünïcode_7!", "one two"], 3)] == [
        [8572217334997969156, 9072496169071033460],
        [12903349785117657183],
    ]


def test_short_documents_have_one_shingle_and_empty_ones_none() -> None:
    texts = ["", " .,! ", "a", "a b c d", "a b c d e", "a b c d e f"]
    assert [len(row) for row in rows(texts, 5)] == [0, 0, 1, 1, 1, 2]
    three, five = rows(["a b c", "a b c d e"], 5)
    assert three[0] != five[0]


def test_batches_give_what_the_whole_gives(shared_data: Path) -> None:
    table = pq.read_table(shared_data / "dedup" / "docs.parquet", columns=["text"])
    texts = table["text"].cast(pa.large_string()).combine_chunks().slice(0, 300)
    whole, offsets = shingle_hashes(texts, 5)
    parts = [shingle_hashes(texts.slice(start, 70), 5) for start in range(0, 300, 70)]
    assert np.array_equal(np.concatenate([part[0] for part in parts]), whole)
    assert np.array_equal(np.concatenate([np.diff(part[1]) for part in parts]), np.diff(offsets))


def test_gold_pairs_have_their_true_jaccard(shared_data: Path) -> None:
    """All languages' pairs of 400 documents, and all listed pairs by the files' own figures."""
    docs = pq.read_table(shared_data / "dedup" / "docs.parquet", columns=["id", "text"])
    pairs = pq.read_table(shared_data / "dedup" / "pairs.parquet")
    row_of = {name: row for row, name in enumerate(docs["id"].to_pylist())}
    hashes, offsets = shingle_hashes(docs["text"].cast(pa.large_string()).combine_chunks(), 5)
    chosen = pairs.filter(pc.greater_equal(pairs["jaccard"], 0.3)).slice(0, 5000).to_pylist()
    for pair in chosen:
        a, b = (
            hashes[offsets[row] : offsets[row + 1]]
            for row in (row_of[pair["id_a"]], row_of[pair["id_b"]])
        )
        assert (len(a), len(b)) == (pair["n_a"], pair["n_b"])
        assert round(jaccard(a, b), 6) == round(pair["jaccard"], 6)


def test_a_shingle_has_at_least_one_word() -> None:
    with pytest.raises(ValueError, match="ngram is 0"):
        rows(["a"], 0)
