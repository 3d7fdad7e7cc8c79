"""The chooser: honest folds, the standing law, the ensemble."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from swarms import HELPS, measured, mixes, truth

from corpus_builder.optimise import choosing
from corpus_builder.optimise.boosted import is_installed
from corpus_builder.optimise.choosing import Swarm, candidates, choose, ensemble, fit_all, left_out
from corpus_builder.optimise.laws import ExponentialFits, ExponentialLaw, PowerLaw, concave

LAWS = candidates(boosted=False)


def test_a_run_is_not_predicted_from_itself() -> None:
    x = mixes(30)
    sound = measured(x)
    spoilt = Swarm(x, sound.losses + np.where(np.arange(30) == 7, 5.0, 0.0), sound.target)
    ones = np.ones((1, 30))
    before, after = left_out(LAWS, sound, ones), left_out(LAWS, spoilt, ones)
    for name in before:
        assert after[name][0, 7] == pytest.approx(before[name][0, 7], rel=1e-9)


def test_copies_of_a_run_share_its_fold() -> None:
    """Counting a run three times must not let two of the copies predict the third."""
    x = mixes(30)
    weights = np.ones((1, 30))
    weights[0, 4] = 3
    sound = measured(x)
    spoilt = Swarm(x, sound.losses + np.where(np.arange(30) == 4, 5.0, 0.0), sound.target)
    a, b = left_out(LAWS, sound, weights), left_out(LAWS, spoilt, weights)
    for name in a:
        assert a[name][0, 4] == pytest.approx(b[name][0, 4], rel=1e-9)


def test_the_first_candidate_stands_on_noise() -> None:
    rng, x = np.random.default_rng(0), mixes(32)
    for _ in range(4):
        noise = Swarm(x, 2 + rng.normal(0, 0.05, (1, 32)), np.ones(1))
        assert choose(LAWS, noise, np.ones((1, 32))).chosen.tolist() == [0]


def test_a_clearly_better_candidate_is_taken() -> None:
    """The exponential law first, losses that follow a power law."""
    x = mixes(64)
    laws = (ExponentialLaw(), concave())
    planted = Swarm(x, truth(x, "qa")[None], np.ones(1))
    choice = choose(laws, planted, np.ones((1, 64)))
    assert choice.names[choice.chosen[0]] == "concave power law"
    assert choice.errors[1, 0] < choice.errors[0, 0]


def test_a_law_that_explains_nothing_gives_way_to_one_that_explains_most() -> None:
    """One corner that the first misses by far hides how much better the other is elsewhere."""

    class Mean(ExponentialLaw):
        """Says the mean of what it was shown, and of a corner that it is 3 higher."""

        name = "mean"

        def fit(self, x, losses, weights):  # type: ignore[no-untyped-def]
            share = weights / weights.sum(1, keepdims=True)
            mean = (share * losses).sum(1)[:, None]
            predict = lambda mixes: mean + 3.0 * (mixes.max(1) > 0.999)[None]  # noqa: E731
            return SimpleNamespace(predict=predict)

    x = mixes(24)
    x[0] = np.eye(x.shape[1])[0]
    planted = Swarm(x, truth(x, "qa")[None], np.ones(1))
    choice = choose((Mean(), concave()), planted, np.ones((1, 24)))
    assert choice.errors[0, 0] > planted.headline.std()
    assert choice.names[choice.chosen[0]] == "concave power law"


def test_several_targets_are_fitted_one_by_one_and_summed() -> None:
    """A sum of laws is no law: fitted as one, the optimum is a corner it should not be."""
    x = mixes(48)
    swarm = measured(x, noise=0)
    summed = fit_all(LAWS, swarm, np.ones((1, 48)))["power law"].predict(x)[0]
    each = [
        PowerLaw().fit(x, truth(x, target)[None], np.ones((1, 48))).predict(x)[0]
        for target in HELPS
    ]
    assert summed == pytest.approx(np.mean(each, axis=0), rel=1e-9)


def test_an_ensemble_of_one_member_is_that_member() -> None:
    x, ones = mixes(30), np.ones((2, 30))
    fits = concave().fit(x, np.stack([truth(x, target) for target in HELPS]), ones)
    assert ensemble([fits], x, ones).predict(x) == pytest.approx(fits.predict(x), rel=1e-9)


def test_an_ensemble_weighs_members_by_their_order_not_their_scale() -> None:
    x, ones = mixes(30), np.ones((1, 30))
    one = ExponentialFits(np.zeros(1), np.array([[0.1, 0.2, 0.3, 0.4, 0.5]]))
    wide = ExponentialFits(np.array([3.0]), np.array([[0.1, 0.2, 0.3, 0.4, 0.5]]) + 5)
    found = ensemble([one, wide], x, ones).predict(x)[0]
    assert np.argsort(found).tolist() == np.argsort(one.predict(x)[0]).tolist()
    spreads = one.predict(x).std(), wide.predict(x).std()
    assert found.std() == pytest.approx(np.mean(spreads), rel=1e-3)


def test_lightgbm_is_a_candidate_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [law.name for law in candidates()][3:] == (["LightGBM"] if is_installed() else [])
    monkeypatch.setattr(choosing, "is_installed", lambda: False)
    assert [law.name for law in candidates()] == [
        "concave power law", "power law", "exponential law",
    ]  # fmt: skip


@pytest.mark.skipif(not is_installed(), reason="LightGBM is an optional extra")
def test_trees_and_their_ensemble_predict() -> None:
    x = mixes(48)
    found = fit_all(candidates(), measured(x), np.ones((1, 48)))
    assert [*found][3:] == ["LightGBM", choosing.ENSEMBLE_NAME]
    wanted = 0.5 * (truth(x, "qa") + truth(x, "code"))
    for name in ("LightGBM", choosing.ENSEMBLE_NAME):
        assert np.corrcoef(found[name].predict(x)[0], wanted)[0, 1] > 0.8
