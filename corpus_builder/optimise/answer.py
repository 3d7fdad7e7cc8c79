"""What a swarm says: the best mix, how sure that is, and which corpus helps which target.

Invariant: a pure function of mixes and losses. Uncertainty is the spread over RESAMPLES bootstrap
resamples of the runs, each going through everything again: cross-validation, choice, fit, search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from .choosing import Choice, Swarm, candidates, choose, fit_all
from .laws import Law, concave
from .search import around, best, considered
from .solving import Array
from .swarm import Room

Finding = Literal["better", "flat", "cannot tell"]

RESAMPLES = 200
LEVEL = 0.9
POINT = 0.01
"""Effects are those of moving one point of weight."""


HEADLINE = "target"
"""What the weighted mean of several targets is called among them."""


@dataclass(frozen=True)
class Interval:
    """A value and the middle LEVEL of its resamples."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Array) -> Interval:
        """Of what the whole swarm says (the first value) and what its resamples say."""
        low, high = np.quantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return cls(float(values[0]), float(low), float(high))

    @property
    def sign(self) -> int:
        """-1 or 1 where all of the interval is on one side of 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class Regression:
    """Which regression was used, and how the others fared.

    Attributes:
        errors: of runs left out in cross-validation, root mean square, by candidate.
        picked: share of resamples that chose it, by candidate.
        explained: share of the losses' variance that the chosen one explains in runs left out.
    """

    name: str
    errors: Mapping[str, float]
    picked: Mapping[str, float]
    explained: float

    @property
    def error(self) -> float:
        """Of the one used."""
        return self.errors[self.name]


@dataclass(frozen=True)
class Answer:
    """What was found. Losses are in the unit given.

    Attributes:
        best: by corpus, its share in the chosen mix and the credible region of the best one.
        alike: by corpus, least and greatest share among mixes not shown to be worse than the
            chosen one.
        predicted: loss of `natural`, `uniform` and `best`.
        gains: what `best` saves over `natural` and `uniform`.
        finding: `better` than the natural mix; or `flat`: the swarm does not tell the two apart, as
            resamples disagree on the sign of the gain, or the gain is less than the regression's
            own error (the gain is taken within each resample: losses of both mixes vary together);
            or `cannot tell`, where the regression explains nothing of the runs left out.
    """

    best: Mapping[str, Interval]
    alike: Mapping[str, tuple[float, float]]
    predicted: Mapping[str, float]
    gains: Mapping[str, Interval]
    regression: Regression
    finding: Finding

    @property
    def mix(self) -> Array:
        """The chosen shares, `[k]`."""
        return np.array([part.value for part in self.best.values()])


def answer(room: Room, swarm: Swarm, seed: int, laws: Sequence[Law] | None = None) -> Answer:
    """Choose a regression, fit, search, and do it all again on resamples.

    Args:
        swarm: columns of `mixes` as `room.names`.
        laws: candidates; None is all that can be had here.
    """
    laws = candidates() if laws is None else laws
    weights = resamples(len(swarm.mixes), seed)
    choice = choose(laws, swarm, weights)
    marks = np.stack([room.natural, room.uniform])
    fitted = _Chosen(laws, swarm, weights, choice.chosen)
    field = considered(room, swarm.mixes, seed + 1)
    first = best(fitted.predict(field), field)
    for row, centre in enumerate((first[0], np.median(first[1:], axis=0))):
        field = np.concatenate([field, around(room, swarm.mixes, centre, seed + 2 + row)])
    predicted = fitted.predict(np.concatenate([marks, field]))
    bests = best(predicted[:, 2:], field)
    mix = bests[0]
    at_best = fitted.predict(mix[None])[:, 0]
    gains = {
        name: Interval.of(predicted[:, place] - at_best)
        for place, name in enumerate(("natural", "uniform"))
    }
    worse = np.quantile(predicted[1:, 2:] - at_best[1:, None], (1 - LEVEL) / 2, axis=0) > 0
    alike = np.concatenate([field[~worse], mix[None]])
    regression = _regression(choice, swarm)
    return Answer(
        best={n: Interval.of(bests[:, j]) for j, n in enumerate(room.names)},
        alike=dict(
            zip(room.names, zip(alike.min(0).tolist(), alike.max(0).tolist(), strict=True),
                strict=True)
        ),
        predicted={
            "natural": float(predicted[0, 0]),
            "uniform": float(predicted[0, 1]),
            "best": float(at_best[0]),
        },
        gains=gains,
        regression=regression,
        finding=_finding(gains["natural"], regression),
    )  # fmt: skip


def _finding(gain: Interval, regression: Regression) -> Finding:
    if regression.explained <= 0:
        return "cannot tell"
    return "flat" if gain.low <= 0 or gain.value <= regression.error else "better"


def effects(
    room: Room, mixes: Array, losses: Mapping[str, Array], weights: Array,
    target: Mapping[str, float],
) -> dict[str, dict[str, Interval]]:  # fmt: skip
    """Which corpus helps which, by the concave power law: the effect of a point of each.

    A point of corpus j is taken from the others in proportion to their natural shares. Where they
    have less than a point, one is given to them instead, and the effect is its opposite.

    Args:
        losses: by held-out corpus, `[n]`.
        weights: as `resamples` makes them.
        target: weights of held-out corpora, summing to 1.

    Returns:
        Held-out corpus -> corpus of the mix -> effect. Of several in the target, HEADLINE comes
        first: their weighted mean, resample by resample, as the answer's gains are.
    """
    moved, steps = _moved(room)
    found = dict[str, Array]()
    for name, values in losses.items():
        fits = concave().fit(mixes, np.repeat(values[None], len(weights), axis=0), weights)
        predicted = fits.predict(moved)
        found[name] = np.sign(steps) * (predicted[:, 1:] - predicted[:, :1])
    if len(target) > 1:
        mean = np.sum([weight * found[name] for name, weight in target.items()], axis=0)
        found = {HEADLINE: mean, **found}
    return {
        heldout: {name: Interval.of(points[:, j]) for j, name in enumerate(room.names)}
        for heldout, points in found.items()
    }


def _moved(room: Room) -> tuple[Array, Array]:
    """The natural mix and one with a point of each corpus moved, `[1 + k, k]`; how far, `[k]`."""
    steps = np.where(room.natural + POINT <= 1, POINT, -POINT)
    moved = [room.natural]
    for j, (share, step) in enumerate(zip(room.natural, steps, strict=True)):
        mix = room.natural * (1 - share - step) / max(1 - share, 1e-9)
        mix[j] = share + step
        moved.append(mix)
    return np.stack(moved), steps


def resamples(runs: int, seed: int) -> Array:
    """How often each run counts: once in the first row, then RESAMPLES bootstrap draws."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(runs, np.full(runs, 1 / runs), RESAMPLES)
    return np.concatenate([np.ones((1, runs)), drawn.astype(np.float64)])


class _Chosen:
    """Each problem's chosen regression, fitted."""

    def __init__(
        self, laws: Sequence[Law], swarm: Swarm, weights: Array, chosen: npt.NDArray[np.int64]
    ) -> None:
        self._rows = [np.flatnonzero(chosen == place) for place in np.unique(chosen)]
        self._fits = [
            list(fit_all(laws, swarm, weights[rows]).values())[chosen[rows[0]]]
            for rows in self._rows
        ]
        self._problems = len(weights)

    def predict(self, mixes: Array) -> Array:
        """`[problems, m]`."""
        found = np.empty((self._problems, len(mixes)))
        for rows, fits in zip(self._rows, self._fits, strict=True):
            found[rows] = fits.predict(mixes)
        return found


def _regression(choice: Choice, swarm: Swarm) -> Regression:
    own = int(choice.chosen[0])
    error = float(choice.errors[own, 0])
    return Regression(
        name=choice.names[own],
        errors=dict(zip(choice.names, choice.errors[:, 0].tolist(), strict=True)),
        picked={n: float((choice.chosen[1:] == i).mean()) for i, n in enumerate(choice.names)},
        explained=1 - (error / max(float(swarm.headline.std()), 1e-12)) ** 2,
    )
