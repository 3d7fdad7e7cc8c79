"""Every arm against the base, on the headline and on each corpus, with one of four verdicts.

What is promised, for new seeds and new documents of the same corpora:

1. chance of *any* false "better" or "worse" in the trial <= alpha (`family.holm` on p-values of
   `intervals.p_value`);
2. chance of *any* false "equivalent" <= alpha (Holm on two one-sided tests within the margin);
3. chance that *any* simultaneous interval misses, before it is cut, <= alpha (Bonferroni).

Holm may decide what a Bonferroni interval leaves open. `interval` is then cut at what Holm decided
(0, or the margin), so that no verdict contradicts its interval; the cut stands on promise 1 or 2
(bounds that end at the null are what Holm-compatible intervals give: Strassburger & Bretz 2008,
Stat. Med. 27:4914).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from corpus_builder.train.statistics.comparison import (
    Cause,
    Comparison,
    Comparisons,
    Interval,
    SeedsNeeded,
    Terms,
    Verdict,
)
from corpus_builder.train.statistics.components import Estimate, estimate
from corpus_builder.train.statistics.distributions import t_critical
from corpus_builder.train.statistics.family import Family, holm
from corpus_builder.train.statistics.forecast import seeds_for_equivalence, seeds_needed
from corpus_builder.train.statistics.intervals import equivalence_p, half_width, p_value
from corpus_builder.train.statistics.measurements import Measurements, headline_weights

OPEN = 0.05
"""Chance that the difference over many seeds is further out than is looked, before an arm is given
up."""

ROUNDING = 1e-9
"""Shares of alpha sum to 1 but for rounding, unless arms are absent."""


@dataclass(frozen=True)
class _Target:
    """One comparison to make: `weights` over corpora, `share` of alpha."""

    arm: str
    corpus: str | None
    weights: Mapping[str, float]
    share: float


@dataclass(frozen=True)
class _Tested:
    """One null, alone and Holm-adjusted."""

    p: float
    holm: float


def compare_arms(
    measured: Measurements, headline: Mapping[str, float], terms: Terms | None = None,
    *, others: int = 0,
) -> Comparisons:  # fmt: skip
    """Compare every arm with the base on the headline and on each corpus.

    Args:
        headline: weight of each corpus in the pre-declared mean, of any sum. Where only one corpus
            was measured the headline is that corpus, and the only comparison of an arm.
        others: arms of the trial that are not measured here, having been decided at an earlier
            look. They keep their share of alpha, as if their p-values were 1: whichever arms
            those are, and why, the promises hold.
    Raises:
        RecipeError: headline weights that name no corpus or have no sum.
    """
    terms = terms or Terms()
    weights = headline_weights(headline, measured.corpora)
    targets = _targets(measured, weights, terms, len(measured.arms) + others)
    found = [estimate(measured.parts(t.arm, t.weights)) for t in targets]
    differ = _adjusted([float(p_value(e.value, e.variances, e.df)) for e in found], targets)
    margin = terms.margin
    within: Sequence[_Tested | None] = [None] * len(found)
    if margin is not None:
        alone = [float(equivalence_p(e.value, margin, e.variances, e.df)) for e in found]
        within = _adjusted(alone, targets)
    compared = [
        _judged(measured, target, each, (differs, same), terms)
        for target, each, differs, same in zip(targets, found, differ, within, strict=True)
    ]
    return Comparisons(
        terms=terms,
        seeds=measured.seeds,
        headline=tuple(c for c in compared if c.corpus is None),
        corpora=tuple(c for c in compared if c.corpus is not None),
    )


def _targets(
    measured: Measurements, headline: Mapping[str, float], terms: Terms, arms: int
) -> list[_Target]:
    corpora = measured.corpora if len(measured.corpora) > 1 else ()
    family = Family(arms, len(corpora), terms.headline_share)
    heads = [_Target(arm, None, headline, family.headline_weight) for arm in measured.arms]
    each = [
        _Target(arm, corpus, {corpus: 1.0}, family.corpus_weight)
        for arm in measured.arms
        for corpus in corpora
    ]
    return heads + each


def _adjusted(p: Sequence[float], targets: Sequence[_Target]) -> list[_Tested]:
    shares = [target.share for target in targets]
    absent = 1 - sum(shares)
    if absent > ROUNDING:  # as one null with p = 1, never rejected: its share is handed on to none
        adjusted = holm(np.array([*p, 1.0]), np.array([*shares, absent]))[:-1]
    else:
        adjusted = holm(np.array(p), np.array(shares))
    return [_Tested(*pair) for pair in zip(p, adjusted.tolist(), strict=True)]


def _judged(
    measured: Measurements,
    target: _Target,
    found: Estimate,
    tests: tuple[_Tested, _Tested | None],
    terms: Terms,
) -> Comparison:
    differ, within = tests
    names = ("seeds", *target.weights)
    causes = zip(names, found.variances.tolist(), found.df.tolist(), strict=True)
    identical = _identical(measured, target)
    same = within is not None and within.holm <= terms.alpha
    verdict = _verdict(float(found.value), differ.holm <= terms.alpha, same or identical)
    alone, simultaneous = (_interval(found, a) for a in (terms.alpha, terms.alpha * target.share))
    cut = _cut(simultaneous, verdict, terms.margin if same else None)
    compared = Comparison(
        arm=target.arm,
        corpus=target.corpus,
        difference=float(found.value),
        p=differ.p,
        p_holm=differ.holm,
        p_equivalence=within.p if within else None,
        p_equivalence_holm=within.holm if within else None,
        interval=cut,
        interval_alone=alone,
        causes=tuple(Cause(*cause) for cause in causes),
        weight=target.share,
        verdict=verdict,
        identical=identical,
        within_margin=same,
    )
    return _with_needed(compared, terms)


def _identical(measured: Measurements, target: _Target) -> bool:
    return all(
        np.array_equal(measured.arms[target.arm][corpus], measured.base[corpus])
        for corpus in target.weights
    )


def _verdict(difference: float, differs: bool, same: bool) -> Verdict:
    """A difference that is shown counts first, even within the margin."""
    if differs:
        return Verdict.BETTER if difference < 0 else Verdict.WORSE
    return Verdict.EQUIVALENT if same else Verdict.CANNOT_TELL


def _interval(found: Estimate, level: float) -> Interval:
    width = float(half_width(found.variances, found.df, level))
    return float(found.value) - width, float(found.value) + width


def _cut(interval: Interval, verdict: Verdict, margin: float | None) -> Interval:
    """Within what Holm decided: the sign, the margin."""
    low, high = interval
    if verdict is Verdict.BETTER:
        high = min(high, 0.0)
    if verdict is Verdict.WORSE:
        low = max(low, 0.0)
    if margin is not None:
        low, high = max(low, -margin), min(high, margin)
    return low, high


def _with_needed(compared: Comparison, terms: Terms) -> Comparison:
    """Seeds at the measured spread, at this comparison's own share of alpha."""
    if compared.verdict is not Verdict.CANNOT_TELL or compared.standard_error == 0:
        return compared
    if not _possible(compared, terms):
        return replace(compared, needed=SeedsNeeded(None, None, possible=False))
    design, margin = compared.as_design(terms), terms.margin
    seen = seeds_needed(design, compared.difference)
    none = None if margin is None else seeds_for_equivalence(design, margin)
    needed = SeedsNeeded(
        difference=_above(design.seeds, seen),
        equivalence=_above(design.seeds, none),
        possible=True,
    )
    return replace(compared, needed=needed)


def _above(there: int, needed: int | None) -> int | None:
    """Seeds to go on to; what so many should have settled and did not, is not asked for again."""
    return needed if needed is not None and needed > there else None


def _possible(compared: Comparison, terms: Terms) -> bool:
    """Whether many seeds may settle it, wherever the seeds so far leave the difference.

    The documents stay the same: the difference moves by what is due to seeds alone, and in the end
    the interval is as wide as the documents make it.
    """
    seeds, *documents = compared.causes
    moves = float(t_critical(seeds.df, OPEN)) * seeds.variance**0.5
    variances = np.array([cause.variance for cause in documents])
    df = np.array([cause.df for cause in documents])
    level, seen = terms.alpha * compared.weight, abs(compared.difference)
    if seen + moves > float(half_width(variances, df, level)):
        return True
    if terms.margin is None:
        return False
    near = max(0.0, seen - moves)
    return bool(near + float(half_width(variances, df, 2 * level)) < terms.margin)
