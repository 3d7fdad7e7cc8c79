"""What a trial tries on itself: an A/A arm, a damaged series, and a tenth of the learning rate.

Invariant: the arms of the checks have names that no recipe's can have; they are compared in
families of their own, so they neither cost the real arms any alpha nor are helped by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..recipe_trial import BASE_ARM, HEADLINE
from ..train.statistics.comparison import Comparison, Terms, Verdict
from ..train.statistics.measurements import headline_weights
from ..train.statistics.selftests import (
    GradedSeries,
    SelfTest,
    aa_verdict,
    graded_series_in_order,
    void_because,
)
from ..train.statistics.verdicts import compare_arms
from .looks import ALPHA
from .measured import Key, Results, measurements
from .runs import Result, Run
from .settings import Settings

if TYPE_CHECKING:
    from .design import Design

AA = "self.aa"
AA_SEEDS = 1 << 32
"""Added to the seed of an A/A run's order: no paired seed draws the same data."""
DAMAGE = (0.05, 0.2, 0.5)
"""Shares of tokens shuffled in the known-bad series; the base itself is its sound end."""
SLOWER = 0.1
"""The learning rate of `--lr-check`, of the trial's (2512.24503 compares recipes at small ones)."""


@dataclass(frozen=True)
class SelfTests:
    """Whether the trial can be believed.

    Attributes:
        aa: the base against itself with data drawn anew.
        comparisons: of that, corpus by corpus.
        series: the damaged data.
        void: why the report is void; empty when it stands.
    """

    aa: SelfTest
    comparisons: tuple[Comparison, ...]
    series: GradedSeries
    void: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "void": list(self.void),
            "aa": {
                "passed": self.aa.passed,
                "reason": self.aa.reason,
                "false_alarm": self.aa.false_alarm,
                "comparisons": {c.corpus or HEADLINE: _plain(c) for c in self.comparisons},
            },
            "series": {
                "passed": self.series.test.passed,
                "reason": self.series.test.reason,
                "damage": list(self.series.damage),
                "bits_per_byte": list(self.series.means),
                "p_holm": list(self.series.p_holm),
                "smallest_seen": self.series.smallest_seen,
            },
        }


@dataclass(frozen=True)
class SlowerRate:
    """An arm's headline at a tenth of the learning rate.

    Attributes:
        holds: better or worse here as at the trial's own rate; False where it is the other of the
            two here, None where one of the rates shows neither.
    """

    comparison: Comparison
    holds: bool | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**_plain(self.comparison), "holds": self.holds}


def _plain(found: Comparison) -> dict[str, Any]:
    return {
        "difference": found.difference,
        "interval": list(found.interval),
        "p_holm": found.p_holm,
        "verdict": str(found.verdict),
    }


def damaged(share: float) -> str:
    """Name of the arm with such a share of its tokens shuffled."""
    return f"self.shuffled-{round(100 * share)}"


def slower(arm: str) -> str:
    """Name of an arm at a tenth of the learning rate."""
    return f"slower.{arm}"


def self_test_runs(design: Design, settings: Settings, seeds: int) -> dict[Key, Run]:
    """The base on another draw of its data, and on damaged data, with every seed."""
    base = design.data[BASE_ARM]
    found: dict[Key, Run] = {}
    for seed in range(seeds):
        sound = design.run(BASE_ARM, seed, settings)
        found[AA, seed] = replace(sound, arm=AA, order=base.order(AA_SEEDS + seed))
        for share in DAMAGE:
            found[damaged(share), seed] = replace(sound, arm=damaged(share), shuffled=share)
    return found


def slower_runs(design: Design, settings: Settings, seeds: int) -> dict[Key, Run]:
    """Base and arms at a tenth of the learning rate."""
    settings = replace(settings, learning_rate=settings.learning_rate * SLOWER)
    return {
        (slower(arm), seed): replace(design.run(arm, seed, settings), arm=slower(arm))
        for seed in range(seeds)
        for arm in design.data
    }


def judge_self_tests(results: Results, headline: Mapping[str, float], seeds: int) -> SelfTests:
    """What the self-test's runs say of the trial."""
    first = next(iter(results.values()))
    weights = headline_weights(headline, tuple(first.bytes))
    compared = compare_arms(measurements(results, seeds, [AA]), weights, Terms(alpha=ALPHA))
    arms = [BASE_ARM, *(damaged(share) for share in DAMAGE)]
    losses = np.array(
        [[_headline(results[arm, seed], weights) for seed in range(seeds)] for arm in arms]
    )
    aa = aa_verdict(compared)
    series = graded_series_in_order((0.0, *DAMAGE), losses, ALPHA)
    every = (*compared.headline, *compared.corpora)
    return SelfTests(aa, every, series, void_because(aa, series.test))


def judge_slower(
    results: Results, headline: Mapping[str, float], seeds: int, usual: Mapping[str, Verdict]
) -> dict[str, SlowerRate]:
    """Whether each arm's headline keeps its sign at a tenth of the learning rate.

    Args:
        usual: arm -> the verdict on its headline at the trial's own rate.
    """
    names = {slower(arm): arm for arm in usual}
    measured = measurements(results, seeds, list(names), base=slower(BASE_ARM))
    compared = compare_arms(measured, headline, Terms(alpha=ALPHA))
    found = {}
    for c in compared.headline:
        arm = names[c.arm]
        shown = {usual[arm], c.verdict} <= {Verdict.BETTER, Verdict.WORSE}
        found[arm] = SlowerRate(c, usual[arm] is c.verdict if shown else None)
    return found


def _headline(result: Result, weights: Mapping[str, float]) -> float:
    """Bits per byte of one run, corpora weighted."""
    each: dict[str, npt.NDArray[np.float64]] = dict(result.bits)
    return sum(w * float(each[c].sum()) / float(result.bytes[c].sum()) for c, w in weights.items())
