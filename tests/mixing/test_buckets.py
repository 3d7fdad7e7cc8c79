"""Buckets: exact edges, exact rates in a corpus, and a weight of it that buckets never move."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from corpus_builder.mixing.allocation import (
    Allocation,
    Phase,
    allocate,
    allocate_phases,
    corpus_shares,
)
from corpus_builder.mixing.buckets import (
    bucket_of,
    corpus_of,
    groups_of,
    part_name,
    part_weights,
    quantile_edges,
)
from corpus_builder.store.errors import DataError

NUMBERS = st.one_of(
    st.integers(-3, 3).map(float), st.floats(allow_nan=False, width=64), st.just(-0.0)
)


@given(
    st.lists(NUMBERS, min_size=1, max_size=80),
    st.lists(st.fractions("1/100", "99/100"), min_size=1, max_size=4),
    st.integers(1, 7),
)
@example([0.0, -0.0, 0.0], [Fraction(1, 3)], 2)
@example([1e308, -1e308, 5e-324, -5e-324, 0.0], [Fraction(1, 5), Fraction(4, 5)], 1)
def test_edges_are_the_values_at_their_place_in_order(
    numbers: list[float], quantiles: list[Fraction], size: int
) -> None:
    values = np.array(numbers)
    gaps = np.insert(values, range(0, len(values), 3), np.nan)
    chunks = [gaps[start : start + size] for start in range(0, len(gaps), size)]
    found = quantile_edges(lambda: iter(chunks), quantiles)
    assert found == [
        sorted(numbers)[q.numerator * len(numbers) // q.denominator] for q in quantiles
    ]
    for edge, q in zip(found, quantiles, strict=True):
        assert np.count_nonzero(values < edge) <= q * len(values)
        assert np.count_nonzero(values <= edge) > q * len(values) - 1


def test_quantiles_of_nothing_are_no_edges() -> None:
    assert quantile_edges(lambda: [np.array([np.nan])], [Fraction(1, 2)]) == []


def test_a_value_at_an_edge_is_above_it_and_none_has_the_bucket_given() -> None:
    values = np.array([-1.0, 0.0, 0.5, 1.0, 9.0, np.nan])
    assert bucket_of(values, [0.0, 1.0]).tolist() == [0, 1, 1, 2, 2, -1]
    assert bucket_of(values, [0.0, 1.0], 2).tolist() == [0, 1, 1, 2, 2, 2]


def test_a_part_is_named_after_its_corpus() -> None:
    assert part_name("web", 2) == "web.b2"
    assert (corpus_of("web.b2"), corpus_of("web")) == ("web", "web")
    assert groups_of(["web.b1", "code", "web.b0"]) == {
        "web": ["web.b1", "web.b0"],
        "code": ["code"],
    }


TIMES = st.lists(st.sampled_from(["1/2", "1", "2", "7/2"]), min_size=1, max_size=4)


@st.composite
def cut_mixes(
    draw: st.DrawFn,
) -> tuple[dict[str, int], dict[str, Fraction], dict[str, Fraction], int]:
    """(sequences by part, weights by corpus, rates by part, a budget)."""
    available, weights, times = {}, {}, {}
    for corpus in "abc"[: draw(st.integers(1, 3))]:
        weights[corpus] = draw(st.fractions("1/50", 1, max_denominator=50))
        rates = draw(TIMES)
        for bucket, rate in enumerate(rates):
            part = corpus if len(rates) == 1 else part_name(corpus, bucket)
            available[part] = draw(st.integers(1, 400))
            times[part] = Fraction(rate)
    return available, weights, times, draw(st.integers(50, 4000))


def weights_of(mix) -> dict[str, Fraction]:  # type: ignore[no-untyped-def]
    available, weights, times, _ = mix
    return {
        part: weight
        for corpus, parts in groups_of(available).items()
        for part, weight in part_weights(
            weights[corpus], available, {part: times[part] for part in parts}
        ).items()
    }


@given(cut_mixes())
def test_a_corpus_in_buckets_keeps_its_weight_and_its_very_count(mix) -> None:  # type: ignore[no-untyped-def]
    available, weights, times, budget = mix
    parts = weights_of(mix)
    for corpus, names in groups_of(parts).items():
        assert sum(parts[name] for name in names) == weights[corpus]
    kw = {"tokens": budget, "sequence_length": 1, "max_epochs": 10**6}
    whole = {corpus: sum(available[n] for n in names) for corpus, names in groups_of(parts).items()}
    try:
        cut = allocate(available, parts, **kw)
        uncut = allocate(whole, weights, **kw)
    except DataError as error:
        assert "rounds to none" in str(error)
        assume(False)
    assert corpus_shares(cut) == {a.name: a.realised for a in uncut}
    for a in cut:
        inside = [b for b in cut if corpus_of(b.name) == corpus_of(a.name)]
        rates = sum(b.available * times[b.name] for b in inside)
        quota = sum(b.sequences for b in inside) * a.available * times[a.name] / rates
        assert abs(a.sequences - quota) < 1, "its share of what the corpus got, rounded"


@given(cut_mixes(), st.sampled_from([1, 1.5, 4]))
def test_what_passes_a_cap_goes_to_the_other_buckets_first(mix, epochs: float) -> None:  # type: ignore[no-untyped-def]
    available, weights, _, budget = mix
    kw = {"sequence_length": 1, "max_epochs": epochs, "on_short": "redistribute"}
    parts = weights_of(mix)
    caps = {part: int(Fraction(epochs) * n) for part, n in available.items()}
    room = {corpus: sum(caps[p] for p in found) for corpus, found in groups_of(parts).items()}
    budget = min(budget, sum(caps.values()))
    try:
        made = allocate(available, parts, tokens=budget, **kw)  # type: ignore[arg-type]
        uncut = allocate(room, weights, tokens=budget, **kw | {"max_epochs": 1})  # type: ignore[arg-type]
    except DataError as error:
        assert "rounds to none" in str(error)
        assume(False)
    assert sum(a.sequences for a in made) == budget
    assert all(a.sequences <= a.cap == caps[a.name] for a in made)
    assert corpus_shares(made) == {a.name: a.realised for a in uncut}
    for corpus, names in groups_of(parts).items():
        inside = [a for a in made if corpus_of(a.name) == corpus]
        free = [a for a in inside if a.sequences < a.cap]
        for a in free:  # below their caps, buckets share by weight, to within one sequence
            for b in free:
                assert (a.sequences - 1) * parts[b.name] < (b.sequences + 1) * parts[a.name]
        assert len(inside) == len(names)


@given(cut_mixes(), st.sampled_from([1, 2.25]), st.booleans())
def test_the_budget_that_fits_fits_with_buckets_too(  # type: ignore[no-untyped-def]
    budget_that_fits, mix, epochs, two: bool
) -> None:
    available, _, _, budget = mix
    parts = weights_of(mix)
    phases = [Phase(0.6, parts), Phase(1, parts)] if two else [Phase(1, parts)]

    def attempt(tokens: int) -> tuple[Allocation, ...]:
        return allocate_phases(
            available, phases, tokens=tokens, sequence_length=1, max_epochs=epochs
        )

    budget_that_fits(attempt, budget)


def test_a_budget_fits_even_where_corpus_and_bucket_are_both_rounded_up() -> None:
    """Ten corpora of 11.1 sequences: the first gets 12, its bucket of nine tenths 11, not 10."""
    available = {"a.b0": 10, "a.b1": 90} | dict.fromkeys("bcdefghij", 90)
    weights = {"a.b0": 9, "a.b1": 1} | dict.fromkeys("bcdefghij", 10)
    kw = {"sequence_length": 1, "max_epochs": 1}
    with pytest.raises(DataError, match=r"a\.b0: wanted 11 .*a budget of 100 tokens fits"):
        allocate(available, weights, tokens=111, **kw)  # type: ignore[arg-type]
    assert sum(a.sequences for a in allocate(available, weights, tokens=100, **kw)) == 100  # type: ignore[arg-type]


def test_a_bucket_too_short_for_its_rate_is_named() -> None:
    weights = part_weights(
        Fraction(1), {"a.b0": 90, "a.b1": 10}, {"a.b0": Fraction(1), "a.b1": Fraction(9)}
    )
    assert weights == {"a.b0": Fraction(1, 2), "a.b1": Fraction(1, 2)}
    with pytest.raises(
        DataError, match=r"a\.b1: wanted 50 sequences, has 10 \(40 under max_epochs"
    ):
        allocate({"a.b0": 90, "a.b1": 10}, weights, tokens=100, sequence_length=1, max_epochs=4)


def test_a_corpus_whose_buckets_are_all_empty_keeps_its_weight_so_that_it_is_missed() -> None:
    empty = {"a.b0": 0, "a.b1": 0}
    weights = part_weights(Fraction(1, 2), empty, {"a.b0": Fraction(1), "a.b1": Fraction(3)})
    assert weights == {"a.b0": Fraction(1, 8), "a.b1": Fraction(3, 8)}
