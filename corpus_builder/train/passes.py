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
def turn(joint, turns, parts, scale):  # type: ignore[no-untyped-def]
    """Rows of queries, keys and values by head; queries and keys normalised a head, and turned.

    joint `[B T, 3 d]`, turns `[T, 2, D / 2]` (cosines, sines), parts `[3, B, H, T, D]` and scale
    `[2, B, H, T]` out. Dimension i of a head pairs with i + D / 2.
    """
    _, batch, heads, length, width = parts.shape
    half = width // 2
    for n in range(batch * length):
        b, t = n // length, n % length
        for unit in range(2 * heads):
            part, head = unit // heads, unit % heads
            row, out = joint[n, unit * width : (unit + 1) * width], parts[part, b, head, t]
            total = np.float32(0)
            for i in range(width):
                total += row[i] * row[i]
            factor = np.float32(1) / np.sqrt(total / np.float32(width) + _EPSILON)
            scale[part, b, head, t] = factor
            for i in range(half):
                x, y = row[i] * factor, row[half + i] * factor
                cos, sin = turns[t, 0, i], turns[t, 1, i]
                out[i] = x * cos - y * sin
                out[half + i] = x * sin + y * cos
        for head in range(heads):
            first = (2 * heads + head) * width
            row, out = joint[n, first : first + width], parts[2, b, head, t]
            for i in range(width):
                out[i] = row[i]


@njit(
    "void(f4[:,:,:,:,::1], f4[:,:,:,:,::1], f4[:,:,:,::1], f4[:,:,::1], f4[:,::1])",
    cache=True, fastmath=_FAST, error_model="numpy",
)  # fmt: skip
def turn_grad(grads, parts, scale, turns, out):  # type: ignore[no-untyped-def]
    """Gradient of `turn`: that of `parts` -> out `[B T, 3 d]`, that of `joint`.

    Head by head, along what it reads, as `turn` goes token by token: each is slower the other way.
    """
    _, batch, heads, length, width = parts.shape
    half = width // 2
    for b in range(batch):
        for unit in range(3 * heads):
            part, head = unit // heads, unit % heads
            for t in range(length):
                n = b * length + t
                grad, row = grads[part, b, head, t], out[n, unit * width : (unit + 1) * width]
                if part == 2:
                    for i in range(width):
                        row[i] = grad[i]
                    continue
                turned, factor = parts[part, b, head, t], scale[part, b, head, t]
                total = np.float32(0)
                for i in range(width):
                    total += grad[i] * turned[i]
                mean = total / np.float32(width)
                for i in range(half):
                    x = (grad[i] - turned[i] * mean) * factor
                    y = (grad[half + i] - turned[half + i] * mean) * factor
                    cos, sin = turns[t, 0, i], turns[t, 1, i]
                    row[i] = x * cos + y * sin
                    row[half + i] = y * cos - x * sin
