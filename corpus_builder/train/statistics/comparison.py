"""What is declared for a comparison and what it says: frozen values, no arithmetic on data.

Invariant: differences, intervals and standard errors are in bits per byte, arm - base: below 0 the
arm is better.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from corpus_builder.store.errors import RecipeError
from corpus_builder.train.statistics.forecast import Design

Interval = tuple[float, float]


class Verdict(StrEnum):
    """What a trial says of an arm against the base."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Terms:
    """What is declared before training.

    Attributes:
        alpha: chance of any false claim of one kind.
        margin: differences below it do not matter, bits per byte; None: nothing is ever called
            equivalent. `forecast.resolvable_margin` gives what the budget can settle.
        headline_share: of alpha, for the headlines (`family.Family`).
        power: for the seeds a "cannot tell" asks for.
    Raises:
        RecipeError: a value out of its range.
    """

    alpha: float = 0.05
    margin: float | None = None
    headline_share: float = 0.5
    power: float = 0.8

    def __post_init__(self) -> None:
        """Refuse levels that are no levels."""
        ranges = {
            "alpha": 0 < self.alpha < 0.5,
            "margin": self.margin is None or 0 < self.margin < np.inf,
            "headline_share": 0 < self.headline_share < 1,
            "power": 0.5 <= self.power < 1,
        }
        for name, fine in ranges.items():
            if not fine:
                raise RecipeError(f"trial.{name}", f"{getattr(self, name)} is out of range")


@dataclass(frozen=True)
class Cause:
    """A share of the variance: `source` is "seeds" or the corpus whose documents it is."""

    source: str
    variance: float
    df: float


@dataclass(frozen=True)
class SeedsNeeded:
    """Seeds to settle a comparison with the declared power; rough, for so is the spread at 3 seeds.

    Attributes:
        difference: if the true difference is the observed one.
        equivalence: if the true difference is 0 and a margin was declared.
        possible: whether some number of seeds may settle it yet: the difference seen so far is of
            few seeds, and may come out larger.
    None: no number of seeds is enough (the documents are too few), so many are there already, or
    there is no margin.
    """

    difference: int | None
    equivalence: int | None
    possible: bool


@dataclass(frozen=True)
class Comparison:
    """One arm against the base on one target, in bits per byte.

    Attributes:
        corpus: None for the headline.
        difference: arm - base; negative is better.
        p, p_holm: of "no difference", alone and adjusted.
        p_equivalence, p_equivalence_holm: of "differs by the margin or more"; None without one.
        interval: simultaneous at 1 - alpha over the trial, cut at what Holm decided.
        interval_alone: at 1 - alpha for this comparison alone; not to be picked among many.
        causes: the variance of `difference`, seeds first.
        weight: share of alpha.
        identical: every loss equals the base's: the arm trained on the same tokens.
        within_margin: also shown to lie within the margin: different, but too little to matter.
        needed: only where the verdict is "cannot tell".
    """

    arm: str
    corpus: str | None
    difference: float
    p: float
    p_holm: float
    p_equivalence: float | None
    p_equivalence_holm: float | None
    interval: Interval
    interval_alone: Interval
    causes: tuple[Cause, ...]
    weight: float
    verdict: Verdict
    identical: bool
    within_margin: bool
    needed: SeedsNeeded | None = None

    @property
    def standard_error(self) -> float:
        """Of the difference, for new seeds and new documents."""
        return float(np.sqrt(sum(cause.variance for cause in self.causes)))

    @property
    def documents_share(self) -> float:
        """Share of the variance that more seeds would not remove, 0 to 1."""
        total = self.standard_error**2
        return sum(cause.variance for cause in self.causes[1:]) / total if total else 0.0

    def as_design(self, terms: Terms) -> Design:
        """The measured spread as a design: what `forecast` needs to plan the next trial.

        The documents of several corpora are taken as one sample of as many as carry their variance
        (Satterthwaite). Seeds' sd from 3 seeds is rough: its 95 % interval spans a factor of 12.
        """
        seeds, documents = self.causes[0], self.causes[1:]
        variance = sum(cause.variance for cause in documents)
        squares = sum(cause.variance**2 / cause.df for cause in documents)
        df = variance**2 / squares if squares else min(cause.df for cause in documents)
        count = max(2, round(df) + 1)
        number = round(seeds.df) + 1
        return Design(
            seeds=number,
            sd_seeds=float(np.sqrt(seeds.variance * number)),
            sd_documents=float(np.sqrt(variance * count)),
            documents=count,
            comparisons=1 / self.weight,
            alpha=terms.alpha,
            power=terms.power,
        )


@dataclass(frozen=True)
class Comparisons:
    """All verdicts of a trial: one headline an arm, then each arm on each corpus."""

    terms: Terms
    seeds: int
    headline: tuple[Comparison, ...]
    corpora: tuple[Comparison, ...]
