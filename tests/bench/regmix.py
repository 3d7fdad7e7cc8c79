"""Predicting the loss of mixes on RegMix's own runs (2407.01492): ours beside published methods.

    python tests/bench/regmix.py --data ../shared/data/regmix        (about 4 minutes)

First table: fitted to all 512 runs of 1M parameters, Spearman's rho x 100 of predicted and measured
losses of mixes never fitted, at three scales; `CC` is Pile-CC, `13` the mean over all targets.
Second: over random draws of 32 runs, the 1B loss (Pile-CC, nats) of the mix chosen among the 64
trained at 1B, minus the best one's. Peers: linear regression and LightGBM with RegMix's settings
(1,000 trees at .01, without its early stopping, which looked at the test runs; with leaves of 3
runs where there are 32, since its 20 would split nothing).
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from corpus_builder.optimise import boosted
from corpus_builder.optimise.choosing import ENSEMBLE_NAME, Swarm, candidates, choose, fit_all

CC, SCALES = 8, ("1m", "60m", "1B")
Array = np.ndarray[Any, Any]


def table(path: Path) -> Array:
    """A CSV file without its index column."""
    return np.loadtxt(path, delimiter=",", skiprows=1)[:, 1:]


def load(folder: Path) -> tuple[Array, Array, dict[str, tuple[Array, Array]]]:
    """(mixes, losses) of the 512 runs, and of the tests by scale; mixes made to sum to 1 again."""

    def mixes(name: str) -> Array:
        found = table(folder / f"{name}.csv")
        return found / found.sum(1, keepdims=True)

    tests = {
        scale: (mixes(f"test_mixture_{scale}"), table(folder / f"test_pile_loss_{scale}.csv"))
        for scale in SCALES
    }
    return mixes("train_mixture_1m"), table(folder / "train_pile_loss_1m.csv"), tests


def linear(mixes: Array, losses: Array) -> Callable[[Array], Array]:
    """Least squares; shares sum to 1, so they hold the intercept."""
    found = np.linalg.lstsq(mixes, losses, rcond=None)[0]
    return lambda at: at @ found


def regmix_trees(mixes: Array, losses: Array) -> Callable[[Array], Array]:
    """LightGBM as RegMix sets it."""
    import lightgbm

    fewest = 20 if len(mixes) >= 128 else 3
    settings = boosted.SETTINGS | {"learning_rate": 0.01, "min_data_in_leaf": fewest}
    data = lightgbm.Dataset(mixes, losses, params=settings)
    return lightgbm.train(settings, data, 1000).predict


PEERS = {"linear (peer)": linear, "LightGBM as RegMix (peer)": regmix_trees}


def predicted(train: Array, losses: Array, at: dict[str, Array]) -> dict[str, dict[str, Array]]:
    """method -> scale -> predictions for one target, ours and theirs."""
    swarm = Swarm(train, losses[None], np.ones(1))
    ours = fit_all(candidates(), swarm, np.ones((1, len(train))))
    found = {name: {s: fits.predict(x)[0] for s, x in at.items()} for name, fits in ours.items()}
    for name, peer in PEERS.items():
        fitted = peer(train, losses)
        found[name] = {scale: fitted(x) for scale, x in at.items()}
    return found


def correlations(folder: Path) -> dict[str, dict[str, Array]]:
    """method -> scale -> rho x 100 of each target, fitted to all 512 runs."""
    mixes, losses, tests = load(folder)
    at = {scale: x for scale, (x, _) in tests.items()}
    found: dict[str, dict[str, list[float]]] = {}
    for target in range(losses.shape[1]):
        for name, by_scale in predicted(mixes, losses[:, target], at).items():
            for scale, values in by_scale.items():
                rho = spearmanr(values, tests[scale][1][:, target])[0] * 100
                found.setdefault(name, {}).setdefault(scale, []).append(rho)
    return {name: {s: np.array(r) for s, r in each.items()} for name, each in found.items()}


def regrets(folder: Path, draws: int, runs: int = 32) -> tuple[dict[str, Array], Counter[str]]:
    """method -> regret of each draw, and how often the chooser took which."""
    mixes, losses, tests = load(folder)
    x, y = tests["1B"][0], tests["1B"][1][:, CC]
    found: dict[str, list[float]] = {}
    taken: Counter[str] = Counter()
    for draw in range(draws):
        rows = np.random.default_rng(draw).permutation(len(mixes))[:runs]
        each = predicted(mixes[rows], losses[rows, CC], {"1B": x})
        swarm = Swarm(mixes[rows], losses[rows, CC][None], np.ones(1))
        choice = choose(candidates(), swarm, np.ones((1, runs)))
        chosen = choice.names[choice.chosen[0]]
        taken[chosen] += 1
        each["chosen by cross-validation"] = each[chosen]
        for name, by_scale in each.items():
            found.setdefault(name, []).append(float(y[by_scale["1B"].argmin()] - y.min()))
    return {name: np.array(each) for name, each in found.items()}, taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of RegMix's CSV files")
    parser.add_argument("--draws", type=int, default=100)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    print(f"{'Spearman x 100':<34}" + "".join(f"{f'{s} CC':>8}{f'{s} 13':>8}" for s in SCALES))
    found = correlations(options.data)
    for name, each in found.items():
        cells = "".join(f"{each[s][CC]:8.2f}{each[s].mean():8.2f}" for s in SCALES)
        print(f"{name:<34}{cells}")
    ours, peer = found[ENSEMBLE_NAME], found["LightGBM as RegMix (peer)"]
    cells = "".join(
        f"{ours[s][CC] / peer[s][CC]:8.4f}{ours[s].mean() / peer[s].mean():8.4f}" for s in SCALES
    )
    print(f"{'ratio, ensemble / RegMix':<34}{cells}")
    print(f"\nregret at 1B, nats, {options.draws} draws of 32 runs of 1M")
    print(f"{'':<34}{'median':>8}{'mean':>8}{'p90':>8}{'= 0':>8}")
    regret, taken = regrets(options.data, options.draws)
    for name, each in regret.items():
        print(
            f"{name:<34}{np.median(each):8.4f}{each.mean():8.4f}"
            f"{np.quantile(each, 0.9):8.4f}{(each == 0).mean():8.0%}"
        )
    print("chosen:", ", ".join(f"{name} {count}" for name, count in taken.most_common()))


if __name__ == "__main__":
    main()
