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
    "void(f4[:,:,::1], f4[:,:,::1], i8, f4[:,:,:,::1], f4[:,:,::1])",
    cache=True, fastmath=_FAST, error_model="numpy",
)  # fmt: skip
def turn(qkv, turns, heads, both, scale):  # type: ignore[no-untyped-def]
    """Normalise and turn each head of queries and keys.

    qkv `[N, 3, d]`, turns `[T, 2, D / 2]` (cosines, sines; row n is position n % T), both
    `[N, 2, H, D]` and scale `[N, 2, H]` out. Dimension i of a head pairs with i + D / 2.
    """
    length, half = turns.shape[0], turns.shape[2]
    for n in range(qkv.shape[0]):
        cos, sin = turns[n % length, 0], turns[n % length, 1]
        for part in range(2):
            for head in range(heads):
                x = qkv[n, part, head * 2 * half : (head + 1) * 2 * half]
                y = both[n, part, head]
                total = np.float32(0)
                for i in range(2 * half):
                    total += x[i] * x[i]
                factor = np.float32(1) / np.sqrt(total / np.float32(2 * half) + _EPSILON)
                scale[n, part, head] = factor
                for i in range(half):
                    a, b = x[i] * factor, x[half + i] * factor
                    y[i] = a * cos[i] - b * sin[i]
                    y[half + i] = a * sin[i] + b * cos[i]


@njit(
    "void(f4[:,:,::1], i8, f4[:,:,:,::1], f4[:,:,::1], f4[:,:,::1], f4[:,:,::1])",
    cache=True, fastmath=_FAST, error_model="numpy",
)  # fmt: skip
def turn_grad(grad, part, both, scale, turns, out):  # type: ignore[no-untyped-def]
    """Gradient of `turn` for queries (part 0) or keys (1): grad `[N, H, D]`, out `[N, 3, d]`."""
    length, half = turns.shape[0], turns.shape[2]
    for n in range(grad.shape[0]):
        cos, sin = turns[n % length, 0], turns[n % length, 1]
        for head in range(grad.shape[1]):
            g, y = grad[n, head], both[n, part, head]
            x = out[n, part, head * 2 * half : (head + 1) * 2 * half]
            total = np.float32(0)
            for i in range(2 * half):
                total += g[i] * y[i]
            mean, factor = total / np.float32(2 * half), scale[n, part, head]
            for i in range(half):
                a = (g[i] - y[i] * mean) * factor
                b = (g[half + i] - y[half + i] * mean) * factor
                x[i] = a * cos[i] + b * sin[i]
                x[half + i] = b * cos[i] - a * sin[i]
