"""Softmax and its gradients, one pass over memory each: of logits, and of causal attention.

Invariant: rows are independent and each is summed in a fixed order. Arrays are contiguous, and
overwritten by the result: `float32`, or bf16 as its bits in `uint16`; sums are float32 always.
Results do not depend on what was compiled before.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .bf16 import narrowed, widened

# Sums may be reordered into vector lanes; NaN and infinity keep their meaning. The order depends on
# how a function is built into another, and that on which of them were kept on disk: so passes
# alone are kept, each with its pieces inside.
_MATHS = {"fastmath": {"reassoc", "contract", "nsz", "arcp"}, "error_model": "numpy"}
_PASS = {"cache": True, **_MATHS}
_PIECE = {"inline": "always", **_MATHS}
_COPY = {"forceinline": True, **_MATHS}  # by LLVM: inlined by numba these take twice as long
_LOWEST = np.float32(-87)  # e to it is the least normal number, about
_LOG2_E = np.float32(1.44269504)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_MANTISSA = np.int32(23)
_VECTOR = 32  # numbers in two registers


@njit(**_PIECE)
def exponential(x):  # type: ignore[no-untyped-def]
    """e^x for x from -87 to 88, to 5e-7 of it; e^-87 below, and where x is NaN.

    2^n e^r with |r| <= ln(2) / 2: a polynomial that vectorises, where a call to libm does not.
    """
    x = x if x > _LOWEST else _LOWEST
    n = np.floor(x * _LOG2_E + np.float32(0.5))
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = np.float32(1 / 720)
    p = p * r + np.float32(1 / 120)
    p = p * r + np.float32(1 / 24)
    p = p * r + np.float32(1 / 6)
    p = p * r + np.float32(1 / 2)
    p = p * r + np.float32(1)
    p = p * r + np.float32(1)
    bits = np.float32(p).view(np.int32) + (np.int32(n) << _MANTISSA)
    return np.int32(bits).view(np.float32)


@njit(**_COPY)
def _widen(bits, row):  # type: ignore[no-untyped-def]
    for i in range(len(row)):
        row[i] = widened(bits[i])


@njit(**_COPY)
def _narrow(row, bits):  # type: ignore[no-untyped-def]
    for i in range(len(row)):
        bits[i] = narrowed(row[i])


@njit(**_PIECE)
def _normalised(row, highest):  # type: ignore[no-untyped-def]
    """Softmax of a row in place; its log-partition."""
    total = np.float32(0)
    for i in range(len(row)):
        row[i] = exponential(row[i] - highest)
        total += row[i]
    factor = np.float32(1) / total
    for i in range(len(row)):
        row[i] *= factor
    return highest + np.log(total)


@njit("void(f4[:,::1], i8, f4[::1], i8[::1], f4, f4[::1], f4[::1], f4[::1])", **_PASS)
def loss_slopes(  # type: ignore[no-untyped-def]
    logits, vocab, highest, targets, z_twice, partition, chosen, steep
):
    """logits `[N, V...]` -> chances - onehot / steep, the slope of a row's loss but for `steep`.

    Args:
        vocab: V; columns from there on are left alone.
        highest: taken off a row before e is raised to it: its maximum, or any number near enough.
        z_twice: 2 * weight of z-loss.
        partition, chosen, steep: `[N]` out: log-partition, the target's logit, and
            1 + z_twice * log-partition.
    """
    for n in range(len(logits)):
        chosen[n] = logits[n, targets[n]]
        partition[n] = _normalised(logits[n, :vocab], highest[n])
        steep[n] = np.float32(1) + z_twice * partition[n]
        logits[n, targets[n]] -= np.float32(1) / steep[n]


@njit("void(u2[:,::1], i8, f4[::1], i8[::1], f4, f4[::1], f4[::1], f4[::1])", **_PASS)
def loss_slopes_bf16(  # type: ignore[no-untyped-def]
    logits, vocab, highest, targets, z_twice, partition, chosen, steep
):
    """As `loss_slopes`."""
    row = np.empty(vocab, np.float32)
    for n in range(len(logits)):
        _widen(logits[n, :vocab], row)
        chosen[n] = row[targets[n]]
        partition[n] = _normalised(row, highest[n])
        steep[n] = np.float32(1) + z_twice * partition[n]
        row[targets[n]] -= np.float32(1) / steep[n]
        _narrow(row, logits[n, :vocab])


@njit(**_PIECE)
def _chances(row, scale):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for i in range(len(row)):
        row[i] = exponential(row[i] * scale)
        total += row[i]
    factor = np.float32(1) / total
    for i in range(len(row)):
        row[i] *= factor


@njit("void(f4[:,:,::1], i8, f4)", **_PASS)
def attention_chances(scores, first, scale):  # type: ignore[no-untyped-def]
    """scores `[M, Q, K]` of tokens from `first` on -> causal softmax of scale * scores.

    What is ahead of a token is 0. No highest score is sought: normalised queries and keys of D
    dimensions keep D^-.5 * scores within D^.5.
    """
    for m in range(scores.shape[0]):
        for n in range(scores.shape[1]):
            end = first + n + 1
            _chances(scores[m, n, :end], scale)
            scores[m, n, end:] = 0


@njit("void(u2[:,:,::1], i8, f4)", **_PASS)
def attention_chances_bf16(scores, first, scale):  # type: ignore[no-untyped-def]
    """As `attention_chances`."""
    wide = np.empty(scores.shape[2], np.float32)
    for m in range(scores.shape[0]):
        for n in range(scores.shape[1]):
            end = first + n + 1
            row = wide[:end]
            _widen(scores[m, n, :end], row)
            _chances(row, scale)
            _narrow(row, scores[m, n, :end])
            scores[m, n, end:] = 0


@njit(**_PIECE)
def _whole(end, most):  # type: ignore[no-untyped-def]
    """Up to where chances are gone through: whole vectors, the last of them zeros."""
    return min((end + _VECTOR - 1) // _VECTOR * _VECTOR, most)


@njit(**_PIECE)
def _slopes(chances, grad, scale):  # type: ignore[no-untyped-def]
    mean = np.float32(0)
    for i in range(len(grad)):
        mean += chances[i] * grad[i]
    for i in range(len(grad)):
        grad[i] = scale * chances[i] * (grad[i] - mean)


@njit("void(f4[:,:,::1], f4[:,:,::1], i8, f4)", **_PASS)
def attention_slopes(chances, grad, first, scale):  # type: ignore[no-untyped-def]
    """grad of chances `[M, Q, K]`, finite -> that of scores, through `attention_chances`."""
    for m in range(grad.shape[0]):
        for n in range(grad.shape[1]):
            end = _whole(first + n + 1, grad.shape[2])
            _slopes(chances[m, n, :end], grad[m, n, :end], scale)
            grad[m, n, end:] = 0


@njit("void(u2[:,:,::1], u2[:,:,::1], i8, f4)", **_PASS)
def attention_slopes_bf16(chances, grad, first, scale):  # type: ignore[no-untyped-def]
    """As `attention_slopes`."""
    wide, wide_grad = np.empty(grad.shape[2], np.float32), np.empty(grad.shape[2], np.float32)
    for m in range(grad.shape[0]):
        for n in range(grad.shape[1]):
            end = _whole(first + n + 1, grad.shape[2])
            row, row_grad = wide[:end], wide_grad[:end]
            _widen(chances[m, n, :end], row)
            _widen(grad[m, n, :end], row_grad)
            _slopes(row, row_grad, scale)
            _narrow(row_grad, grad[m, n, :end])
            grad[m, n, end:] = 0
