"""Search and answer: near the true optimum, sure only where the swarm is, flat where it is flat."""

from __future__ import annotations

import numpy as np
import pytest
from swarms import HELPS, Array, measured, mixes, room, truth

from corpus_builder.optimise import answer as answers
from corpus_builder.optimise.answer import Answer, answer, effects, resamples
from corpus_builder.optimise.choosing import Swarm, candidates
from corpus_builder.optimise.laws import PowerFits
from corpus_builder.optimise.search import around, best, considered
from corpus_builder.optimise.swarm import Room, drawn, room_of, swarm

LAWS = candidates(boosted=False)


@pytest.fixture(scope="module", autouse=True)
def _fewer_resamples() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answers, "RESAMPLES", 40)
        yield


def wanted(at: Array) -> Array:
    """The true loss that `measured` asks for."""
    return 0.5 * (truth(at, "qa") + truth(at, "code"))


@pytest.fixture(scope="module")
def found() -> Answer:
    """32 runs of a known truth."""
    return answer(room(), measured(mixes()), 0, LAWS)


def test_the_chosen_mix_is_nearly_the_best_there_is(found: Answer) -> None:
    field = np.concatenate(drawn(room(), 20_000, 9))
    regret = wanted(found.mix[None])[0] - wanted(field).min()
    gap = wanted(room().natural[None])[0] - wanted(field).min()
    assert regret < 0.05 * gap


def test_predictions_are_near_the_truth(found: Answer) -> None:
    assert found.predicted["best"] == pytest.approx(wanted(found.mix[None])[0], abs=0.03)
    assert found.predicted["natural"] == pytest.approx(wanted(room().natural[None])[0], abs=0.03)
    gain = wanted(room().natural[None])[0] - wanted(found.mix[None])[0]
    assert found.gains["natural"].value == pytest.approx(gain, abs=0.03)
    assert found.finding == "better"


def test_the_region_holds_the_best_mix_and_no_other_corpus(found: Answer) -> None:
    field = np.concatenate(drawn(room(), 20_000, 9))
    true = field[np.argsort(wanted(field))[:20]].mean(0)
    for share, (name, region) in zip(true, found.best.items(), strict=True):
        assert region.low - 0.12 < share < region.high + 0.12, name
    assert found.best["books"].high < 0.1
    assert found.best["qa"].low > 0.25


def test_it_is_the_same_answer_again(found: Answer) -> None:
    assert answer(room(), measured(mixes()), 0, LAWS) == found


def test_of_noise_it_cannot_tell() -> None:
    rng, x = np.random.default_rng(5), mixes()
    noise = Swarm(x, 2 + rng.normal(0, 0.02, (1, 32)), np.ones(1))
    assert answer(room(), noise, 0, LAWS).finding == "cannot tell"


def test_where_natural_is_best_the_optimum_is_flat() -> None:
    """A loss that rises with the distance from the natural mix."""
    x, here = mixes(), room()
    away = ((np.sqrt(x) - np.sqrt(here.natural)) ** 2).sum(1)
    losses = 2 + 0.3 * away + np.random.default_rng(0).normal(0, 0.01, 32)
    assert answer(here, Swarm(x, losses[None], np.ones(1)), 0, LAWS).finding == "flat"


def test_caps_bind_and_are_kept() -> None:
    """No more than a tenth of what both targets want most."""
    from swarms import AVAILABLE

    limits = dict.fromkeys(AVAILABLE, 4) | {"qa": 0.08}
    from fractions import Fraction

    here = room_of(AVAILABLE, {n: Fraction(str(v)) for n, v in limits.items()}, [2000])
    assert here.most[4] == pytest.approx(0.1)
    x = swarm(here, 32, 0)
    got = answer(here, Swarm(x, truth(x, "qa")[None], np.ones(1)), 0, LAWS)
    assert here.allows(got.mix)
    assert got.best["qa"].value > 0.095


def test_effects_have_the_signs_of_the_truth() -> None:
    x, here = mixes(40), room()
    weights = resamples(40, 0)
    losses = dict(zip(HELPS, measured(x).losses, strict=True))
    found = effects(here, x, losses, weights, dict.fromkeys(HELPS, 1 / len(HELPS)))
    for target, helps in HELPS.items():
        signs = {name: part.sign for name, part in found[target].items()}
        names = list(here.names)
        assert signs[names[helps.argmax()]] == -1
        assert signs["books"] == 1
    for name, part in found["target"].items():
        assert part.value == pytest.approx(np.mean([found[each][name].value for each in HELPS]))


def test_a_single_target_is_its_own_mean() -> None:
    x = mixes(40)
    found = effects(room(), x, {"qa": measured(x).losses[0]}, resamples(40, 0), {"qa": 1.0})
    assert [*found] == ["qa"]


def test_effects_are_asked_of_mixes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A corpus of nearly everything has no point to gain: one is taken from it instead."""
    asked: list[Array] = []
    fitted = PowerFits.predict

    def predict(self: PowerFits, at: Array) -> Array:
        asked.append(at)
        return fitted(self, at)

    monkeypatch.setattr(PowerFits, "predict", predict)
    natural = np.array([0.996, 0.004])
    share = np.linspace(0.2, 1, 24)
    x, here = np.stack([share, 1 - share], 1), Room(("most", "rare"), natural, np.ones(2))
    losses = {"qa": 2 + 0.2 * x[:, 0] ** 0.8}
    row = effects(here, x, losses, resamples(24, 0), {"qa": 1.0})["qa"]
    assert asked[0].sum(1) == pytest.approx(1) and (asked[0] >= 0).all()
    assert (row["most"].sign, row["rare"].sign) == (1, -1)
    assert row["most"].value == pytest.approx(-row["rare"].value, rel=1e-6)


def test_the_effect_of_what_does_not_matter_is_not_clear() -> None:
    rng, x = np.random.default_rng(3), mixes(40)
    losses = {"qa": 2 + rng.normal(0, 0.05, 40)}
    row = effects(room(), x, losses, resamples(40, 0), {"qa": 1.0})["qa"]
    assert sum(part.sign != 0 for part in row.values()) <= 2


def test_what_is_considered_is_allowed_and_near_the_swarm() -> None:
    here, x = room(epochs=1, budget=4000), swarm(room(epochs=1, budget=4000), 24, 0)
    field = np.concatenate([considered(here, x, 1), around(here, x, here.natural, 2)])
    assert here.allows(field)
    apart = np.sqrt(((np.sqrt(field)[:, None] - np.sqrt(x)[None]) ** 2).sum(2)).min(1)
    own = np.sqrt(((np.sqrt(x)[:, None] - np.sqrt(x)[None]) ** 2).sum(2))
    np.fill_diagonal(own, np.inf)
    assert apart.max() <= own.min(1).max() + 1e-9


def test_the_best_is_a_mean_of_the_best() -> None:
    field = np.array([[1.0, 0], [0, 1], [0.5, 0.5], [0.2, 0.8]])
    predicted = np.array([[3.0, 1, 2, 4], [1, 2, 3, 0]])
    assert best(predicted, field, 2).tolist() == [[0.25, 0.75], [0.6, 0.4]]


def test_a_mean_of_the_best_costs_little_and_many_cost_more() -> None:
    """Held-out regret on simulated swarms: what decides TOP, and that draws beat the best run."""
    from corpus_builder.optimise.laws import concave

    regret: dict[int, list[float]] = {1: [], 16: [], 512: [], 0: []}
    for seed in range(12):
        x = mixes()
        swarm_ = measured(x, noise=0.02, seed=seed)
        field = considered(room(), x, 1)
        least = wanted(np.concatenate(drawn(room(), 8000, 9))).min()
        parts = [concave().fit(x, y[None], np.ones((1, 32))).predict(field) for y in swarm_.losses]
        predicted = 0.5 * (parts[0] + parts[1])
        for top in (1, 16, 512):
            regret[top].append(wanted(best(predicted, field, top))[0] - least)
        regret[0].append(wanted(x[[swarm_.headline.argmin()]])[0] - least)
    means = {top: float(np.mean(each)) for top, each in regret.items()}
    assert means[16] < means[1] + 0.004
    assert means[16] < means[512]
    assert means[16] < 0.5 * means[0]
