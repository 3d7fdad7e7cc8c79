"""What a trial's intervals cover and see: `python tests/bench/trial_statistics.py`, 2 minutes.

Same simulated trials for every method: ours, Satterthwaite's df on the same variances, a t interval
on seeds alone, and the percentile bootstrap over seeds and documents (400 resamples). Then, in
the same trials, false claims among 24 comparisons at Holm's levels, and power against the forecast.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1] / "train" / "statistics"))

from simulated import World, comparison, trial

from corpus_builder.train.statistics.components import Estimate
from corpus_builder.train.statistics.family import Family, holm
from corpus_builder.train.statistics.forecast import (
    Design,
    power_of_difference,
    smallest_detectable,
)
from corpus_builder.train.statistics.intervals import half_width, p_value

REPLICATES = 3000
BOOTSTRAPPED = 400
RESAMPLES = 400
SEEDS = (3, 5, 10)


def satterthwaite(found: Estimate, level: float) -> np.ndarray:
    """Half-widths with one t whose df are matched to the sum of variances."""
    total = found.variances.sum(-1)
    df = total**2 / (found.variances**2 / found.df).sum(-1)
    return stats.t.isf(level / 2, df) * np.sqrt(total)


def seeds_alone(found: Estimate, level: float) -> np.ndarray:
    """The paired t interval that takes the documents as all there are."""
    return stats.t.isf(level / 2, found.df[:, 0]) * np.sqrt(found.variances[:, 0])


def bootstrap_covers(rng: np.random.Generator, world: World) -> float:
    """Share of percentile intervals that hold the truth, 0."""
    hits = 0
    for _ in range(BOOTSTRAPPED):
        m = np.exp(7.5 + world.lengths * rng.standard_normal(world.documents))
        documents = rng.standard_t(3, world.documents) / np.sqrt(3)
        seeds = rng.standard_normal((world.seeds, 1))
        rest = rng.standard_normal((world.seeds, world.documents))
        y = world.sd_seeds * seeds + world.sd_documents * documents + world.sd_rest * rest
        s = rng.multinomial(world.seeds, np.full(world.seeds, 1 / world.seeds), RESAMPLES)
        d = rng.multinomial(
            world.documents, np.full(world.documents, 1 / world.documents), RESAMPLES
        )
        drawn = ((s @ (y * m)) * d).sum(1) / (d @ m) / world.seeds
        low, high = np.quantile(drawn, (0.025, 0.975))
        hits += low <= 0 <= high
    return hits / BOOTSTRAPPED


def print_coverage() -> None:
    """Coverage of 95 % intervals, and our width over Satterthwaite's."""
    print("coverage of a 95 % interval for new seeds and documents, %; 200 documents, t3 tails")
    print("seeds  sd documents  share  ours  satterthwaite  seeds alone  bootstrap  ours wider by")
    for seeds in SEEDS:
        for sd in (0.05, 0.2, 0.5):
            world = World(seeds, sd_documents=sd)
            rng = np.random.default_rng(seeds)
            found = comparison(rng, world, REPLICATES)
            share = found.variances[:, 1].mean() / found.variances.sum(-1).mean()
            ours = half_width(found.variances, found.df, 0.05)
            usual = satterthwaite(found, 0.05)
            covers = [
                100 * np.mean(np.abs(found.value) <= width)
                for width in (ours, usual, seeds_alone(found, 0.05))
            ]
            boot = 100 * bootstrap_covers(rng, world)
            print(
                f"{seeds:5}  {sd:12}  {share:5.2f}  {covers[0]:4.1f}  {covers[1]:13.1f}  "
                f"{covers[2]:11.1f}  {boot:9.1f}  {100 * (ours.mean() / usual.mean() - 1):11.0f} %"
            )


def exact_error(seeds: int, share: float, level: float, matched: bool) -> float:
    """Chance to err under normal components, the documents' variance known: one integral."""
    scale = stats.chi2.ppf((np.arange(50_000) + 0.5) / 50_000, seeds - 1) / (seeds - 1)
    variances = np.stack([(1 - share) * scale, np.full_like(scale, share)], -1)
    df = np.broadcast_to([seeds - 1, 1e6], variances.shape)
    found = Estimate(np.zeros_like(scale), variances, df)
    width = satterthwaite(found, level) if matched else half_width(variances, df, level)
    return float(np.mean(2 * stats.norm.sf(width)))


def print_exact() -> None:
    """Errors over errors promised, at levels that Holm asks for."""
    print("\nerrors / errors promised (exact), documents' share .05 and .5: ours | satterthwaite")
    for seeds in SEEDS:
        for level in (0.05, 0.01, 0.002, 0.0005):
            row = [
                "  ".join(
                    f"{exact_error(seeds, share, level, matched) / level:6.2f}"
                    for share in (0.05, 0.5)
                )
                for matched in (False, True)
            ]
            print(f"{seeds:3} seeds, level {level:<7} {row[0]}  |  {row[1]}")


def print_family() -> None:
    """Trials with any false claim among 3 arms x (headline + 7 corpora)."""
    print("\ntrials with any false claim, %; 3 arms x 7 corpora and 3 headlines, alpha 5 %")
    print("seeds  tails    ours  satterthwaite  bare p < .05")
    family = Family(3, 7)
    shares = np.repeat([family.headline_weight, family.corpus_weight], [3, 21])
    for seeds in SEEDS:
        for tails in ("t3", "skewed"):
            world = World(seeds, documents=100, tails=tails)
            rng = np.random.default_rng(seeds)
            found = trial(rng, world, 500, np.zeros((3, 7)), np.full(7, 1 / 7))
            p = np.stack([p_value(e.value, e.variances, e.df) for e in found], -1)
            usual = np.stack([_matched_p(e) for e in found], -1)
            any_false = [
                100 * np.mean(claimed.any(-1))
                for claimed in (holm(p, shares) <= 0.05, holm(usual, shares) <= 0.05, p <= 0.05)
            ]
            print(
                f"{seeds:5}  {tails:7}  {any_false[0]:4.1f}  {any_false[1]:13.1f}  "
                f"{any_false[2]:12.1f}"
            )


def _matched_p(found: Estimate) -> np.ndarray:
    total = found.variances.sum(-1)
    df = total**2 / (found.variances**2 / found.df).sum(-1)
    return 2 * stats.t.sf(np.abs(found.value) / np.sqrt(total), df)


def print_power() -> None:
    """Forecast and simulated power, and what the design sees."""
    print("\npower at the smallest difference said to be detectable with 80 %; sd of seeds .03")
    print("seeds  sd documents  difference  forecast  simulated")
    for seeds in SEEDS:
        for sd in (0.05, 0.2):
            design = Design(seeds, sd_seeds=0.03, sd_documents=sd, documents=200)
            effect = smallest_detectable(design)
            world = World(seeds, sd_documents=sd, sd_rest=0, tails="normal", lengths=0)
            found = comparison(np.random.default_rng(seeds), world, REPLICATES, effect)
            called = p_value(found.value, found.variances, found.df) <= 0.05
            print(
                f"{seeds:5}  {sd:12}  {effect:10.4f}  {power_of_difference(design, effect):8.3f}  "
                f"{np.mean(called & (found.value > 0)):9.3f}"
            )


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print_coverage()
    print_exact()
    print_family()
    print_power()
