"""Before training: what a trial will cost, and the smallest difference it could see.

Invariant: the cost rests on a measured rate, with as many processes as the trial will use; the
power rests on stated spreads, because the trial's own are not known yet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..fingerprint import fingerprint
from ..store.atomic import read_json, write_json
from ..store.errors import RecipeError
from ..train.statistics.family import Family
from ..train.statistics.forecast import Design, resolvable_margin, smallest_detectable
from ..train.statistics.measurements import headline_weights
from .looks import LONGER, Look

SD_SEEDS = 0.015
"""Of a paired difference between seeds, bits per byte: .006 to .010 seen for 1M parameters and
120,000 tokens (`tests/bench/trials.py pairing`), and more for arms further from the base."""

SD_DOCUMENTS = 0.05
"""Of a paired difference between documents, bits per byte: assumed."""

MOST_MARGIN = 0.025
"""Bits per byte: of pairs of mixes with a gap of this size at 1M, about .06 nats a token, 94 % kept
their order at 60M on one corpus, 78 % on the mean of 13 (`train.statistics.transfer`). Within more
than that nothing is called equivalent, unless the recipe declares it."""

FIRST_LOOK = 0.5
"""Share of a budget that is spent before the first look, where undecided arms may go on."""

ENOUGH_SEEDS = 20
"""Bought by a budget, where the recipe does not ask for more."""

SPARE = 1.2
"""Of the budget asked for where one is too small: the speed is measured anew each time."""

EVALUATION = 4 / 9
"""A scored token costs so much of a trained one: a forward pass is a third, windows overlap by a
quarter."""


@dataclass(frozen=True)
class Speed:
    """How fast runs train side by side.

    Attributes:
        tokens_per_second: of one process.
        processes: at once.
        heldout_tokens: scored by each run, those of minimal pairs too.
        start: seconds that a run's first step takes longer than others: it may be compiled.
    """

    tokens_per_second: float
    processes: int
    heldout_tokens: int
    start: float = 0.0

    def seconds(self, runs: int, tokens: int) -> float:
        """For so many runs of so many tokens; they go in rounds of `processes`."""
        rounds = -(-runs // self.processes)
        worth = tokens + EVALUATION * self.heldout_tokens
        return rounds * (self.start + worth / self.tokens_per_second)

    def __str__(self) -> str:
        """For people: tokens of one process, and how many there are."""
        processes = "one process" if self.processes == 1 else f"each of {self.processes} processes"
        return f"{self.tokens_per_second:,.0f} tokens/s in {processes}"

    def affordable(self, runs: int, seconds: float) -> float:
        """Tokens of each of so many runs, for a time; the inverse of `seconds`."""
        rounds = -(-runs // self.processes)
        worth = (seconds / rounds - self.start) * self.tokens_per_second
        return worth - EVALUATION * self.heldout_tokens


@dataclass(frozen=True)
class Prospect:
    """What a trial is going to be.

    Attributes:
        runs: models up to the first look; `to_train` of them are not cached.
        more: models that may be trained after it, where undecided arms may go on.
        arms: with the base.
        looks: when arms are compared; one, unless undecided arms may go on.
        tokens: of each run.
        speed: None where nothing is to train.
        design: of an arm's headline at the last look, with the stated spreads.
        margin: below which a difference does not matter, bits per byte.
        cautions: what a reader should know before using a verdict.
    """

    runs: int
    to_train: int
    more: int
    arms: int
    looks: tuple[Look, ...]
    tokens: int
    speed: Speed | None
    design: Design
    margin: float
    margin_declared: bool
    cautions: tuple[str, ...] = ()

    @property
    def resolvable(self) -> float:
        """The smallest margin within which equal arms are called equivalent with that power."""
        return resolvable_margin(self.design)

    @property
    def seeds(self) -> int:
        """Up to the first look."""
        return self.looks[0].seeds

    @property
    def seconds(self) -> float:
        """Training and scoring left to do up to the first look."""
        return self.speed.seconds(self.to_train, self.tokens) if self.speed else 0.0

    @property
    def seconds_at_most(self) -> float | None:
        """With all that may follow the first look, none of it trained before.

        None where no speed was measured, as nothing is to train before that look.
        """
        if self.speed is None:
            return None if self.more else 0.0
        seconds, left = self.seconds, self.more
        for look, following in pairwise(self.looks):
            stretch = min(left, self.arms * (following.seeds - look.seeds))
            seconds += self.speed.seconds(stretch, self.tokens)
            left -= stretch
        return seconds

    @property
    def smallest(self) -> float:
        """True difference in the headline that is called with the design's power."""
        return smallest_detectable(self.design)

    def as_json(self) -> dict[str, Any]:
        """Plain values; `seconds` up to the first look, differences in bits per byte after
        `seeds_at_most`."""
        return {
            "models": self.runs,
            "to_train": self.to_train,
            "models_at_most": self.runs + self.more,
            "seeds": self.seeds,
            "seeds_at_most": self.design.seeds,
            "tokens_per_run": self.tokens,
            "looks": [[look.seeds, look.alpha] for look in self.looks],
            "seconds": self.seconds,
            "seconds_at_most": self.seconds_at_most,
            "smallest_detectable": self.smallest,
            "power": self.design.power,
            "margin": self.margin,
            "resolvable_margin": self.resolvable,
            "margin_declared": self.margin_declared,
            "warnings": list(self.cautions),
        }


def as_one_sample(headline: Mapping[str, float], documents: Mapping[str, int]) -> int:
    """Documents of a single corpus whose mean is as sure as the headline: 1 / Σ w²/n.

    Args:
        headline: weight of each corpus, of any sum.
        documents: held out of each.
    """
    weights = headline_weights(headline, tuple(documents))
    return max(2, round(1 / sum(w**2 / documents[name] for name, w in weights.items())))


def power_at(look: Look, documents: int, arms: int, corpora: int) -> Design:
    """An arm's headline at a look, as `compare_arms` will test it.

    Args:
        documents: as `as_one_sample` counts them.
        arms: beside the base.
        corpora: with held-out documents.
    """
    family = Family(arms, corpora if corpora > 1 else 0)
    comparisons = 1 / family.headline_weight
    return Design(look.seeds, SD_SEEDS, SD_DOCUMENTS, documents, comparisons, look.alpha)


def margin_of(design: Design, declared: float | None) -> float:
    """The margin: as declared, or what the trial is forecast to resolve, MOST_MARGIN at most."""
    return declared if declared is not None else min(resolvable_margin(design), MOST_MARGIN)


@dataclass(frozen=True)
class Fit:
    """What a time affords.

    Attributes:
        seeds, tokens: up to the first look, of each run.
        last: seeds that a single undecided arm may go on to.
        more: models that may be trained after the first look.
    """

    seeds: int
    tokens: int
    last: int
    more: int = 0


@dataclass(frozen=True)
class Shape:
    """Models that a trial trains for each seed.

    Attributes:
        arms: with the base.
        extra: of the checks.
        goes_on: whether part of the budget is kept for undecided arms.
    """

    arms: int
    extra: int = 0
    goes_on: bool = False

    @property
    def models(self) -> int:
        """Up to the first look."""
        return self.arms + self.extra


def fit(budget: float, speed: Speed, shape: Shape, wanted: Fit, least: int) -> Fit:
    """Seeds and tokens that take about `budget` seconds.

    Tokens come first: up to those wanted, at the wanted number of seeds. What is left over buys
    seeds, up to ENOUGH_SEEDS; where it is short, seeds are given up before a run has fewer than
    `least` tokens. Where undecided arms may go on, the first look comes at FIRST_LOOK of the
    budget, and the rest buys further seeds of the base and one arm, up to LONGER times those
    wanted, or ENOUGH_SEEDS where that is more.

    Raises:
        RecipeError: not even two seeds of `least` tokens fit.
    """
    share = budget * FIRST_LOOK if shape.goes_on else budget
    models, seeds = shape.models, wanted.seeds
    while seeds > 2 and speed.seconds(models * seeds, least) > share:
        seeds -= 1
    if speed.seconds(models * seeds, least) > share:
        needed = math.ceil(SPARE * speed.seconds(models * seeds, least) * budget / share)
        what = f"{budget:g} s are too few for 2 seeds of {models} models, {least:,} tokens each"
        what += f", at {speed}"
        raise RecipeError("--budget", what, do=f"give it {needed} s, or take arms away")
    affordable = speed.affordable(models * seeds, share)
    tokens = wanted.tokens
    if affordable < tokens:
        tokens = max(least, _rounded(int(affordable)))
    elif not shape.goes_on:
        while seeds < ENOUGH_SEEDS and speed.seconds(models * (seeds + 1), tokens) <= budget:
            seeds += 1
    more, last = 0, seeds
    if shape.goes_on:
        rest = budget - speed.seconds(models * seeds, tokens)
        more = speed.processes * int(rest / speed.seconds(1, tokens))
        last = min(seeds + more // 2, max(LONGER * wanted.seeds, ENOUGH_SEEDS))
        more = min(more, (last - seeds) * shape.arms)
    return Fit(seeds, tokens, last, more)


def _rounded(tokens: int) -> int:
    """Down to two digits: a budget is met about, and says so."""
    text = str(tokens)
    return int(text[:2].ljust(len(text), "0"))


def remembered_fit(folder: Path, key: Any, fresh: Fit | None = None) -> Fit | None:
    """The fit that this trial got before, so that a resumed one trains the same runs.

    Args:
        fresh: kept from now on, where given.
    """
    path = folder / "budgets" / f"{fingerprint(key)[:16]}.json"
    if fresh is not None:
        write_json(path, asdict(fresh))
        return fresh
    return Fit(**read_json(path)) if path.exists() else None
