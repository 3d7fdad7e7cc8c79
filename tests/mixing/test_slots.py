"""Slots realise the counts in every prefix; nesting changes the fewest slots."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from corpus_builder.mixing.slots import nest, spread

COUNTS = st.lists(st.integers(0, 400), min_size=1, max_size=12).filter(sum)


def scaled_error(slots: NDArray[np.uint8], counts: list[int], corpus: int) -> NDArray[np.int64]:
    """S * (sequences of the corpus in each prefix) - (its exact quota), in whole numbers."""
    prefix = np.arange(1, len(slots) + 1)
    return np.cumsum(slots == corpus) * len(slots) - prefix * counts[corpus]


@given(COUNTS)
def test_every_prefix_is_within_one_sequence_of_its_quota(counts: list[int]) -> None:
    slots = spread(np.array(counts))
    assert np.bincount(slots, minlength=len(counts)).tolist() == counts
    for corpus in range(len(counts)):
        assert np.abs(scaled_error(slots, counts, corpus)).max() < len(slots)


def test_rare_corpora_keep_the_bound_at_scale() -> None:
    counts = [99_889, 100, 10, 1]
    slots = spread(np.array(counts))
    for corpus in range(4):
        assert np.abs(scaled_error(slots, counts, corpus)).max() < len(slots)


def test_the_pattern_is_what_one_would_write_by_hand() -> None:
    assert spread(np.array([4, 2])).tolist() == [0, 0, 1, 0, 0, 1]
    assert spread(np.array([2, 2])).tolist() == [0, 1, 0, 1]
    assert spread(np.array([0, 2])).tolist() == [1, 1]


@given(COUNTS, st.randoms(use_true_random=False))
def test_nesting_changes_the_fewest_slots_within_its_bound(counts: list[int], random) -> None:  # type: ignore[no-untyped-def]
    new = list(counts)
    for _ in range(random.randrange(2 * sum(counts))):
        giver, taker = random.randrange(len(new)), random.randrange(len(new))
        if new[giver]:
            new[giver] -= 1
            new[taker] += 1
    base = spread(np.array(counts))
    slots = nest(base, np.array(counts), np.array(new))
    assert np.bincount(slots, minlength=len(new)).tolist() == new
    assert int((slots != base).sum()) * 2 == sum(
        abs(a - b) for a, b in zip(counts, new, strict=True)
    )
    shrinking = sum(a > b for a, b in zip(counts, new, strict=True))
    for corpus in range(len(new)):
        limit = 2 + 1.5 * shrinking if new[corpus] > counts[corpus] else 1.5
        assert np.abs(scaled_error(slots, new, corpus)).max() < limit * len(slots)
