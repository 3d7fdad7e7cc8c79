"""Packing arithmetic equals laying the tokens out and cutting them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.mixing.packing import bucket_of, pack
from corpus_builder.store.errors import RecipeError

LENGTHS = st.lists(st.integers(0, 40), max_size=60)


@given(LENGTHS, st.integers(1, 50), st.booleans())
def test_it_equals_cutting_a_real_concatenation(lengths: list[int], t: int, eos: bool) -> None:
    owner = [doc for doc, n in enumerate(lengths) for _ in range(n + eos)]
    packed = pack(np.array(lengths, np.int64), t, eos=eos)
    assert packed.sequences * t + packed.dropped == len(owner)
    assert 0 <= packed.dropped < t
    for s in range(packed.sequences):
        tokens = owner[s * t : (s + 1) * t + 1]
        ends = [i + 1 for i in range(t) if i + 1 == len(tokens) or tokens[i] != tokens[i + 1]]
        found = packed.ends[packed.ends_offsets[s] : packed.ends_offsets[s + 1]]
        assert found.tolist() == ends
    assert packed.ends_offsets[-1] == len(packed.ends)
    for doc in set(owner):
        assert owner.index(doc) == packed.starts[doc]


def test_an_example_by_hand() -> None:
    packed = pack(np.array([2, 4, 0, 3]), 4)  # aaE bbbb|E E ccc E -> aaEb bbbE Eccc (E dropped)
    assert (packed.sequences, packed.dropped) == (3, 1)
    assert packed.starts.tolist() == [0, 3, 8, 9, 13]
    assert packed.ends.tolist() == [3, 4, 1]
    assert packed.ends_offsets.tolist() == [0, 1, 2, 3]


def test_no_documents_make_no_sequences() -> None:
    packed = pack(np.array([], np.int64), 8)
    assert (packed.sequences, packed.dropped, packed.ends_offsets.tolist()) == (0, 0, [0])
    with pytest.raises(RecipeError, match="sequence_length"):
        pack(np.array([1]), 0)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1), st.integers(1, 2**32))
def test_buckets_are_ranges_of_the_high_bits(keys: list[int], blocks: int) -> None:
    buckets = bucket_of(np.array(keys, np.uint64), blocks)
    assert buckets.tolist() == [(key >> 32) * blocks >> 32 for key in keys]
    assert all(0 <= bucket < blocks for bucket in buckets)
    assert (
        sorted(buckets.tolist()) == bucket_of(np.sort(np.array(keys, np.uint64)), blocks).tolist()
    )


def test_blocks_are_checked() -> None:
    for bad in (0, 2**32 + 1):
        with pytest.raises(RecipeError, match="blocks"):
            bucket_of(np.array([1], np.uint64), bad)
