"""What a swarm tries: within caps, spread out, growing from its beginning."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from swarms import AVAILABLE, room

from corpus_builder.mixing.allocation import Phase, allocate_phases
from corpus_builder.optimise.swarm import Room, drawn, in_sequences, room_of, swarm, under_caps
from corpus_builder.store.errors import DataError, RecipeError

SIZES = st.lists(st.integers(1, 10_000), min_size=2, max_size=7)


@st.composite
def rooms(draw: st.DrawFn) -> tuple[Room, int, dict[str, int]]:
    """(room, budget, available) in which caps may bind hard."""
    sizes = draw(SIZES)
    available = {f"c{i}": n for i, n in enumerate(sizes)}
    budget = draw(st.integers(max(1, sum(sizes) // 4), 2 * sum(sizes)))
    return room_of(available, dict.fromkeys(available, Fraction(2)), [budget]), budget, available


@given(rooms())
def test_every_mix_can_be_realised_under_the_caps(made: tuple[Room, int, dict[str, int]]) -> None:
    here, budget, available = made
    for mix in (here.natural, here.uniform, *np.concatenate(drawn(here, 4, 0))):
        assert here.allows(mix)
        counts = in_sequences(here, mix, budget)
        found = allocate_phases(
            available, [Phase(1, counts)], tokens=budget, sequence_length=1, max_epochs=2
        )
        assert {part.name: part.sequences for part in found} == counts


@given(SIZES, st.integers(0, 9))
def test_caps_take_no_more_than_they_must(sizes: list[int], seed: int) -> None:
    k = len(sizes)
    most = np.minimum(1, np.array(sizes) / sum(sizes) * 1.5)
    given_ = np.random.default_rng(seed).dirichlet(np.ones(k), 5)
    found = under_caps(given_, most)
    assert found.sum(1) == pytest.approx(1)
    assert (found <= most + 1e-9).all()
    free = (given_ <= most).all(1)
    assert found[free] == pytest.approx(given_[free])


def test_natural_is_in_proportion_to_what_there_is() -> None:
    here = room()
    assert here.natural == pytest.approx(np.array([*AVAILABLE.values()]) / 15_900)
    assert here.uniform == pytest.approx(0.2)
    assert here.most.tolist() == [1, 1, 1, 0.8, 1]


def test_caps_are_those_of_the_largest_budget() -> None:
    """What proxies could read of a small corpus, the real mix may not."""
    assert room(epochs=1, budget=4000).most == pytest.approx([1, 0.75, 1, 0.1, 0.625])


def test_a_swarm_begins_with_natural_and_uniform_and_grows_from_its_beginning() -> None:
    here = room()
    many = swarm(here, 60, 0)
    assert many[0] == pytest.approx(here.natural)
    assert many[1] == pytest.approx(here.uniform)
    assert (swarm(here, 25, 0) == many[:25]).all()
    assert not (swarm(here, 25, 1)[2:] == many[2:25]).all()


def test_a_swarm_fills_space_better_than_chance() -> None:
    """Distance to the nearest other run, at its least."""

    def loneliness(mixes: np.ndarray) -> float:
        apart = np.sqrt(((np.sqrt(mixes)[:, None] - np.sqrt(mixes)[None]) ** 2).sum(2))
        np.fill_diagonal(apart, np.inf)
        return float(apart.min())

    here = room()
    chance = [np.concatenate(drawn(here, 11, seed))[:32] for seed in range(5)]
    assert loneliness(swarm(here, 32, 0)) > 2 * max(map(loneliness, chance))


def test_a_swarm_has_mixes_near_and_far_from_natural() -> None:
    here = room()
    top = swarm(here, 48, 0).max(1)
    assert (top > 0.9).sum() >= 4
    assert (top < 0.5).sum() >= 12


@given(st.integers(1, 500), st.integers(0, 50))
def test_sequences_sum_to_the_budget(sequences: int, seed: int) -> None:
    here = room()
    mix = np.concatenate(drawn(here, 1, seed))[0]
    counts = in_sequences(here, mix, sequences)
    assert sum(counts.values()) == sequences
    for name, share in zip(here.names, mix, strict=True):
        assert abs(counts[name] - share * sequences) < 1


def test_what_leaves_nothing_to_choose_is_refused() -> None:
    limit = {"a": Fraction(1), "b": Fraction(1)}
    with pytest.raises(RecipeError, match="nothing to optimise"):
        room_of({"a": 10}, limit, [5])
    with pytest.raises(DataError, match="5 sequences short"):
        room_of({"a": 10, "b": 10}, limit, [25])
    with pytest.raises(DataError, match="'b' holds no sequence"):
        room_of({"a": 10, "b": 0}, limit, [5])
