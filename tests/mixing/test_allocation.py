"""Counts are exact, capped, and never silently 0."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from corpus_builder.mixing.allocation import (
    Allocation,
    OnShort,
    Phase,
    allocate,
    allocate_phases,
    sequences_in,
)
from corpus_builder.store.errors import DataError, RecipeError

NAMES = "abcdefgh"
WEIGHT = st.decimals("0.0001", 1, places=4)


@st.composite
def mixes(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, object], int]:
    """Corpora down to 3 sequences, weights down to 1e-4, a budget in sequences."""
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    available = {name: draw(st.integers(3, 5000)) for name in names}
    weights: dict[str, object] = {name: draw(WEIGHT) for name in names}
    return available, weights, draw(st.integers(1, 20_000))


def test_a_budget_is_rounded_down_to_whole_sequences() -> None:
    assert sequences_in(1023, 256) == 3
    with pytest.raises(RecipeError, match=r"^mix\.tokens: 255 tokens are less than one sequence"):
        sequences_in(255, 256)
    with pytest.raises(RecipeError, match="sequence_length"):
        sequences_in(255, 0)


@given(mixes())
def test_without_caps_counts_sum_to_the_budget_and_miss_by_less_than_one(mix) -> None:  # type: ignore[no-untyped-def]
    available, weights, budget = mix
    total = sum(weights.values())
    assume(all(weight * budget >= total for weight in weights.values()))
    made = allocate(available, weights, tokens=budget * 8 + 7, sequence_length=8, max_epochs=10**6)
    assert sum(a.sequences for a in made) == budget
    assert sum(a.realised for a in made) == 1
    for a in made:
        assert a.requested == Fraction(weights[a.name]) / Fraction(total)
        assert abs(a.realised - a.requested) < Fraction(1, budget)
        assert a.sequences >= 1
        assert not a.capped


@given(mixes(), st.sampled_from([0.5, 1, 1.5, 4]))
def test_redistribute_fills_to_the_caps_in_proportion(mix, epochs: float) -> None:  # type: ignore[no-untyped-def]
    available, weights, budget = mix
    caps = {name: int(Fraction(epochs) * n) for name, n in available.items()}
    budget = min(budget, sum(caps.values()))
    assume(all(w * budget >= sum(weights.values()) for w in weights.values()))
    made = allocate(
        available,
        weights,
        tokens=budget,
        sequence_length=1,
        max_epochs=epochs,
        on_short="redistribute",
    )
    assert sum(a.sequences for a in made) == budget
    assert all(a.sequences <= a.cap == caps[a.name] for a in made)
    # Those below their cap share in proportion to weight, to within one sequence each.
    levels = [(a.sequences, Fraction(weights[a.name])) for a in made if a.sequences < a.cap]
    for count, weight in levels:
        for other, other_weight in levels:
            assert (count - 1) / weight < (other + 1) / other_weight
    for a in made:
        if a.sequences == a.cap and levels:
            count, weight = levels[0]
            assert (a.sequences - 1) / Fraction(weights[a.name]) <= (count + 1) / weight


def test_too_little_data_says_all_a_user_needs_to_decide() -> None:
    with pytest.raises(DataError) as caught:
        allocate(
            {"web": 1000, "code": 50},
            {"web": 0.7, "code": 0.3},
            tokens=1000 * 256,
            sequence_length=256,
            max_epochs=4,
        )
    assert str(caught.value) == (
        "mix: too little data for the weights: code: wanted 300 sequences, has 50 (200 under "
        "max_epochs), short by 100, would take 6 epochs; a budget of 170,496 tokens fits; "
        "lower tokens, change the weights, raise max_epochs or set on_short: redistribute"
    )


@pytest.mark.parametrize("on_short", ["error", "redistribute"])
def test_a_corpus_of_which_nothing_can_be_read_is_an_error_not_a_zero(on_short: OnShort) -> None:
    def attempt(available: dict[str, int], weights: dict[str, float], max_epochs: float) -> None:
        allocate(
            available, weights, tokens=100, sequence_length=1, max_epochs=max_epochs,
            on_short=on_short,
        )  # fmt: skip

    with pytest.raises(
        DataError, match=r"weights\.b: there is nothing to read .*of b: 0\).*funnel"
    ):
        attempt({"a": 90, "b": 0}, {"a": 1, "b": 1}, 4)
    with pytest.raises(
        DataError, match=r"^mix: max_epochs allows b not one sequence \(of b: 1\); raise"
    ):
        attempt({"a": 300, "b": 1}, {"a": 1, "b": 1}, 0.5)
    with pytest.raises(DataError, match=r"weights\.b: .* of b\.b0: 0, b\.b1: 0\); .*its buckets"):
        attempt({"a": 90, "b.b0": 0, "b.b1": 0}, {"a": 1, "b.b0": 1, "b.b1": 2}, 4)
    attempt({"a": 90, "b": 0}, {"a": 1, "b": 0}, 4)


def test_an_empty_bucket_with_a_weight_of_its_own_is_named_as_such() -> None:
    with pytest.raises(DataError, match=r"b\.b0: wanted 25 .*has 0 .* infinitely many epochs"):
        allocate(
            {"a": 90, "b.b0": 0, "b.b1": 90}, {"a": 2, "b.b0": 1, "b.b1": 1}, tokens=100,
            sequence_length=1, max_epochs=4,
        )  # fmt: skip


@given(mixes(), st.sampled_from([0.5, 1, 2.25]), st.booleans())
def test_the_budget_that_fits_fits_and_with_one_phase_is_the_largest(  # type: ignore[no-untyped-def]
    budget_that_fits, mix, epochs, two
) -> None:
    available, weights, budget = mix
    assume(budget > 5)
    flat = dict.fromkeys(weights, 1)
    phases = [Phase(0.6, weights), Phase(1, flat)] if two else [Phase(1, weights)]

    def attempt(tokens: int) -> tuple[Allocation, ...]:
        return allocate_phases(
            available, phases, tokens=tokens, sequence_length=1, max_epochs=epochs
        )

    fits = budget_that_fits(attempt, budget)
    assert fits < budget
    if not two:
        shares = {
            name: Fraction(w) / Fraction(sum(weights.values())) for name, w in weights.items()
        }
        assert any(w * (fits + 1) > int(Fraction(epochs) * available[n]) for n, w in shares.items())


def test_a_stage_whose_corpora_are_used_up_is_named() -> None:
    """There is plenty of b, which the last stage does not weigh."""
    with pytest.raises(
        DataError,
        match=r"that stage 2 weighs are together 33 sequences short .* after the stages before",
    ):
        allocate_phases(
            {"a": 50, "b": 1_000},
            [Phase(0.5, {"a": 1, "b": 1}), Phase(1, {"a": 1, "b": 0})],
            tokens=110,
            sequence_length=1,
            max_epochs=1,
            on_short="redistribute",
        )


def test_a_corpus_that_earlier_stages_use_up_is_an_error_not_a_zero() -> None:
    """The last stage is for b, of which the first one takes all."""
    kw = {"tokens": 100, "sequence_length": 1, "max_epochs": 1, "on_short": "redistribute"}
    phases = [Phase(0.8, {"a": 1, "b": 1}), Phase(1, {"a": 1, "b": 3})]
    with pytest.raises(
        DataError, match=r"^mix: stage 2 weighs b, .* before it leave nothing; weigh"
    ):
        allocate_phases({"a": 90, "b": 30}, phases, **kw)  # type: ignore[arg-type]
    a, b = allocate_phases({"a": 90, "b": 41}, phases, **kw)  # type: ignore[arg-type]
    assert (a.phases, b.phases) == ((40, 19), (40, 1))


def test_a_bucket_that_earlier_stages_use_up_leaves_its_corpus_to_the_others() -> None:
    weights = {"a": 1, "b.b0": 0.5, "b.b1": 0.5}
    parts = allocate_phases(
        {"a": 900, "b.b0": 10, "b.b1": 900}, [Phase(0.5, weights), Phase(1, weights)],
        tokens=100, sequence_length=1, max_epochs=1, on_short="redistribute",
    )  # fmt: skip
    assert [part.phases for part in parts] == [(25, 25), (10, 0), (15, 25)]


def test_all_corpora_together_too_short_is_an_error_even_when_redistributing() -> None:
    with pytest.raises(
        DataError, match=r"together are 20 sequences short .* a budget of 80 tokens"
    ):
        allocate(
            {"a": 30, "b": 50},
            {"a": 1, "b": 1},
            tokens=100,
            sequence_length=1,
            max_epochs=1,
            on_short="redistribute",
        )


def test_a_weight_that_rounds_to_nothing_is_an_error_not_a_zero() -> None:
    weights = {"a": 0.9999, "b": 0.0001}
    kw = {"sequence_length": 1, "max_epochs": 10**4}
    with pytest.raises(DataError, match=r"^mix\.weights\.b: .* for sure from 10,000 sequences on"):
        allocate({"a": 3, "b": 3}, weights, tokens=4000, **kw)  # type: ignore[arg-type]
    made = allocate({"a": 3, "b": 3}, weights, tokens=10_000, **kw)  # type: ignore[arg-type]
    assert [a.sequences for a in made] == [9999, 1]
    made = allocate({"a": 3, "b": 3}, {"a": 1, "b": 0}, tokens=4000, **kw)  # type: ignore[arg-type]
    assert [a.sequences for a in made] == [4000, 0]


def test_names_must_match_the_corpora() -> None:
    kw = {"tokens": 10, "sequence_length": 1, "max_epochs": 4}
    with pytest.raises(RecipeError, match=r"no corpus 'wbe'.*did you mean 'web'"):
        allocate({"web": 9}, {"wbe": 1}, **kw)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="no value for code"):
        allocate({"web": 9, "code": 9}, {"web": 1}, **kw)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match=r"mix\.max_epochs: no value for web"):
        allocate({"web": 9}, {"web": 1}, **kw | {"max_epochs": {}})  # type: ignore[arg-type]


def test_the_order_in_which_corpora_are_written_changes_nothing() -> None:
    kw = {"tokens": 101, "sequence_length": 1, "max_epochs": 4}
    one = allocate({"a": 90, "b": 90}, {"a": 1, "b": 1}, **kw)  # type: ignore[arg-type]
    assert one == allocate({"b": 90, "a": 90}, {"b": 1, "a": 1}, **kw)  # type: ignore[arg-type]
    assert [a.sequences for a in one] == [51, 50]


def test_phases_are_apportioned_each_and_capped_together() -> None:
    kw = {"tokens": 1000, "sequence_length": 1, "max_epochs": {"good": 1, "web": 4}}
    phases = [Phase(0.8, {"web": 0.9, "good": 0.1}), Phase(1, {"web": 0.5, "good": 0.5})]
    good, web = allocate_phases({"web": 500, "good": 180}, phases, **kw)  # type: ignore[arg-type]
    assert (good.phases, web.phases) == ((80, 100), (720, 100))
    assert good.requested == good.realised == Fraction(18, 100)
    with pytest.raises(DataError, match=r"good: wanted 180 .* short by 10, would take 1.06 epochs"):
        allocate_phases({"web": 500, "good": 170}, phases, **kw)  # type: ignore[arg-type]
    good, web = allocate_phases(
        {"web": 500, "good": 170},
        phases,
        on_short="redistribute",
        **kw,  # type: ignore[arg-type]
    )
    assert (good.phases, web.phases) == ((80, 90), (720, 110))
    assert good.capped


@pytest.mark.parametrize("untils", [(0.5,), (0.8, 0.4, 1), (0.5, 0.5, 1), (1.5, 1), (0, 1)])
def test_phases_must_rise_to_one(untils: tuple[float, ...]) -> None:
    phases = [Phase(until, {"a": 1}) for until in untils]
    with pytest.raises(RecipeError, match=r"^mix\.until: "):
        allocate_phases({"a": 9}, phases, tokens=10, sequence_length=1, max_epochs=4)


def test_effective_tokens_follow_the_repetition_law() -> None:
    def effective(epochs: int) -> float:
        (a,) = allocate(
            {"a": 100}, {"a": 1}, tokens=1000 * epochs, sequence_length=10, max_epochs=10**6
        )
        return a.effective_tokens

    assert effective(1) == 1000
    # 2305.16264: up to four epochs are nearly as good as fresh data; R* + 1 is never passed.
    assert effective(4) == pytest.approx(
        1000 * (1 + 15.39 * (1 - 2.718281828459045 ** (-3 / 15.39)))
    )
    assert 3700 < effective(4) < 4000
    assert effective(100_000) == pytest.approx(16_390)
