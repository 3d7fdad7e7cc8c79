"""Grouping is exact: it equals a Python dict of first occurrences, even where hashes collide."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.kernels import hashing

words = st.lists(st.text(st.sampled_from("ab\0é"), max_size=20), max_size=40)


def first_occurrences(items: list[object]) -> list[int]:
    seen: dict[object, int] = {}
    return [seen.setdefault(item, k) for k, item in enumerate(items)]


def group_slices(items: list[str], slots: np.ndarray, generation: int) -> list[int]:
    encoded = [item.encode() for item in items]
    ends = np.cumsum([len(item) for item in encoded], dtype=np.int64)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if items else ends
    data = np.frombuffer(b"".join(encoded), np.uint8)
    hashes, first = np.empty(len(items), np.uint64), np.empty(len(items), np.int64)
    hashing.group_slices(data, starts, ends, len(items), slots, generation, hashes, first)
    return first.tolist()


@given(words, words)
def test_slices_group_by_content_and_a_generation_forgets_the_last(
    one: list[str], two: list[str]
) -> None:
    slots = np.zeros(hashing.slot_mask(40) + 1, np.int64)
    assert group_slices(one, slots, 1) == first_occurrences(one)
    assert group_slices(two, slots, 2) == first_occurrences(two)


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=40))
def test_keys_group_by_value(keys: list[int]) -> None:
    array, first = np.array(keys, np.uint64), np.empty(len(keys), np.int64)
    slots = np.zeros(hashing.slot_mask(len(keys)) + 1, np.int64)
    hashing.group_keys(array, len(keys), slots, 1, first)
    assert first.tolist() == first_occurrences(keys)


def test_keys_that_share_every_slot_stay_apart() -> None:
    keys, k = [], 0
    while len(keys) < 4:
        k += 1
        if int(hashing.mix(np.uint64(k))) & 7 == 3:
            keys.append(k)
    first = np.empty(8, np.int64)
    hashing.group_keys(np.array(keys * 2, np.uint64), 4, np.zeros(8, np.int64), 1, first)
    assert first[:4].tolist() == [0, 1, 2, 3]


@given(st.integers(0, 10**6))
def test_table_is_a_power_of_two_at_most_half_full(n: int) -> None:
    size = hashing.slot_mask(n) + 1
    assert size >= 2 * n
    assert size & (size - 1) == 0


@given(words)
def test_duplicates_count_copies_beyond_the_first(items: list[str]) -> None:
    encoded = [item.encode() for item in items]
    ends = np.cumsum([len(item) for item in encoded], dtype=np.int64)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if items else ends
    slots, hashes = np.zeros(128, np.int64), np.empty(len(items), np.uint64)
    got = hashing.count_duplicates(
        np.frombuffer(b"".join(encoded), np.uint8),
        starts, ends, len(items), slots, 1, hashes, np.empty(len(items), np.int64),
    )  # fmt: skip
    copies = [item for k, item in enumerate(items) if item in items[:k]]
    assert got == (len(copies), sum(map(len, copies)))
