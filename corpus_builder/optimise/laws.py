"""Two laws of how the loss follows from the mix, fitted to many resamples of a swarm at once.

Invariant: mixes are rows r of shares >= 0; losses are in any unit, since fits are made on losses
divided by their spread. A fit weighs each run by how often it is in a resample: 0 leaves it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from .solving import Array, Pull, solve

HUBER = 0.06
"""Beyond this many standard deviations of the losses a residual counts linearly."""

LOG_RANGE = 25.0


class Fits(Protocol):
    """Fitted functions, one a problem."""

    def predict(self, mixes: Array) -> Array:
        """Losses `[problems, m]` at `m` mixes."""


class Law(Protocol):
    """A kind of regression.

    Attributes:
        by_target: a loss over several targets is fitted target by target, and the fits are summed:
            a sum of laws is no law of its kind.
    """

    @property
    def name(self) -> str: ...

    @property
    def by_target(self) -> bool: ...

    def fit(self, mixes: Array, losses: Array, weights: Array) -> Fits:
        """Fit `losses[problem]` over `mixes`, `[n, k]`, by `weights`, both `[problems, n]`."""


@dataclass(frozen=True)
class PowerFits:
    """L = c + K (eps + sum_j a_j r_j^gamma)^(-b); arrays of one a problem, `helps` `[problems, k]`.

    Attributes:
        helps: a_j >= 0, how much a share of corpus j is worth for this loss.
    """

    gamma: float
    floor: Array
    scale: Array
    exponent: Array
    epsilon: Array
    helps: Array

    def predict(self, mixes: Array) -> Array:
        worth = self.epsilon[:, None] + self.helps @ (mixes**self.gamma).T
        found: Array = self.floor[:, None] + self.scale[:, None] * worth ** -self.exponent[:, None]
        return found


@dataclass(frozen=True)
class PowerLaw:
    """The power law of effective data; see `PowerFits`.

    A share of text that is near the target counts much (a_j), other text little or nothing; the
    loss falls with the sum as it falls with data. With gamma = 1 the best mix for one target is all
    of one corpus; below 1 each further share of a corpus is worth less than the one before.
    Parameters are fitted as logarithms, with a weak pull towards usual values, which decides what
    the swarm leaves open.

    Attributes:
        pull: of log a_j to -1.5, as a variance in which losses have spread 1.
        shape_pull: of log b to log .3 and of log eps to log .05, likewise.
    """

    name: str = "power law"
    gamma: float = 1.0
    by_target: ClassVar[bool] = True
    pull: ClassVar[float] = 0.012**2
    shape_pull: ClassVar[float] = 0.1**2
    starts: ClassVar = ((0.6, 0.25, 0.02), (0.85, 0.6, 0.1))
    """c as a share of the least loss, b, eps."""

    def fit(self, mixes: Array, losses: Array, weights: Array) -> PowerFits:
        spread, shares = _spread(losses, weights), mixes**self.gamma
        scaled = losses / spread[:, None]
        k, best, least = mixes.shape[1], None, np.full(len(losses), np.inf)
        loose, shape = [1e-6] * 2, [self.shape_pull] * 2
        pull = Pull(
            np.concatenate([loose, shape, np.full(k, self.pull)]),
            np.concatenate([[0, 0, np.log(0.3), np.log(0.05)], np.full(k, -1.5)]),
        )
        for share, exponent, epsilon in self.starts:
            start = _start(shares, scaled, weights, share, exponent, epsilon)
            found, cost = solve(
                lambda p: _power(p, shares), start, scaled, weights, pull, huber=HUBER
            )
            best = found if best is None else np.where((cost < least)[:, None], found, best)
            least = np.minimum(cost, least)
        p = np.exp(np.clip(best, -LOG_RANGE, LOG_RANGE))  # type: ignore[arg-type]
        return PowerFits(self.gamma, p[:, 0] * spread, p[:, 1] * spread, p[:, 2], p[:, 3], p[:, 4:])


def concave(gamma: float = 0.8) -> PowerLaw:
    """The power law with diminishing shares.

    On RegMix's runs .8 is better than 1 at every scale, on Pile-CC and on the mean of 13 targets
    (tests/bench/regmix.py); it was chosen there among .6 to .9, not fitted.
    """
    return PowerLaw("concave power law", gamma)


def _start(
    shares: Array, losses: Array, weights: Array, share: float, exponent: float, epsilon: float
) -> Array:
    """a_j alike but for the sign of the linear trend; K such that the mean loss is met."""
    logs = np.where(_trend(shares, losses, weights) < 0, -1.0, -2.0)
    floor = share * np.where(weights > 0, losses, np.inf).min(1)
    basis = (epsilon + np.exp(logs) @ shares.T) ** -exponent
    rest = np.maximum(losses - floor[:, None], 0)
    scale = (weights * rest * basis).sum(1) / (weights * basis**2).sum(1)
    fixed = np.tile(np.log([exponent, epsilon]), (len(losses), 1))
    return np.concatenate([np.log(floor)[:, None], np.log(scale)[:, None], fixed, logs], 1)


@dataclass(frozen=True)
class ExponentialFits:
    """L = c + exp(sum_j t_j r_j); `[problems]` and `[problems, k]`."""

    floor: Array
    rates: Array

    def predict(self, mixes: Array) -> Array:
        found: Array = self.floor[:, None] + np.exp(self.rates @ mixes.T)
        return found


class ExponentialLaw:
    """The mixing law of 2403.16952: L = c + K exp(sum_j t_j r_j), K within the t_j (shares sum
    to 1)."""

    name = "exponential law"
    by_target = True
    pull = 0.004**2
    starts = (0.6, 0.9)
    """c as a share of the least loss."""

    def fit(self, mixes: Array, losses: Array, weights: Array) -> ExponentialFits:
        spread = _spread(losses, weights)
        scaled = losses / spread[:, None]
        k, best, least = mixes.shape[1], None, np.full(len(losses), np.inf)
        for share in self.starts:
            floor = share * np.where(weights > 0, scaled, np.inf).min(1)
            height = np.log(np.maximum((weights * scaled).sum(1) / weights.sum(1) - floor, 1e-3))
            start = np.concatenate(
                [np.log(floor)[:, None], np.repeat(height[:, None], k, axis=1)], 1
            )
            pull = Pull(np.r_[1e-6, np.full(k, self.pull)], np.zeros(k + 1))
            found, cost = solve(
                lambda p: _exponential(p, mixes), start, scaled, weights, pull, huber=HUBER
            )
            better = cost < least
            best = found if best is None else np.where(better[:, None], found, best)
            least = np.minimum(cost, least)
        if best is None:
            raise ValueError("no start")
        floor = np.exp(np.clip(best[:, 0], -LOG_RANGE, LOG_RANGE)) * spread
        return ExponentialFits(floor, best[:, 1:] + np.log(spread)[:, None])


def _power(p: Array, mixes: Array) -> tuple[Array, Array]:
    q = np.exp(np.clip(p, -LOG_RANGE, LOG_RANGE))
    floor, scale, exponent, epsilon, helps = q[:, :1], q[:, 1:2], q[:, 2:3], q[:, 3:4], q[:, 4:]
    worth = epsilon + helps @ mixes.T
    part = scale * worth**-exponent
    jacobian = np.empty((*part.shape, p.shape[1]))
    jacobian[:, :, 0] = floor
    jacobian[:, :, 1] = part
    jacobian[:, :, 2] = -exponent * part * np.log(worth)
    slope = -exponent * part / worth
    jacobian[:, :, 3] = slope * epsilon
    jacobian[:, :, 4:] = slope[:, :, None] * (helps[:, None, :] * mixes[None])
    return floor + part, jacobian


def _exponential(p: Array, mixes: Array) -> tuple[Array, Array]:
    floor = np.exp(np.clip(p[:, :1], -LOG_RANGE, LOG_RANGE))
    part = np.exp(np.clip(p[:, 1:] @ mixes.T, -LOG_RANGE, LOG_RANGE))
    jacobian = np.empty((*part.shape, p.shape[1]))
    jacobian[:, :, 0] = floor
    jacobian[:, :, 1:] = part[:, :, None] * mixes[None]
    return floor + part, jacobian


def _spread(losses: Array, weights: Array) -> Array:
    """Weighted standard deviation of each problem's losses; that of no spread counts as 1e-6."""
    total = weights.sum(1)
    mean = (weights * losses).sum(1) / total
    spread = np.sqrt((weights * (losses - mean[:, None]) ** 2).sum(1) / total)
    found: Array = np.maximum(spread, 1e-6)
    return found


def _trend(mixes: Array, losses: Array, weights: Array) -> Array:
    """Covariance of the loss with each share, `[problems, k]`."""
    total = weights.sum(1, keepdims=True)
    rest = losses - (weights * losses).sum(1, keepdims=True) / total
    found: Array = (weights * rest / total) @ mixes
    return found
