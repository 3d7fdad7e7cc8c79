"""Whether a trial can be believed: an A/A arm that must look equal, a damaged series that must not.

Invariant: a report is `void` when a self-test that was run fails; the chance that a sound trial
fails the A/A test is <= its alpha, and is stated. A self-test that was not run proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpus_builder.store.errors import DataError
from corpus_builder.train.statistics.comparison import Comparisons, Verdict
from corpus_builder.train.statistics.distributions import Floats, t_two_sided
from corpus_builder.train.statistics.family import holm


@dataclass(frozen=True)
class SelfTest:
    """`passed`, why in words, and the chance that a sound trial fails (None: unknown)."""

    passed: bool
    reason: str
    false_alarm: float | None


def aa_verdict(comparisons: Comparisons) -> SelfTest:
    """Judge the base against itself, trained on a data draw of its own for every seed.

    Args:
        comparisons: of the A/A arms alone (`compare_arms` on a `Measurements` with no other arm),
            so that the real arms neither dilute their alpha nor are diluted by it.
    """
    every = (*comparisons.headline, *comparisons.corpora)
    alpha = comparisons.terms.alpha
    if any(c.identical for c in every):
        return SelfTest(
            False,
            "an A/A arm repeats the base bit for bit: it shares the base's data draw and proves "
            "nothing; give it a draw of its own",
            None,
        )
    called = [c for c in every if c.verdict in (Verdict.BETTER, Verdict.WORSE)]
    if called:
        names = ", ".join(f"{c.arm} on {c.corpus or 'the headline'}" for c in called)
        return SelfTest(
            False, f"the base was called {called[0].verdict} than itself: {names}", alpha
        )
    return SelfTest(True, f"no difference called in {len(every)} A/A comparisons", alpha)


@dataclass(frozen=True)
class GradedSeries:
    """What the known-bad series shows.

    Attributes:
        damage: shares of tokens damaged, ascending from 0.
        means: bits per byte, mean over seeds.
        p_holm: of "no worse than undamaged", one-sided, paired over seeds; one a level above 0.
        smallest_seen: least damage that was called worse; None if none was.
        test: passes when every step rises and the worst level was called worse.
    """

    damage: tuple[float, ...]
    means: tuple[float, ...]
    p_holm: tuple[float, ...]
    smallest_seen: float | None
    test: SelfTest


def graded_series_in_order(
    damage: Sequence[float], losses: Floats, alpha: float = 0.05
) -> GradedSeries:
    """Judge a series of ever more damaged data, which an honest trial ranks as damaged.

    A step whose true rise is g is out of order by chance with probability Phi(-g sqrt(seeds) / sd):
    for g = .03 bits per byte and sd .03, 4 % at 3 seeds, .1 % at 10.

    Args:
        damage: ascending from 0, for example 0, .05, .2, .5 of tokens shuffled.
        losses: (levels, seeds), bits per byte on a declared target; columns are paired seeds.
    Raises:
        DataError: levels that do not ascend from 0, losses of another shape or not finite.
    """
    where = "trial: graded series"
    levels = np.asarray(damage, np.float64)
    if len(levels) < 2 or levels[0] != 0 or (np.diff(levels) <= 0).any():
        raise DataError(where, f"damage {list(damage)} does not ascend from 0")
    if losses.ndim != 2 or len(losses) != len(levels) or losses.shape[1] < 2:
        raise DataError(where, f"losses of shape {losses.shape}", allowed="(levels, seeds >= 2)")
    if not np.isfinite(losses).all():
        raise DataError(where, "a loss is not finite")
    p = holm(_one_sided(losses[1:] - losses[0]), np.ones(len(levels) - 1))
    means = losses.mean(1)
    seen = [float(d) for d, worse in zip(levels[1:], p <= alpha, strict=True) if worse]
    return GradedSeries(
        damage=tuple(levels.tolist()),
        means=tuple(means.tolist()),
        p_holm=tuple(p.tolist()),
        smallest_seen=min(seen, default=None),
        test=_ranked(levels, means, bool(p[-1] <= alpha)),
    )


def _one_sided(rises: Floats) -> Floats:
    """p of "does not rise", paired t over the last axis."""
    seeds = rises.shape[-1]
    mean, error = rises.mean(-1), rises.std(-1, ddof=1) / np.sqrt(seeds)
    without_spread = np.where(mean == 0, 0.0, np.inf)
    t = np.divide(mean, error, out=without_spread, where=error > 0)
    half = t_two_sided(t, seeds - 1) / 2
    return np.where(mean > 0, half, 1 - half)


def _ranked(levels: Floats, means: Floats, worst_seen: bool) -> SelfTest:
    falls = np.flatnonzero(np.diff(means) <= 0)
    if len(falls):
        less, more = levels[falls[0]], levels[falls[0] + 1]
        reason = f"out of order: {more:.0%} damage scores no worse than {less:.0%}"
        return SelfTest(False, reason, None)
    if not worst_seen:
        reason = f"in order, but {levels[-1]:.0%} damage was not called worse"
        return SelfTest(False, f"{reason}: more seeds or tokens are needed to see anything", None)
    return SelfTest(True, "in order, and the worst level was called worse", None)


def void_because(*tests: SelfTest) -> tuple[str, ...]:
    """Why a report with these self-tests is void; empty when it stands."""
    return tuple(test.reason for test in tests if not test.passed)
