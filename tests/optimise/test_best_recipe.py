"""Weights as they are written: few decimals, summing to 1, under every cap."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from corpus_builder.mixing.allocation import allocate
from corpus_builder.optimise.recipe import rounded
from corpus_builder.optimise.swarm import Room, drawn, room_of
from corpus_builder.store.errors import DataError


@given(
    st.lists(st.integers(20, 5000), min_size=2, max_size=6), st.integers(0, 20), st.booleans(),
    st.data(),
)  # fmt: skip
def test_rounded_weights_are_near_and_fit_the_budget(
    sizes: list[int], seed: int, keep_all: bool, data: st.DataObject
) -> None:
    available = {f"c{i}": n for i, n in enumerate(sizes)}
    budget = data.draw(st.integers(sum(sizes) // 2, int(1.9 * sum(sizes))))
    room = room_of(available, dict.fromkeys(available, Fraction(2)), [budget])
    mix = np.concatenate(drawn(room, 1, seed))[seed % 3]
    weights = rounded(room, mix, budget, keep_all=keep_all)
    assert sum(Fraction(str(weight)) for weight in weights.values()) == 1
    for share, weight in zip(mix, weights.values(), strict=True):
        assert abs(share - weight) < (2 / budget + 0.003) * len(sizes)
    allocate(available, weights, tokens=budget, sequence_length=1, max_epochs=2)


@given(
    st.lists(st.integers(1, 400), min_size=2, max_size=12), st.integers(2, 2000),
    st.integers(2, 400), st.integers(0, 50), st.booleans(),
)  # fmt: skip
def test_nobody_with_a_weight_is_without_a_sequence_however_small(
    sizes: list[int], budget: int, trial: int, seed: int, keep_all: bool
) -> None:
    """Down to corpora of one sequence, at the recipe's budget and at the trial's."""
    available = {f"c{i}": n for i, n in enumerate(sizes)}
    assume(4 * sum(sizes) >= max(budget, trial))
    room = room_of(available, dict.fromkeys(available, Fraction(4)), [budget, trial])
    mix = np.concatenate(drawn(room, 1, seed))[seed % 3]
    short = min(budget, trial)
    try:
        weights = rounded(room, mix, short, keep_all=keep_all)
    except DataError as error:
        assert room.most[room.most * short >= 1].sum() < 1 + 1e-5
        assert "leaves too little room" in str(error)
        return
    assert sum(Fraction(str(weight)) for weight in weights.values()) == 1
    for sequences in (budget, trial):
        parts = allocate(
            available, weights, tokens=sequences, sequence_length=1, max_epochs=4
        )  # refuses a weight that rounds to none, and a corpus past its cap
        assert all(part.sequences > 0 for part in parts if weights[part.name] > 0)


def test_a_mix_that_needs_corpora_without_a_sequence_in_the_trial_is_refused() -> None:
    room = room_of({"a": 100, "b": 1}, {"a": Fraction(1), "b": Fraction(1)}, [100])
    assert rounded(room, room.natural, 100, keep_all=True) == {"a": 0.99, "b": 0.01}
    whole = room_of({"a": 100, "b": 1}, {"a": Fraction(1), "b": Fraction(1)}, [101])
    with pytest.raises(DataError, match=r"room to choose weights in: b may not fill one .* of 50;"):
        rounded(whole, whole.natural, 50)


def test_a_weight_is_written_as_people_write_it() -> None:
    room = Room(("a", "b", "c"), np.full(3, 1 / 3), np.ones(3))
    assert rounded(room, np.array([0.123456, 0.6, 0.276544]), 1000) == {
        "a": 0.123, "b": 0.6, "c": 0.277,
    }  # fmt: skip
    assert rounded(room, np.full(3, 1 / 3), 1000) == {"a": 0.334, "b": 0.333, "c": 0.333}


def test_what_would_get_no_sequence_is_left_out_or_gets_one() -> None:
    room = Room(("a", "b"), np.full(2, 1 / 2), np.ones(2))
    assert rounded(room, np.array([0, 1.0]), 400, keep_all=True) == {"a": 0.003, "b": 0.997}
    tight = Room(("a", "b"), np.full(2, 1 / 2), np.array([0.001, 1]))
    assert rounded(tight, np.array([0, 1.0]), 400, keep_all=True) == {"a": 0.0, "b": 1.0}
    assert rounded(room, np.array([0.008, 0.992]), 100) == {"a": 0.0, "b": 1.0}
    assert rounded(room, np.array([0.008, 0.992]), 1000) == {"a": 0.008, "b": 0.992}
