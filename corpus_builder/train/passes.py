"""One pass over memory each: norms and rotary turns, forward and backward, compiled.

Invariant: rows are independent and each is summed in a fixed order, so results do not depend on
how many rows a call has. All arrays are contiguous `float32`; outputs are written, never read.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Sums may be reordered into vector lanes; NaN and infinity keep their meaning.
_FAST = {"reassoc", "contract", "nsz", "arcp"}
_EPSILON = np.float32(1e-8)


@njit("void(f4[:,::1], f4[:,::1], f4[::1])", cache=True, fastmath=_FAST, error_model="numpy")
def normalise(x, y, scale):  # type: ignore[no-untyped-def]
    """y = x * scale with scale = 1 / sqrt(mean(x^2) + 1e-8), a row each."""
    rows, width = x.shape
    for n in range(rows):
        total = np.float32(0)
        for i in range(width):
            total += x[n, i] * x[n, i]
        factor = np.float32(1) / np.sqrt(total / np.float32(width) + _EPSILON)
        scale[n] = factor
        for i in range(width):
            y[n, i] = x[n, i] * factor


@njit(
    "void(f4[:,::1], f4[:,::1], f4[::1], f4[:,::1], f4[:,::1])",
    cache=True, fastmath=_FAST, error_model="numpy",
)  # fmt: skip
def normalise_grad(grad, y, scale, beside, out):  # type: ignore[no-untyped-def]
    """out = beside + scale * (grad - y mean(grad y)): through a norm, and past it."""
    rows, width = y.shape
    for n in range(rows):
        total = np.float32(0)
        for i in range(width):
            total += grad[n, i] * y[n, i]
        mean = total / np.float32(width)
        for i in range(width):
            out[n, i] = beside[n, i] + scale[n] * (grad[n, i] - y[n, i] * mean)


@njit(
    "void(f4[:,::1], f4[:,:,::1], f4[:,:,:,:,::1], f4[:,:,:,::1])",
    cache=True, fastmath=_FAST, error_model="numpy",
)  # fmt: skip
def turn(qkv, turns, both, scale):  # type: ignore[no-untyped-def]
    """Normalise and turn each head of queries and keys.

    qkv `[B T, 3 d]`, turns `[T, 2, D / 2]` (cosines, sines), both `[2, B, H, T, D]` and scale
    `[2, B, H, T]` out. Dimension i of a head pairs with i + D / 2.
    """
    parts, batch, heads, length, width = both.shape
    half = width // 2
    for part in range(parts):
        for b in range(batch):
            for head in range(heads):
                first = (part * heads + head) * width
                for t in range(length):
                    n = b * length + t
                    total = np.float32(0)
                    for i in range(width):
                        total += qkv[n, first + i] * qkv[n, first + i]
                    factor = np.float32(1) / np.sqrt(total / np.float32(width) + _EPSILON)
                    scale[part, b, head, t] = factor
                    for i in range(half):
                        x, y = qkv[n, first + i] * factor, qkv[n, first + half + i] * factor
                        cos, sin = turns[t, 0, i], turns[t, 1, i]
                        both[part, b, head, t, i] = x * cos - y * sin
                        both[part, b, head, t, half + i] = x * sin + y * cos


@njit(
    "void(f4[:,:,:,::1], i8, f4[:,:,:,:,::1], f4[:,:,:,::1], f4[:,:,::1], f4[:,::1])",
    cache=True, fastmath=_FAST, error_model="numpy",
)  # fmt: skip
def turn_grad(grad, part, both, scale, turns, out):  # type: ignore[no-untyped-def]
    """Gradient of `turn` for part 0 or 1 (queries, keys): `[B, H, T, D]`, out `[B T, 3 d]`."""
    batch, heads, length, width = grad.shape
    half = width // 2
    for b in range(batch):
        for head in range(heads):
            first = (part * heads + head) * width
            for t in range(length):
                n, factor = b * length + t, scale[part, b, head, t]
                total = np.float32(0)
                for i in range(width):
                    total += grad[b, head, t, i] * both[part, b, head, t, i]
                mean = total / np.float32(width)
                for i in range(half):
                    x = (grad[b, head, t, i] - both[part, b, head, t, i] * mean) * factor
                    y = grad[b, head, t, half + i] - both[part, b, head, t, half + i] * mean
                    y *= factor
                    cos, sin = turns[t, 0, i], turns[t, 1, i]
                    out[n, first + i] = x * cos + y * sin
                    out[n, first + half + i] = y * cos - x * sin
