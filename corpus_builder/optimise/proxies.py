"""The swarm's runs: small models on many mixes, trained and kept as those of a trial are.

Invariant: a run's shares are those it was trained on, counted in whole sequences; runs lie in the
trial's folder under their content, so that a mix is trained once, whoever asks. All use SEED, which
no trial does: what a trial finds of the chosen mix is found at fresh seeds.

One seed for all, since orders are nested: two mixes then share initial weights and most sequences,
and their losses differ by less noise than those of two seeds (docs/performance.md, Pairing). A seed
of its own for each run would add all of that to every point of the regression; the part of it that
all runs share moves no mix above another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

import numpy as np

from ..fingerprint import fingerprint
from ..mixing.allocation import Allocation, Phase, allocate_phases
from ..runner import Watcher
from ..trial.arms import Arm
from ..trial.data import ArmData, Heldout, arm_data
from ..trial.prospect import Speed
from ..trial.runs import Result, Run
from ..trial.settings import Settings
from .solving import Array
from .swarm import Room, in_sequences

SEED = 10_000
"""Trials use 0 to 999."""


@dataclass(frozen=True)
class Cost:
    """What a swarm will take.

    Attributes:
        runs: in all; `to_train` of them are not there yet.
        tokens: of each run.
        speed: None where nothing is to train.
    """

    runs: int
    to_train: int
    tokens: int
    speed: Speed | None

    @property
    def seconds(self) -> float:
        """Training and scoring left to do."""
        return self.speed.seconds(self.to_train, self.tokens) if self.speed else 0.0


class Follower(Watcher, Protocol):
    """Who is told what an optimisation is doing."""

    def expected(self, cost: Cost) -> None:
        """The corpora are built; this is what the swarm will cost."""

    def trained(self, runs: int, tokens: int, nats: float) -> None:
        """Of the runs to train, so many are over, so many tokens in all are done, and the loss
        summed over them is this."""

    def fitting(self) -> None:
        """All runs are there; regressions are fitted and resampled."""


def bits_per_byte(results: Sequence[Result]) -> dict[str, Array]:
    """Of each held-out corpus, `[n]`."""
    return {
        corpus: np.array([r.bits[corpus].sum() / r.bytes[corpus].sum() for r in results])
        for corpus in results[0].bits
    }


def base_data(base: Arm, available: Mapping[str, int]) -> ArmData:
    """What a built base trains on, each corpus up to its cap: its own weights need not fit.

    Args:
        available: sequences of each corpus, which allow for one at least.
    """
    mix = base.mix.mix
    caps = {name: math.floor(mix.max_epochs[name] * n) for name, n in available.items()}
    tokens = sum(caps.values()) * mix.sequence_length
    return arm_data(base, _allocated(available, caps, mix.max_epochs, tokens, mix.sequence_length))


def runs_of(
    room: Room, mixes: Array, data: ArmData, max_epochs: Mapping[str, Fraction],
    settings: Settings, heldout: Heldout,
) -> tuple[tuple[Run, ...], Array]:  # fmt: skip
    """Runs of these mixes, all nested in the first, and the shares they realise.

    Mixes that come to the same sequences are one run.

    Args:
        data: of the base, whose token stores are read.
    """
    total = settings.steps * settings.sequences
    counted = {tuple(counts.values()): counts for counts in (
        in_sequences(room, mix, total) for mix in mixes
    )}  # fmt: skip
    available = {part.name: part.available for part in data.allocations}
    first: ArmData | None = None
    runs = []
    for counts in counted.values():
        parts = _allocated(available, counts, max_epochs, settings.tokens, settings.sequence_length)
        mixed = replace(data, allocations=parts)
        first = first or mixed
        order = mixed.order(SEED, None if mixed is first else first)
        name = f"mix-{fingerprint(counts)[:6]}"
        runs.append(Run(name, SEED, settings, mixed, order, heldout))
    return tuple(runs), np.array(list(counted), float) / total


def _allocated(
    available: Mapping[str, int], counts: Mapping[str, int], max_epochs: Mapping[str, Fraction],
    tokens: int, sequence_length: int,
) -> tuple[Allocation, ...]:  # fmt: skip
    return allocate_phases(
        available,
        [Phase(1, counts)],
        tokens=tokens,
        sequence_length=sequence_length,
        max_epochs=max_epochs,
        where="swarm",
    )
