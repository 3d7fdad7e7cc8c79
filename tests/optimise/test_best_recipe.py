"""Weights as they are written: few decimals, summing to 1, under every cap."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.mixing.allocation import allocate
from corpus_builder.optimise.recipe import rounded
from corpus_builder.optimise.swarm import Room, drawn, room_of


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
