"""Levenberg-Marquardt over many problems: as good as SciPy's, problem by problem."""

from __future__ import annotations

import numpy as np
import pytest
from swarms import Array, mixes, truth

from corpus_builder.optimise.laws import _exponential, _power
from corpus_builder.optimise.solving import Pull, solve


def exponential(p: Array, x: Array) -> tuple[Array, Array]:
    """a exp(b x) for each row (a, b) of p."""
    part = np.exp(p[:, 1:] * x[None])
    return p[:, :1] * part, np.stack([part, p[:, :1] * part * x[None]], 2)


def test_costs_are_those_that_scipy_finds() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    rng, x = np.random.default_rng(1), np.linspace(0, 2, 30)
    observed = 1.5 * np.exp(-0.7 * x) + rng.normal(0, 0.05, (6, 30))
    observed[:, 3] += 1.0  # an outlier, so that Huber's loss matters
    weights = rng.integers(0, 3, (6, 30)).astype(float)
    pull = Pull(np.array([0.01, 0.02]), np.array([1.0, 0.0]))
    start = np.tile([1.0, 0.0], (6, 1))
    found, costs = solve(lambda p: exponential(p, x), start, observed, weights, pull, huber=0.1)

    def cost(p: Array, row: int) -> float:
        size = np.abs(p[0] * np.exp(p[1] * x) - observed[row])
        rho = np.where(size <= 0.1, size**2 / 2, 0.1 * (size - 0.05))
        return float(weights[row] @ rho + 0.5 * (pull.strength @ (p - pull.centre) ** 2))

    for row in range(6):
        theirs = optimize.minimize(cost, [1.0, 0.0], (row,), method="Nelder-Mead",
                                   options={"xatol": 1e-9, "fatol": 1e-12})  # fmt: skip
        assert costs[row] == pytest.approx(theirs.fun, rel=1e-5)
        assert found[row] == pytest.approx(theirs.x, abs=1e-3)


def test_a_problem_is_solved_alike_in_any_company() -> None:
    rng, x = np.random.default_rng(2), np.linspace(0, 2, 20)
    observed = np.exp(rng.uniform(-1, 1, (5, 1)) * x) + rng.normal(0, 0.1, (5, 20))
    pull, start = Pull(np.full(2, 1e-3), np.zeros(2)), np.tile([1.0, 0.0], (5, 1))
    ones = np.ones((5, 20))
    together, _ = solve(lambda p: exponential(p, x), start, observed, ones, pull, huber=0.3)
    for row in range(5):
        part = slice(row, row + 1)
        alone, _ = solve(
            lambda p: exponential(p, x), start[part], observed[part], ones[part], pull, huber=0.3
        )
        assert alone[0] == pytest.approx(together[row], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("law", "extra"), [(_power, 4), (_exponential, 1)])
def test_jacobians_are_the_derivatives(law: object, extra: int) -> None:
    shares = mixes(12)
    k = shares.shape[1]
    at = np.random.default_rng(0).uniform(-1.5, 0.3, (3, k + extra))
    _, jacobian = law(at, shares)  # type: ignore[operator]
    for j in range(k + extra):
        step = np.zeros(k + extra)
        step[j] = 1e-6
        numeric = (law(at + step, shares)[0] - law(at - step, shares)[0]) / 2e-6  # type: ignore[operator]
        assert jacobian[:, :, j] == pytest.approx(numeric, rel=1e-5, abs=1e-7)


def test_the_truth_of_these_tests_falls_with_what_helps() -> None:
    """A guard of the fixture: all qa beats all books for qa."""
    assert truth(np.eye(5), "qa").argmin() == 4
