"""The order is exact, random-access, epoch by epoch, nested, and pinned."""

from __future__ import annotations

import pickle
from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_builder.mixing.allocation import Phase, allocate, allocate_phases
from corpus_builder.mixing.order import ORDER_VERSION, Order, order_of, overlap
from corpus_builder.store.errors import DataError, RecipeError


@st.composite
def orders(draw: st.DrawFn, nested: bool = False) -> Order:
    """Up to 5 corpora of 3 to 300 sequences, up to 3 phases, up to many epochs."""
    k, phases = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    counts = st.lists(st.integers(0, 200), min_size=k, max_size=k).filter(any)
    stages = [draw(counts) for _ in range(phases)]
    base = [draw(st.permutations(row)) for row in stages] if nested else None
    return Order(
        names=tuple("vwxyz"[:k]),
        available=tuple(draw(st.integers(3, 300)) for _ in range(k)),
        phases=tuple(map(tuple, stages)),
        seed=draw(st.integers(0, 2**63)),
        base=None if base is None else tuple(map(tuple, base)),
    )


ANY = st.one_of(orders(), orders(nested=True))


def rows(order: Order, start: int = 0, stop: int | None = None) -> list[tuple[int, int, int]]:
    part = order.sequences(start, stop)
    return list(zip(part.corpus.tolist(), part.epoch.tolist(), part.index.tolist(), strict=True))


@settings(deadline=None)
@given(ANY)
def test_each_phase_holds_exactly_its_counts(order: Order) -> None:
    start = 0
    for counts in order.phases:
        part = order.sequences(start, start + sum(counts))
        assert np.bincount(part.corpus, minlength=len(counts)).tolist() == list(counts)
        start += sum(counts)
    assert start == len(order)


@settings(deadline=None)
@given(ANY)
def test_epochs_are_complete_in_turn_and_uses_differ_by_at_most_one(order: Order) -> None:
    everything = order.sequences()
    for corpus, n in enumerate(order.available):
        mine = everything.corpus == corpus
        epochs, indices = everything.epoch[mine], everything.index[mine]
        assert epochs.tolist() == [use // n for use in range(len(epochs))]
        for epoch in range(len(epochs) // n):
            assert sorted(indices[epochs == epoch]) == list(range(n))
        uses = np.bincount(indices, minlength=n)
        assert len(uses) == n
        assert set(uses) <= {len(epochs) // n, -(-len(epochs) // n)}


@settings(deadline=None)
@given(ANY, st.data())
def test_access_is_the_same_alone_in_chunks_and_at_once(order: Order, data: st.DataObject) -> None:
    everything = rows(order)
    cut = data.draw(st.integers(0, len(order)))
    end = data.draw(st.integers(cut, len(order)))
    assert rows(order, cut, end) == everything[cut:end]
    slot = data.draw(st.integers(0, len(order) - 1))
    assert order.sequence_at(slot) == everything[slot]


def test_random_access_holds_across_checkpoints() -> None:
    order = order_of(mix(web=0.7, code=0.3), 3, base=mix(web=0.6, code=0.4))
    everything = rows(order)
    assert len(everything) == 20_000
    for slot in (0, 4095, 4096, 4097, 8191, 8192, 12_345, 19_999):
        assert order.sequence_at(slot) == everything[slot]
    pieces = [rows(order, start, min(start + 999, 20_000)) for start in range(0, 20_000, 999)]
    assert list(chain.from_iterable(pieces)) == everything
    exact_block = Order(("a",), (4096,), ((8192,),), 1)
    assert rows(exact_block, 8192, 8192) == []


def mix(sequences: int = 20_000, available: int = 20_000, **weights: float):  # type: ignore[no-untyped-def]
    return allocate(
        dict.fromkeys(weights, available),
        weights,
        tokens=sequences,
        sequence_length=1,
        max_epochs=1000,
    )


def test_an_arm_keeps_every_slot_it_can_with_the_very_same_sequence() -> None:
    base, arm = mix(web=0.7, code=0.3), mix(web=0.5, code=0.5)
    agree = overlap(order_of(base, 1), order_of(arm, 1, base))
    assert agree == (0.8, 0.8)  # the most possible: 20 % of the slots must change corpus
    alone = overlap(order_of(base, 1), order_of(arm, 1))
    assert alone.same_corpus < 0.65
    assert alone.same_sequence < 0.01


def test_an_arm_of_many_corpora_flips_no_more_than_two_do() -> None:
    base = mix(a=0.3, b=0.25, c=0.2, d=0.15, e=0.1)
    arm = mix(a=0.2, b=0.25, c=0.2, d=0.15, e=0.2)
    assert overlap(order_of(base, 5), order_of(arm, 5, base)) == (0.9, 0.9)


def test_a_repeated_corpus_keeps_its_slots_and_its_epochs() -> None:
    base = mix(available=3000, web=0.7, code=0.3)
    arm = mix(available=3000, web=0.5, code=0.5)
    nested = order_of(arm, 1, base)
    assert overlap(order_of(base, 1), nested).same_corpus == 0.8
    assert set(Counter(nested.sequences().index[nested.sequences().corpus == 1]).values()) == {3, 4}


@settings(deadline=None)
@given(orders())
def test_an_order_nested_in_itself_is_itself(order: Order) -> None:
    same = Order(order.names, order.available, order.phases, order.seed, base=order.phases)
    assert rows(same) == rows(order)


@settings(deadline=None)
@given(orders(nested=True))
def test_unrepeated_corpora_keep_their_sequence_in_every_slot_they_keep(arm: Order) -> None:
    assert arm.base is not None
    base = Order(arm.names, arm.available, arm.base, arm.seed)
    a, b = arm.sequences(), base.sequences()
    most = np.sum(np.maximum(arm.phases, arm.base), axis=0)
    unrepeated = (most <= np.array(arm.available))[a.corpus] & (a.corpus == b.corpus)
    assert np.array_equal(a.index[unrepeated], b.index[unrepeated])
    changed = sum(
        np.abs(np.subtract(x, y)).sum() for x, y in zip(arm.phases, arm.base, strict=True)
    )
    assert int((a.corpus != b.corpus).sum()) * 2 == changed


def test_seeds_and_epochs_shuffle_anew_but_corpora_keep_their_slots() -> None:
    made = mix(available=5000, web=0.5, code=0.5)
    one, two = order_of(made, 1), order_of(made, 2)
    agree = overlap(one, two)
    assert agree.same_corpus == 1
    assert agree.same_sequence < 0.01
    web = one.sequences().index[one.sequences().corpus == 1]
    assert np.mean(web[:5000] == web[5000:]) < 0.01


def test_a_corpus_is_ordered_by_its_name_not_its_place() -> None:
    few = Order(("web",), (1000,), ((1000,),), 9)
    more = Order(("code", "web"), (10, 1000), ((0, 1000),), 9)
    assert np.array_equal(few.sequences().index, more.sequences().index)


def test_the_order_is_pinned() -> None:
    """A change here changes every corpus ever built: raise ORDER_VERSION when it is meant."""
    assert ORDER_VERSION == 1
    small = Order(("code", "web"), (3, 7), ((3, 7), (2, 2)), seed=42)
    assert rows(small) == PINNED_ROWS
    phases = [
        Phase(0.8, {"a": 0.9, "b": 0.0999, "c": 0.0001}),
        Phase(1, {"a": 1, "b": 2, "c": 0.01}),
    ]
    made = allocate_phases(
        {"a": 40_000, "b": 9000, "c": 30},
        phases,
        tokens=51_200_000,
        sequence_length=512,
        max_epochs=10,
    )
    assert [a.phases for a in made] == PINNED_COUNTS
    assert order_of(made, 2024).fingerprint() == PINNED_FINGERPRINT
    flat = mix(100_000, a=1, b=1, c=0.01)
    even = mix(100_000, a=1, b=1.5, c=0.01)
    assert order_of(even, 2024, flat).fingerprint() == PINNED_NESTED


def test_it_travels_as_its_numbers() -> None:
    order = order_of(mix(web=0.7, code=0.3), 3, base=mix(web=0.6, code=0.4))
    everything = rows(order)
    packed = pickle.dumps(order)
    assert len(packed) < 500
    assert rows(pickle.loads(packed)) == everything  # noqa: S301


def test_impossible_orders_are_refused() -> None:
    with pytest.raises(DataError, match="'b' is empty but has 2 slots"):
        Order(("a", "b"), (3, 0), ((1, 2),), 1)
    with pytest.raises(RecipeError, match="same corpora and phase lengths"):
        Order(("a", "b"), (3, 3), ((1, 2),), 1, base=((2, 2),))
    with pytest.raises(RecipeError, match="256 corpora"):
        Order(tuple(map(str, range(257))), (1,) * 257, ((1,) * 257,), 1)
    with pytest.raises(RecipeError, match="same corpora"):
        order_of(mix(web=1), 1, base=mix(code=1))
    with pytest.raises(RecipeError, match="equal length"):
        overlap(order_of(mix(web=1), 1), order_of(mix(100, web=1), 1))
    with pytest.raises(IndexError, match=r"within 0\.\.3"):
        Order(("a",), (3,), ((3,),), 1).sequence_at(3)


PINNED_ROWS = [
    (1, 0, 4),
    (1, 0, 0),
    (0, 0, 2),
    (1, 0, 2),
    (1, 0, 6),
    (0, 0, 0),
    (1, 0, 5),
    (1, 0, 1),
    (0, 0, 1),
    (1, 0, 3),
    (0, 1, 1),
    (1, 1, 3),
    (0, 1, 0),
    (1, 1, 5),
]
PINNED_COUNTS = [(72000, 6645), (7992, 13289), (8, 66)]
PINNED_FINGERPRINT = "c85d14260364c018ca3ad1d8a310ea70"
PINNED_NESTED = "b189c6a75e3324fca467d327ac915daa"
