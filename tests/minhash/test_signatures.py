"""Signatures are datasketch's, bit for bit."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_builder.minhash.shingles import shingle_hashes
from corpus_builder.minhash.signatures import signatures

HASH_SETS = st.lists(st.sets(st.integers(0, 2**64 - 1), max_size=200), min_size=1, max_size=4)


def by_datasketch(hashes: list[int], num_perm: int, seed: int) -> np.ndarray:
    sketch = MinHash(num_perm, seed=seed, scheme="affine32", hashfunc=lambda h: h)
    sketch.update_batch([h >> 32 for h in hashes])
    return sketch.hashvalues


def packed(sets: list[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    rows = [np.array(sorted(row), np.uint64) for row in sets]
    return np.concatenate(rows), np.concatenate(([0], np.cumsum([len(row) for row in rows])))


@settings(deadline=None)
@given(HASH_SETS, st.integers(1, 130), st.integers(0, 2**32 - 1))
def test_equal_to_datasketch(sets: list[set[int]], num_perm: int, seed: int) -> None:
    found = signatures(*packed(sets), num_perm, seed)
    expected = [by_datasketch(sorted(row), num_perm, seed) for row in sets]
    assert found.dtype == np.uint32
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("size", [63, 64, 65, 2047, 2048, 2049, 5000])
def test_equal_to_datasketch_across_block_borders(size: int) -> None:
    hashes = np.unique(np.random.default_rng(size).integers(0, 2**64, size, np.uint64))
    found = signatures(hashes, np.array([0, len(hashes)]), 112)
    assert np.array_equal(found[0], by_datasketch(hashes.tolist(), 112, 1))


def test_a_document_without_shingles_is_all_ones() -> None:
    hashes, offsets = shingle_hashes(pa.array(["", "a", "..."], pa.large_string()), 5)
    full = np.all(signatures(hashes, offsets, 16) == 0xFFFFFFFF, axis=1)
    assert full.tolist() == [True, False, True]


def test_agreeing_values_estimate_jaccard() -> None:
    rng = np.random.default_rng(5)
    shared, own = rng.integers(0, 2**64, 800, np.uint64), rng.integers(0, 2**64, 400, np.uint64)
    sets = [{*shared.tolist(), *part.tolist()} for part in (own[:200], own[200:])]
    a, b = signatures(*packed(sets), 4096)
    assert abs(np.mean(a == b) - 800 / 1200) < 4 * np.sqrt(2 / 9 / 4096)


def test_a_signature_has_at_least_one_value() -> None:
    with pytest.raises(ValueError, match="num_perm is 0"):
        signatures(*packed([{1}]), 0)
