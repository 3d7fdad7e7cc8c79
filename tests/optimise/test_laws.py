"""The laws recover what they describe, and heed weights."""

from __future__ import annotations

import numpy as np
import pytest
from swarms import HELPS, mixes, truth

from corpus_builder.optimise.boosted import Boosted, is_installed
from corpus_builder.optimise.laws import ExponentialLaw, Law, PowerFits, PowerLaw, concave

LAWS: list[Law] = [PowerLaw(), concave(), ExponentialLaw()]
EVERY = [*LAWS, *([Boosted()] if is_installed() else [])]


def names(law: Law) -> str:
    return law.name


def test_the_power_law_finds_a_planted_one() -> None:
    x, at = mixes(48), mixes(96)[48:]
    planted = PowerFits(
        0.8, *(np.array([v]) for v in (1.1, 0.7, 0.4, 0.03)), np.array([[0.1, 0.02, 0.5, 0.9, 2]])
    )
    fits = concave().fit(x, planted.predict(x), np.ones((1, 48)))
    assert fits.predict(at) == pytest.approx(planted.predict(at), abs=0.01)
    assert fits.helps[0].argsort()[-2:].tolist() == [3, 4]


@pytest.mark.parametrize("law", LAWS, ids=names)
def test_laws_explain_unseen_mixes(law: Law) -> None:
    x, at = mixes(40), mixes(120)[40:]
    y = truth(x, "qa") + np.random.default_rng(0).normal(0, 0.005, 40)
    error = law.fit(x, y[None], np.ones((1, 40))).predict(at)[0] - truth(at, "qa")
    assert error.std() < 0.25 * truth(at, "qa").std()


@pytest.mark.parametrize("law", EVERY, ids=names)
def test_a_run_of_weight_none_has_no_say(law: Law) -> None:
    x = mixes(40)
    y = truth(x, "qa")
    spoilt, weights = y.copy(), np.ones((1, 40))
    weights[0, [3, 17]], spoilt[[3, 17]] = 0, 9.0
    a = law.fit(x, spoilt[None], weights).predict(x)
    b = law.fit(x, y[None], weights).predict(x)
    assert a == pytest.approx(b, rel=1e-9)


@pytest.mark.parametrize("law", EVERY, ids=names)
def test_the_unit_of_the_loss_does_not_matter(law: Law) -> None:
    """Nats a token or bits a byte: the same law, scaled."""
    x = mixes(40)
    y, ones = truth(x, "code")[None], np.ones((1, 40))
    one, hundred = law.fit(x, y, ones).predict(x), law.fit(x, 100 * y, ones).predict(x)
    assert hundred == pytest.approx(100 * one, rel=1e-3)


def test_problems_are_fitted_each_on_its_own() -> None:
    x = mixes(32)
    both = np.stack([truth(x, target) for target in HELPS])
    fits = concave().fit(x, both, np.ones((2, 32)))
    for row in range(2):
        alone = concave().fit(x, both[row : row + 1], np.ones((1, 32)))
        assert alone.predict(x)[0] == pytest.approx(fits.predict(x)[row], rel=1e-5)


def test_the_law_is_robust_to_one_run_gone_wrong() -> None:
    x = mixes(40)
    y = truth(x, "qa")
    spoilt = y.copy()
    spoilt[5] += 1.0
    found = concave().fit(x, spoilt[None], np.ones((1, 40))).predict(x)[0]
    others = np.arange(40) != 5
    assert np.abs(found - y)[others].mean() < 0.02


def test_losses_without_any_spread_are_fitted_flat() -> None:
    x = mixes(16)
    found = concave().fit(x, np.full((1, 16), 2.0), np.ones((1, 16))).predict(x)
    assert found == pytest.approx(2.0, abs=1e-3)
