"""Which regression to trust: chosen by cross-validation inside the swarm.

Invariant: all copies of a run in a resample lie in one fold, so no fold is predicted from itself.
The first candidate stands unless another is clearly better, by CLEAR standard errors of the paired
squared errors: a law keeps its order from 1M to 1B parameters better than what merely fits 1M.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .boosted import Boosted, is_installed
from .laws import ExponentialLaw, Fits, Law, PowerLaw, concave
from .solving import Array

FOLDS = 5
FEWEST = 2 * FOLDS
"""Runs that differ: with fewer, a resample may lie in one fold, and no regression can be fitted to
what it leaves."""

CLEAR = 2.0
"""With 1, 21 of 30 draws of 32 of RegMix's runs choose the ensemble, at four times the regret."""

MOST_LEFT = 0.5
"""Share of the spread between runs that a law which takes over leaves unexplained, at most."""

ENSEMBLE = ("concave power law", "LightGBM")
ENSEMBLE_NAME = " + ".join(ENSEMBLE)


def candidates(boosted: bool | None = None) -> tuple[Law, ...]:
    """The regressions that can be had here, the one that stands first.

    Args:
        boosted: with LightGBM; None is if it is installed.
    """
    trees = is_installed() if boosted is None else boosted
    return (concave(), PowerLaw(), ExponentialLaw(), *((Boosted(),) if trees else ()))


@dataclass(frozen=True)
class Swarm:
    """Runs and what is asked of them.

    Attributes:
        mixes: realised shares, `[n, k]`.
        losses: by target, `[targets, n]`.
        target: weight of each target in the headline, `[targets]`, summing to 1.
    """

    mixes: Array
    losses: Array
    target: Array

    @property
    def headline(self) -> Array:
        """Weighted losses, `[n]`."""
        found: Array = self.target @ self.losses
        return found


@dataclass(frozen=True)
class Weighted:
    """A weighted sum of fits."""

    parts: tuple[Fits, ...]
    weights: tuple[float, ...]

    def predict(self, mixes: Array) -> Array:
        found = self.weights[0] * self.parts[0].predict(mixes)
        for weight, fits in zip(self.weights[1:], self.parts[1:], strict=True):
            found = found + weight * fits.predict(mixes)
        return found


@dataclass(frozen=True)
class Ensemble:
    """The mean of its members' z-scores over the swarm, in the unit of the losses.

    Attributes:
        centres, spreads: of each member's predictions for the swarm, `[problems]` each.
    """

    members: tuple[Fits, ...]
    centres: tuple[Array, ...]
    spreads: tuple[Array, ...]

    def predict(self, mixes: Array) -> Array:
        scores = [
            (fits.predict(mixes) - centre[:, None]) / spread[:, None]
            for fits, centre, spread in zip(self.members, self.centres, self.spreads, strict=True)
        ]
        centre, spread = np.mean(self.centres, axis=0), np.mean(self.spreads, axis=0)
        found: Array = centre[:, None] + spread[:, None] * np.mean(scores, axis=0)
        return found


def ensemble(members: Sequence[Fits], mixes: Array, weights: Array) -> Ensemble:
    """Members joined by their z-scores over the runs that they were fitted to."""
    share = weights / weights.sum(1, keepdims=True)
    predicted = [fits.predict(mixes) for fits in members]
    centres = tuple((share * p).sum(1) for p in predicted)
    spreads = tuple(
        np.maximum(np.sqrt((share * (p - c[:, None]) ** 2).sum(1)), 1e-12)
        for p, c in zip(predicted, centres, strict=True)
    )
    return Ensemble(tuple(members), centres, spreads)


def fit_all(laws: Sequence[Law], swarm: Swarm, weights: Array) -> dict[str, Fits]:
    """Every candidate fitted to the headline, the ensemble last where it has its members.

    Args:
        weights: of the runs, `[problems, n]`.
    """
    fits = {law.name: _fitted(law, swarm, weights) for law in laws}
    if set(ENSEMBLE) <= fits.keys():
        members = [fits[name] for name in ENSEMBLE]
        fits[ENSEMBLE_NAME] = ensemble(members, swarm.mixes, weights)
    return fits


def _fitted(law: Law, swarm: Swarm, weights: Array) -> Fits:
    def over(losses: Array) -> Fits:
        return law.fit(swarm.mixes, np.repeat(losses[None], len(weights), axis=0), weights)

    if not law.by_target:
        return over(swarm.headline)
    return Weighted(tuple(over(part) for part in swarm.losses), tuple(map(float, swarm.target)))


@dataclass(frozen=True)
class Choice:
    """What cross-validation says, problem by problem.

    Attributes:
        names: of the candidates.
        chosen: `[problems]`, indices into names.
        errors: root of the mean squared error of runs left out, `[candidates, problems]`.
    """

    names: tuple[str, ...]
    chosen: npt.NDArray[np.int64]
    errors: Array


def choose(laws: Sequence[Law], swarm: Swarm, weights: Array) -> Choice:
    """Cross-validate the candidates on each problem (`weights` `[problems, n]`).

    The first stands unless another is clearly better, or explains most where it explains nothing:
    one run that it misses by far makes every difference between errors look unsure.
    """
    found = left_out(laws, swarm, weights)
    names, share = tuple(found), weights / weights.sum(1, keepdims=True)
    squared = np.stack([(predicted - swarm.headline) ** 2 for predicted in found.values()])
    errors = (share * squared).sum(2)
    gains = squared[:1] - squared
    mean = (share * gains).sum(2)
    runs = np.maximum((weights > 0).sum(1) - 1, 1)
    deviation = np.sqrt((share * (gains - mean[:, :, None]) ** 2).sum(2) / runs)
    centre = (share * swarm.headline).sum(1)[:, None]
    spread = (share * (swarm.headline - centre) ** 2).sum(1)
    lost = (errors[0] >= spread) & (errors < MOST_LEFT * spread)
    clear = (mean > CLEAR * deviation) | lost
    clear[0] = True
    return Choice(names, np.where(clear, errors, np.inf).argmin(0), np.sqrt(errors))


def left_out(laws: Sequence[Law], swarm: Swarm, weights: Array) -> Mapping[str, Array]:
    """Each candidate's prediction of each run by fits without its fold, `[problems, n]`."""
    problems, n = weights.shape
    folds = np.random.default_rng(0).permutation(np.arange(n) % FOLDS)
    apart = folds[None] != np.arange(FOLDS)[:, None]
    training = (weights[:, None] * apart[None]).reshape(-1, n)
    fits = fit_all(laws, swarm, training)
    rows, columns = np.arange(problems)[:, None] * FOLDS + folds[None], np.arange(n)[None]
    return {name: part.predict(swarm.mixes)[rows, columns] for name, part in fits.items()}
