"""Looks: declared beforehand, few, their levels alpha together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.trial.looks import Look, looks_until, one_look
from corpus_builder.trial.trial import Options, _Trial


def test_one_look_has_all_of_alpha() -> None:
    assert one_look(3, 0.05) == (Look(3, 0.05),)


def test_looks_double_and_end_at_the_last() -> None:
    assert [look.seeds for look in looks_until(3, 12, 0.05)] == [3, 6, 12]
    assert [look.seeds for look in looks_until(3, 10, 0.05)] == [3, 6, 10]
    assert [look.seeds for look in looks_until(5, 5, 0.05)] == [5]


@given(st.integers(2, 10), st.integers(0, 40))
def test_levels_spend_alpha_and_no_more(first: int, more: int) -> None:
    looks = looks_until(first, first + more, 0.05)
    assert sum(look.alpha for look in looks) == pytest.approx(0.05)
    assert looks[0].seeds == first and looks[-1].seeds == first + more
    assert all(look.alpha > 0 for look in looks)


@pytest.mark.parametrize("seeds", [2, 8, 20, 1_000])
def test_undecided_arms_go_on_to_four_times_the_seeds(seeds: int) -> None:
    trial: Any = SimpleNamespace(
        options=Options(until_decided=True), trial=SimpleNamespace(seeds=seeds)
    )
    anything: Any = SimpleNamespace(data={"base": None, "arm": None})
    fitted = _Trial._fitted(trial, anything, 1_000, anything)
    looks = _Trial._looks(trial, fitted, anything)
    assert [look.seeds for look in looks] == [seeds, 2 * seeds, 4 * seeds]
    assert fitted.more == 2 * 3 * seeds
    alone: Any = SimpleNamespace(data={"base": None})
    fitted = _Trial._fitted(trial, alone, 1_000, alone)
    assert (fitted.more, len(_Trial._looks(trial, fitted, alone))) == (0, 1), "nothing to decide"
