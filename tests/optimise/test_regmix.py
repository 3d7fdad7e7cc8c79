"""On RegMix's own runs (2407.01492): the figures that the optimiser is held to.

The whole table, with peers, is printed by tests/bench/regmix.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

stats = pytest.importorskip("scipy.stats", reason="needs SciPy: pip install '.[trial]'")

from corpus_builder.optimise.boosted import is_installed  # noqa: E402
from corpus_builder.optimise.choosing import (  # noqa: E402
    ENSEMBLE_NAME,
    Swarm,
    candidates,
    choose,
    fit_all,
)
from corpus_builder.optimise.laws import Fits, PowerLaw, concave  # noqa: E402

Array = np.ndarray
CC, SCALES = 8, ("1m", "60m", "1B")


class Runs:
    """Mixes (made to sum to 1 again: they are rounded) and losses."""

    def __init__(self, folder: Path) -> None:
        def table(name: str) -> Array:
            return np.loadtxt(folder / f"{name}.csv", delimiter=",", skiprows=1)[:, 1:]

        def shares(name: str) -> Array:
            found = table(name)
            return found / found.sum(1, keepdims=True)

        self.mixes, self.losses = shares("train_mixture_1m"), table("train_pile_loss_1m")
        self.tests = {
            s: (shares(f"test_mixture_{s}"), table(f"test_pile_loss_{s}")) for s in SCALES
        }

    def rho(self, fits: Fits) -> dict[str, Array]:
        """Spearman x 100 of each target; fits hold one problem a target."""
        return {
            s: np.array([
                100 * stats.spearmanr(p, y[:, j])[0] for j, p in enumerate(fits.predict(x))
            ])
            for s, (x, y) in self.tests.items()
        }  # fmt: skip


@pytest.fixture(scope="module")
def runs(shared_data: Path) -> Runs:
    if not (shared_data / "regmix").is_dir():
        pytest.skip("RegMix's runs are not in the shared data")
    return Runs(shared_data / "regmix")


@pytest.mark.parametrize(
    ("law", "cc", "mean"),
    [
        (PowerLaw(), (96.8, 96.3, 98.5), (98.0, 97.4, 94.5)),
        (concave(), (98.4, 98.2, 98.8), (98.6, 98.2, 95.0)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_power_laws_rank_mixes_at_every_scale(
    runs: Runs, law: PowerLaw, cc: tuple[float, ...], mean: tuple[float, ...]
) -> None:
    fits = law.fit(runs.mixes, runs.losses.T.copy(), np.ones((13, 512)))
    for scale, least, least_mean in zip(SCALES, cc, mean, strict=True):
        rho = runs.rho(fits)[scale]
        assert rho[CC] >= least, scale
        assert rho.mean() >= least_mean, scale


@pytest.mark.skipif(not is_installed(), reason="LightGBM is an optional extra")
def test_the_ensemble_is_best_on_the_mean_of_all_targets(runs: Runs) -> None:
    rho: dict[str, list[float]] = {scale: [] for scale in SCALES}
    for j in range(13):
        swarm = Swarm(runs.mixes, runs.losses[:, j][None], np.ones(1))
        fits = fit_all(candidates(), swarm, np.ones((1, 512)))[ENSEMBLE_NAME]
        for scale, (x, y) in runs.tests.items():
            rho[scale].append(100 * stats.spearmanr(fits.predict(x)[0], y[:, j])[0])
    means = {scale: float(np.mean(each)) for scale, each in rho.items()}
    assert means["1m"] >= 98.9
    assert means["60m"] >= 98.3
    assert means["1B"] >= 95.3


def test_thirty_two_runs_find_the_best_1b_mix(runs: Runs) -> None:
    """Loss at 1B of the mix chosen among the 64 trained there, minus the best one's, nats."""
    x, y = runs.tests["1B"][0], runs.tests["1B"][1][:, CC]
    laws, regret, rho = candidates(boosted=False), [], []
    for draw in range(20):
        rows = np.random.default_rng(draw).permutation(512)[:32]
        swarm = Swarm(runs.mixes[rows], runs.losses[rows, CC][None], np.ones(1))
        ones = np.ones((1, 32))
        choice = choose(laws, swarm, ones)
        fits = fit_all(laws, swarm, ones)[choice.names[choice.chosen[0]]]
        found = fits.predict(x)[0]
        regret.append(y[found.argmin()] - y.min())
        rho.append(stats.spearmanr(found, y)[0])
    assert np.median(regret) < 0.01
    assert np.mean(regret) < 0.03
    assert np.mean(rho) > 0.95
