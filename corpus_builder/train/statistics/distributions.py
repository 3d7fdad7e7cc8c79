"""The four special functions everything here rests on; scipy is loaded on the first call.

Invariant: tails are taken from the left, so that a p-value of 1e-200 keeps its digits.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@cache
def _special() -> Any:
    return importlib.import_module("scipy.special")


def normal_cdf(x: npt.ArrayLike) -> Floats:
    """P(Z <= x)."""
    return np.asarray(_special().ndtr(x), np.float64)


def normal_critical(level: float) -> float:
    """z with P(|Z| > z) = level."""
    return -float(_special().ndtri(level / 2))


def t_two_sided(x: npt.ArrayLike, df: npt.ArrayLike) -> Floats:
    """P(|T| > |x|) of Student's t; `df` need not be whole."""
    return np.asarray(2 * _special().stdtr(df, -np.abs(x)), np.float64)


def t_critical(df: npt.ArrayLike, level: npt.ArrayLike) -> Floats:
    """c with P(|T| > c) = level."""
    return np.asarray(-_special().stdtrit(df, np.divide(level, 2)), np.float64)


def scaled_chi2_quantiles(df: float, shares: Floats) -> Floats:
    """Quantiles of a variance estimate over its expectation, chi2_df / df."""
    return np.asarray(2 * _special().gammaincinv(df / 2, shares) / df, np.float64)
