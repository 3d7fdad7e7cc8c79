"""bf16 as its bits in `uint16`, which numba has no type for: single numbers, compiled.

Pieces of passes over arrays, compiled with each of them: `uint16` to `float32` and back.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_HALF = np.uint32(16)


@njit(inline="always", error_model="numpy")
def widened(bits):  # type: ignore[no-untyped-def]
    """The number of these bits."""
    return np.uint32(np.uint32(bits) << _HALF).view(np.float32)


@njit(inline="always", error_model="numpy")
def narrowed(x):  # type: ignore[no-untyped-def]
    """Bits of the nearest number, of the even one of two as near; arithmetic's NaN stays."""
    wide = np.float32(x).view(np.uint32)
    odd = (wide >> _HALF) & np.uint32(1)
    return np.uint16((wide + np.uint32(0x7FFF) + odd) >> _HALF)
