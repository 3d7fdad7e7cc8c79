"""Documents whose signatures agree in all rows of a band, and only those, are linked."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_builder.minhash.banding import (
    NO_KEY,
    BandTable,
    band_keys,
    edges_of_band,
    in_partition,
    slots_for,
    table_bytes,
)

KEYS = st.lists(st.integers(0, 12) | st.integers(0, 2**64 - 1), max_size=300)


def edges_by_hand(keys: list[int]) -> set[tuple[int, int]]:
    first: dict[int, int] = {}
    edges = set()
    for document, key in enumerate(keys):
        if key == NO_KEY:
            continue
        if key in first:
            edges.add((first[key], document))
        first.setdefault(key, document)
    return edges


def as_pairs(edges: tuple[np.ndarray, np.ndarray]) -> list[tuple[int, int]]:
    return list(zip(edges[0].tolist(), edges[1].tolist(), strict=True))


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 5), st.randoms())
def test_keys_are_equal_exactly_where_all_rows_are(bands, rows, spare, random) -> None:
    signatures = np.array(
        [[random.randrange(2) for _ in range(bands * rows + spare)] for _ in range(12)], np.uint32
    )
    keys = band_keys(signatures, bands, rows)
    assert keys.shape == (12, bands)
    seen = defaultdict(set)
    for document in range(12):
        for band in range(bands):
            values = tuple(signatures[document, band * rows : (band + 1) * rows])
            seen[keys[document, band]].add((band, values))
    assert all(len(meanings) == 1 for meanings in seen.values())
    assert len({m for meanings in seen.values() for m in meanings}) == len(seen)


def test_documents_without_shingles_have_no_key_and_no_edge() -> None:
    signatures = np.full((3, 4), 0xFFFFFFFF, np.uint32)
    signatures[1, 3] = 7
    keys = band_keys(signatures, 2, 2)
    assert (keys == NO_KEY).tolist() == [[True, True], [False, False], [True, True]]
    assert as_pairs(edges_of_band(keys[:, 0], np.arange(3))) == []


@settings(deadline=None)
@given(KEYS)
def test_each_document_is_linked_to_the_first_of_its_key(keys: list[int]) -> None:
    found = as_pairs(edges_of_band(np.array(keys, np.uint64), np.arange(len(keys))))
    assert len(found) == len(set(found))
    assert set(found) == edges_by_hand(keys)


@settings(deadline=None)
@given(KEYS, st.integers(1, 50), st.integers(0, 8))
def test_a_growing_table_fed_in_chunks_finds_the_same_edges(keys, chunk, capacity) -> None:
    table, found = BandTable(capacity), []
    array, documents = np.array(keys, np.uint64), np.arange(len(keys))
    for start in range(0, len(keys), chunk):
        part = slice(start, start + chunk)
        found += as_pairs(table.add(array[part], documents[part]))
        assert len(table) <= 0.7 * len(table._slots)
    assert set(found) == edges_by_hand(keys)
    assert len(table) == len(set(keys) - {NO_KEY})


@settings(deadline=None)
@given(KEYS, st.integers(1, 9))
def test_partitions_share_out_the_keys_and_give_the_same_edges(keys, partitions) -> None:
    array, documents = np.array(keys, np.uint64), np.arange(len(keys))
    inside = [in_partition(array, p, partitions) for p in range(partitions)]
    assert np.array_equal(np.sum(inside, axis=0), np.ones(len(keys)))
    found = [
        edge for mask in inside for edge in as_pairs(edges_of_band(array[mask], documents[mask]))
    ]
    assert set(found) == edges_by_hand(keys)


def test_partitions_are_even_for_the_keys_of_signatures() -> None:
    signatures = np.random.default_rng(3).integers(0, 2**32, (9000, 8), np.uint32)
    keys = band_keys(signatures, 1, 8)[:, 0]
    sizes = [in_partition(keys, p, 3).sum() for p in range(3)]
    assert max(sizes) - min(sizes) < 6 * np.sqrt(3000)


def test_a_table_of_its_capacity_does_not_grow() -> None:
    keys = np.random.default_rng(4).integers(1, 2**64, 5000, np.uint64)
    table = BandTable(5000)
    before = table_bytes(5000)
    table.add(keys, np.arange(5000))
    assert len(table._slots) == slots_for(5000)
    assert before == table._slots.nbytes + table._firsts.nbytes


@pytest.mark.parametrize(("bands", "rows"), [(0, 2), (2, 0), (3, 2)])
def test_bands_must_fit_the_signature(bands: int, rows: int) -> None:
    with pytest.raises(ValueError, match=f"{bands} bands of {rows} rows; signatures have 4"):
        band_keys(np.zeros((1, 4), np.uint32), bands, rows)


def test_every_key_needs_its_document() -> None:
    with pytest.raises(ValueError, match="2 keys for 1 documents"):
        BandTable(4).add(np.ones(2, np.uint64), np.zeros(1, np.int64))
