"""Computed permutations are bijections, even-handed, and equal to a plain reference."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.mixing.permutation import derive_key, permute

KEYS = st.integers(0, 2**64 - 1)
WORD = 2**64 - 1


def reference(position: int, n: int, key: int) -> int:
    """The same network in Python's unbounded integers."""

    def mix64(x: int) -> int:
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
        return x ^ (x >> 31)

    bits = max(6, (n - 1).bit_length())
    low = bits // 2
    x = position
    while True:
        halves = [x >> low, x % 2**low]
        for number in range(8):
            other = halves[1 - number % 2]
            word = mix64((other + key + (number + 1) * 0x9E3779B97F4A7C15) & WORD)
            halves[number % 2] ^= word % 2 ** (low if number % 2 else bits - low)
        x = (halves[0] << low) | halves[1]
        if x < n:
            return x


@given(st.integers(1, 5000), KEYS)
def test_every_index_comes_exactly_once(n: int, key: int) -> None:
    assert np.array_equal(np.sort(permute(np.arange(n), n, key)), np.arange(n))


@given(st.integers(1, 2**62), KEYS, st.integers(0, 2**62))
def test_it_equals_the_reference(n: int, key: int, position: int) -> None:
    position %= n
    assert permute(np.array([position]), n, key)[0] == reference(position, n, key)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_small_corpora_see_all_their_permutations_equally_often(n: int) -> None:
    draws = 6000
    counts = dict.fromkeys(itertools.permutations(range(n)), 0)
    for key in range(draws):
        counts[tuple(permute(np.arange(n), n, derive_key(key)).tolist())] += 1
    expected = draws / math.factorial(n)
    chi2 = sum((count - expected) ** 2 / expected for count in counts.values())
    freedom = math.factorial(n) - 1
    assert chi2 < freedom + 4 * math.sqrt(2 * freedom)  # fixed keys: it passes or fails for good


def test_position_tells_nothing_about_index() -> None:
    n, cells, keys = 1024, 16, 200
    table = np.zeros((cells, cells))
    for key in range(keys):
        np.add.at(table, (np.arange(n) // 64, permute(np.arange(n), n, derive_key(key)) // 64), 1)
    expected = n * keys / cells**2
    chi2, freedom = ((table - expected) ** 2 / expected).sum(), (cells - 1) ** 2
    assert abs(chi2 - freedom) < 4 * math.sqrt(2 * freedom)


def test_most_positions_survive_a_small_change_of_the_corpus() -> None:
    before = permute(np.arange(9990), 10_000, 7)
    after = permute(np.arange(9990), 9990, 7)
    assert np.array_equal(before[before < 9990], after[before < 9990])


def test_positions_outside_are_refused() -> None:
    for bad in (-1, 5):
        with pytest.raises(IndexError, match=r"0\.\.4"):
            permute(np.array([bad]), 5, 1)


def test_keys_do_not_run_together() -> None:
    assert (
        len(
            {derive_key("a", 12), derive_key("a1", 2), derive_key("a", "12"), derive_key("a\0", 12)}
        )
        == 4
    )
