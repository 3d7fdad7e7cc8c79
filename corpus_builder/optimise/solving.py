"""Many small robust least-squares problems at once: Levenberg-Marquardt with Huber's loss.

Invariant: the result of a problem does not depend on the others it is solved with (but for the last
bits of sums), and the same input gives the same output: no random numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Model = Callable[[Array], tuple[Array, Array]]
"""parameters `[problems, p]` -> values `[problems, n]` and their Jacobian `[problems, n, p]`."""

ROUNDS = 120
SETTLED = 1e-7
"""A step that gains a smaller share of the cost ends a problem."""

NUMBERS_AT_ONCE = 4_000_000
"""Of Jacobians in memory: 32 MB."""


@dataclass(frozen=True)
class Pull:
    """A quadratic penalty sum(strength (p - centre)^2); `float64[p]` each."""

    strength: Array
    centre: Array


def solve(
    model: Model, start: Array, observed: Array, weights: Array, pull: Pull, *, huber: float
) -> tuple[Array, Array]:
    """Minimise sum_i w_i rho(f_i - y_i) + pull, each problem on its own.

    Args:
        start: `[problems, p]`.
        observed: y, `[problems, n]`.
        weights: w >= 0, `[problems, n]`; 0 leaves an observation out.
        huber: rho is quadratic up to it, linear beyond, in the unit of y.

    Returns:
        Parameters `[problems, p]` and costs `[problems]`.
    """
    problems, parameters = start.shape
    size = max(1, NUMBERS_AT_ONCE // max(1, observed.shape[1] * parameters))
    found, costs = np.empty_like(start), np.empty(problems)
    for first in range(0, problems, size):
        part = slice(first, first + size)
        found[part], costs[part] = _solve(
            model, start[part], observed[part], weights[part], pull, huber
        )
    return found, costs


def _solve(
    model: Model, start: Array, observed: Array, weights: Array, pull: Pull, huber: float
) -> tuple[Array, Array]:
    found = start.copy()
    values, jacobian = model(found)
    costs = _cost(values - observed, weights, found, pull, huber)
    damping = np.full(len(found), 1e-2)
    active = np.arange(len(found))
    for _ in range(ROUNDS):
        residual = values - observed[active]
        step = _step(residual, jacobian, weights[active], found[active], pull, huber, damping)
        trial = found[active] + step
        new_values, new_jacobian = model(trial)
        cost = _cost(new_values - observed[active], weights[active], trial, pull, huber)
        better = cost < costs[active]
        gained = np.where(better, costs[active] - cost, 0)
        done = (better & (gained <= SETTLED * costs[active])) | (damping > 1e8)
        found[active[better]], costs[active[better]] = trial[better], cost[better]
        values[better], jacobian[better] = new_values[better], new_jacobian[better]
        damping = np.where(better, np.maximum(damping / 4, 1e-9), damping * 5)
        if done.any():
            kept = ~done
            active, damping = active[kept], damping[kept]
            values, jacobian = values[kept], jacobian[kept]
        if not len(active):
            break
    return found, costs


def _cost(residual: Array, weights: Array, at: Array, pull: Pull, huber: float) -> Array:
    size = np.abs(residual)
    rho = np.where(size <= huber, 0.5 * size**2, huber * (size - 0.5 * huber))
    cost: Array = (weights * rho).sum(1) + 0.5 * (pull.strength * (at - pull.centre) ** 2).sum(1)
    return np.where(np.isfinite(cost), cost, np.inf)


def _step(
    residual: Array, jacobian: Array, weights: Array, at: Array, pull: Pull, huber: float,
    damping: Array,
) -> Array:  # fmt: skip
    """Gauss-Newton on reweighted residuals, damped along the diagonal (Marquardt's scaling)."""
    scaled = weights * np.minimum(1, huber / np.maximum(np.abs(residual), 1e-300))
    weighted = jacobian * scaled[:, :, None]
    matrix = np.matmul(weighted.transpose(0, 2, 1), jacobian)
    gradient = (weighted * residual[:, :, None]).sum(1) + pull.strength * (at - pull.centre)
    diagonal = np.einsum("rpp->rp", matrix)
    diagonal += pull.strength
    diagonal += damping[:, None] * (diagonal + 1e-9)
    step: Array = np.linalg.solve(matrix, -gradient[:, :, None])[:, :, 0]
    return np.clip(step, -2, 2)
