"""The squared ReLU and its gradient: one pass over memory each, in place, compiled.

Squares alone are kept between the two: what was squared is their root. Arrays are contiguous:
`float32`, or bf16 as its bits in `uint16`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .bf16 import narrowed, widened

_HOW = {"cache": True, "error_model": "numpy"}


@njit("void(f4[:,::1])", **_HOW)
def squared_relu(x):  # type: ignore[no-untyped-def]
    """x -> max(x, 0)^2; NaN stays, so that a run that diverged is seen."""
    for n in range(len(x)):
        row = x[n]
        for i in range(len(row)):
            row[i] = row[i] * row[i] if not row[i] <= 0 else np.float32(0)


@njit("void(u2[:,::1])", **_HOW)
def squared_relu_bf16(x):  # type: ignore[no-untyped-def]
    """As `squared_relu`."""
    for n in range(len(x)):
        row = x[n]
        for i in range(len(row)):
            value = widened(row[i])
            row[i] = narrowed(value * value if not value <= 0 else np.float32(0))


@njit("void(f4[:,::1], f4[:,::1])", **_HOW)
def half_slopes(squares, grad):  # type: ignore[no-untyped-def]
    """Gradient of squares -> half the gradient of what `squared_relu` took."""
    for n in range(len(grad)):
        row, out = squares[n], grad[n]
        for i in range(len(row)):
            out[i] *= np.sqrt(row[i])


@njit("void(u2[:,::1], u2[:,::1])", **_HOW)
def half_slopes_bf16(squares, grad):  # type: ignore[no-untyped-def]
    """As `half_slopes`."""
    for n in range(len(grad)):
        row, out = squares[n], grad[n]
        for i in range(len(row)):
            out[i] = narrowed(widened(out[i]) * np.sqrt(widened(row[i])))
