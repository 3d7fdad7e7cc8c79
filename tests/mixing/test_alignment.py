"""Orders over changed sequences: permutations, fair, and as close to the old order as can be."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.mixing.alignment import aligned


def shuffled(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(n).astype(np.int64)


def matching(old: int, new: int, common: int, seed: int) -> np.ndarray:
    """`common` old sequences that have a new one each."""
    rng = np.random.default_rng(seed)
    match = np.full(old, -1, np.int64)
    match[rng.permutation(old)[:common]] = rng.permutation(new)[:common]
    return match


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0, 1), st.integers(0, 1000))
def test_every_new_sequence_comes_once(old: int, new: int, share: float, seed: int) -> None:
    match = matching(old, new, int(share * min(old, new)), seed)
    order = aligned(shuffled(old, seed), match, new, seed, "web")
    assert sorted(order.tolist()) == list(range(new))
    again = aligned(shuffled(old, seed), match, new, seed, "web")
    assert (order == again).all()


@given(st.integers(1, 60), st.integers(0, 1000))
def test_the_same_sequences_keep_the_same_order(n: int, seed: int) -> None:
    base = shuffled(n, seed)
    assert (aligned(base, np.arange(n), n, seed, "web") == base).all()


def test_what_a_filter_leaves_stays_where_it_was() -> None:
    """A fifth is gone: the other four fifths of the first places do not move."""
    base, gone = shuffled(1000, 1), shuffled(1000, 2)[:200]
    kept = np.setdiff1d(np.arange(1000), gone)
    match = np.full(1000, -1, np.int64)
    match[kept] = np.arange(800)
    order = aligned(base, match, 800, 0, "web")
    here = match[base[:800]] >= 0
    assert (order[here] == match[base[:800]][here]).all()


def test_what_is_new_comes_at_its_rate_from_the_start() -> None:
    """A third of the new ones stand for none: about a third of any stretch, not the last third."""
    base = shuffled(2000, 1)
    order = aligned(base, np.arange(2000), 3000, 0, "web")
    for start in range(0, 3000, 500):
        fresh = int((order[start : start + 500] >= 2000).sum())
        assert abs(fresh - 500 / 3) < 4 * np.sqrt(500 * 2 / 9), start
    same = (order[:2000] == base).mean()
    assert 0.62 < same < 0.71, "two thirds keep their place"


def test_the_rate_of_old_ones_is_fair_too() -> None:
    """Over many seeds each new sequence is as likely to be in the first half as any other."""
    counts = np.zeros(90)
    for seed in range(400):
        match = matching(100, 90, 60, 5)
        counts[aligned(shuffled(100, seed), match, 90, seed, "web")[:45]] += 1
    assert abs(counts - 200).max() < 5 * np.sqrt(100)
