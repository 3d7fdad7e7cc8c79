"""A report stands only while the base equals itself and damage ranks as damage."""

from __future__ import annotations

import numpy as np
import pytest

from corpus_builder.store.errors import DataError
from corpus_builder.train.statistics.measurements import Measurements
from corpus_builder.train.statistics.selftests import (
    aa_verdict,
    graded_series_in_order,
    void_because,
)
from corpus_builder.train.statistics.verdicts import compare_arms

DAMAGE = (0.0, 0.05, 0.2, 0.5)


def aa_trial(seed: int, bias: float) -> Measurements:
    """The base beside a twin on a data draw of its own, moved by `bias` where the trial is sick."""
    rng = np.random.default_rng(seed)
    sizes = {c: rng.integers(500, 5000, 60) for c in ("web", "code")}
    base = {c: rng.normal(1.5, 0.2, (5, 60)) * m for c, m in sizes.items()}
    moved = bias + 0.03 * rng.standard_normal((5, 1))
    twin = {
        c: base[c] + (moved + 0.05 * rng.standard_normal((5, 60))) * m for c, m in sizes.items()
    }
    return Measurements(sizes, base, {"a/a": twin})


def test_a_sound_trial_fails_no_more_often_than_stated() -> None:
    verdicts = [
        aa_verdict(compare_arms(aa_trial(i, 0.0), {"web": 1, "code": 1})) for i in range(99)
    ]
    assert verdicts[0].false_alarm == 0.05
    assert sum(not v.passed for v in verdicts) <= 12  # binomial(99, .05): beyond 12 one in 2,500


def test_a_trial_that_tells_the_base_from_itself_is_void() -> None:
    found = aa_verdict(compare_arms(aa_trial(1, 0.4), {"web": 1, "code": 1}))
    assert not found.passed
    assert "the base was called worse than itself" in found.reason
    assert void_because(found) == (found.reason,)


def test_a_twin_on_the_same_draw_proves_nothing() -> None:
    trial = aa_trial(0, 0.0)
    same = Measurements(trial.bytes, trial.base, {"a/a": trial.base})
    found = aa_verdict(compare_arms(same, {"web": 1, "code": 1}))
    assert not found.passed
    assert "bit for bit" in found.reason


def series(means: list[float], sd: float = 0.02, seeds: int = 4) -> np.ndarray:
    rng = np.random.default_rng(3)
    common = 0.16 * rng.standard_normal(seeds)
    return np.array(means)[:, None] + common + sd * rng.standard_normal((len(means), seeds))


def test_a_series_in_order_passes_and_says_what_it_could_see() -> None:
    found = graded_series_in_order(DAMAGE, series([1.0, 1.005, 1.5, 2.0], sd=0.001))
    assert found.test.passed
    assert found.smallest_seen == 0.05
    blurred = graded_series_in_order(DAMAGE, series([1.0, 1.02, 1.5, 2.0], sd=0.05))
    assert blurred.test.passed
    assert blurred.smallest_seen == 0.2
    assert void_because(found.test, blurred.test) == ()


def test_a_series_out_of_order_is_void_and_names_the_step() -> None:
    found = graded_series_in_order(DAMAGE, series([1.0, 1.4, 1.2, 2.0]))
    assert not found.test.passed
    assert found.test.reason == "out of order: 20% damage scores no worse than 5%"


def test_a_series_in_order_by_luck_is_void_too() -> None:
    losses = np.array([[1.0, 1.0, 1.0], [1.1, 0.95, 1.0], [1.2, 0.9, 1.0], [1.6, 0.8, 1.0]])
    found = graded_series_in_order(DAMAGE, losses)
    assert not found.test.passed
    assert "was not called worse" in found.test.reason
    assert found.smallest_seen is None


def test_damage_that_helps_is_never_called_worse() -> None:
    found = graded_series_in_order(DAMAGE, series([1.0, 0.5, 1.5, 2.0], sd=0.001))
    assert found.p_holm[0] > 0.99
    assert found.smallest_seen == 0.2
    assert not found.test.passed


def test_without_any_spread_the_sign_decides() -> None:
    flat = np.repeat([[1.0], [1.0], [1.25], [1.5]], 3, axis=1)
    found = graded_series_in_order(DAMAGE, flat)
    assert found.p_holm == pytest.approx((0.5, 0.0, 0.0))
    assert not found.test.passed  # 5 % scores the same as 0 %


@pytest.mark.parametrize(
    ("damage", "losses", "message"),
    [
        ((0.1, 0.5), np.ones((2, 3)), "does not ascend from 0"),
        ((0, 0.5, 0.2), np.ones((3, 3)), "does not ascend from 0"),
        ((0, 0.5), np.ones((3, 3)), "shape"),
        ((0, 0.5), np.ones((2, 1)), "shape"),
        ((0, 0.5), np.full((2, 3), np.nan), "not finite"),
    ],
)
def test_a_series_that_is_none_is_refused(
    damage: tuple[float, ...], losses: np.ndarray, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        graded_series_in_order(damage, losses)
