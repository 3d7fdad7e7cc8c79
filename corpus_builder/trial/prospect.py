"""Before training: what a trial will cost, and the smallest difference it could see.

Invariant: the cost rests on a measured rate, with as many processes as the trial will use; the
power rests on stated spreads, because the trial's own are not known yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..fingerprint import fingerprint
from ..store.atomic import read_json, write_json
from ..store.errors import RecipeError
from ..train.statistics.family import Family
from ..train.statistics.forecast import Design, resolvable_margin, smallest_detectable

SD_SEEDS = 0.03
"""Of a paired difference between seeds, bits per byte: .025 to .036 measured on 1M to 4M models."""

SD_DOCUMENTS = 0.1
"""Of a paired difference between documents, bits per byte: assumed, a tenth of a usual loss."""

MOST_SEEDS = 20
EVALUATION = 2 / 3
"""A scored token costs so much of a trained one: a forward pass is a third, and windows overlap."""


@dataclass(frozen=True)
class Speed:
    """How fast runs train side by side.

    Attributes:
        tokens_per_second: of one process.
        processes: at once.
        heldout_tokens: scored by each run.
    """

    tokens_per_second: float
    processes: int
    heldout_tokens: int

    def seconds(self, runs: int, tokens: int) -> float:
        """For so many runs of so many tokens; they go in rounds of `processes`."""
        rounds = -(-runs // self.processes)
        return rounds * (tokens + EVALUATION * self.heldout_tokens) / self.tokens_per_second


@dataclass(frozen=True)
class Prospect:
    """What a trial is going to be.

    Attributes:
        runs: models in all; `to_train` of them are not cached.
        tokens: of each run.
        speed: None where nothing is to train.
        design: of an arm's headline, with the stated spreads.
        margin: below which a difference does not matter, bits per byte.
    """

    runs: int
    to_train: int
    seeds: int
    tokens: int
    speed: Speed | None
    design: Design
    margin: float
    margin_declared: bool

    @property
    def seconds(self) -> float:
        """Training and scoring left to do."""
        return self.speed.seconds(self.to_train, self.tokens) if self.speed else 0.0

    @property
    def smallest(self) -> float:
        """True difference in the headline that is called with the design's power."""
        return smallest_detectable(self.design)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "runs": self.runs,
            "to_train": self.to_train,
            "seeds": self.seeds,
            "tokens_per_run": self.tokens,
            "tokens_per_second": self.speed.tokens_per_second if self.speed else None,
            "processes": self.speed.processes if self.speed else None,
            "seconds": self.seconds,
            "smallest_detectable": self.smallest,
            "power": self.design.power,
            "assumed_sd_seeds": self.design.sd_seeds,
            "assumed_sd_documents": self.design.sd_documents,
            "margin": self.margin,
            "margin_declared": self.margin_declared,
        }


def design_of(seeds: int, documents: int, arms: int, corpora: int) -> Design:
    """An arm's headline, as `compare_arms` will test it."""
    family = Family(arms, corpora if corpora > 1 else 0)
    return Design(seeds, SD_SEEDS, SD_DOCUMENTS, documents, 1 / family.headline_weight)


def margin_of(design: Design, declared: float | None) -> float:
    """The margin: as declared, or what the trial is forecast to resolve."""
    return declared if declared is not None else resolvable_margin(design)


@dataclass(frozen=True)
class Fit:
    """Seeds, and tokens of each run."""

    seeds: int
    tokens: int


def fit(budget: float, speed: Speed, arms: int, wanted: Fit, least: int) -> Fit:
    """Seeds and tokens that take about `budget` seconds.

    Tokens come first: up to those wanted, at the wanted number of seeds. What is left over buys
    seeds, up to MOST_SEEDS; where it is short, seeds are given up before a run has fewer than
    `least` tokens.

    Args:
        arms: with the base.

    Raises:
        RecipeError: not even two seeds of `least` tokens fit.
    """
    seeds = wanted.seeds
    while seeds > 2 and speed.seconds(arms * seeds, least) > budget:
        seeds -= 1
    if speed.seconds(arms * seeds, least) > budget:
        needed = speed.seconds(arms * seeds, least)
        what = f"{budget:.0f} s are too few for 2 seeds of {arms} arms"
        raise RecipeError("--budget", what, do=f"give it {needed:.0f} s, or take arms away")
    rounds = -(-arms * seeds // speed.processes)
    affordable = budget / rounds * speed.tokens_per_second - EVALUATION * speed.heldout_tokens
    if affordable < wanted.tokens:
        return Fit(seeds, max(least, _rounded(int(affordable))))
    while seeds < MOST_SEEDS and speed.seconds(arms * (seeds + 1), wanted.tokens) <= budget:
        seeds += 1
    return Fit(seeds, wanted.tokens)


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
        write_json(path, {"seeds": fresh.seeds, "tokens": fresh.tokens})
        return fresh
    return Fit(**read_json(path)) if path.exists() else None
