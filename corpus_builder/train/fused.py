"""The pieces of `formulas` with hand-written gradients, for eager mode on a CPU.

Invariant: the values and gradients of `formulas`, up to rounding. Nothing here modifies its
arguments; what is written in place was made here. What goes through memory number by number is
compiled: `passes`, `softmax`, `squares`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function

from . import formulas, passes, softmax, squares

LOSS_ROWS = 256
"""Rows of logits held at once."""

SMALL = 60.0
"""Logits within this either way need no maximum taken off before e is raised to them."""

PAD = 16
"""Columns between rows of logits: numbers a power of two apart share places in a cache."""

SHORT = 1024
"""Tokens of the longest sequences whose attention is kept as chances of all pairs."""

QUERIES = 128
"""Tokens that look back at once: what is ahead of them all is not computed."""


def _array(x: Tensor, *shape: int) -> NDArray[np.float32]:
    """The memory of a contiguous fp32 tensor (a copy of another) in the shape given."""
    array: NDArray[np.float32] = x.detach().float().contiguous().numpy().reshape(shape)
    return array


def _bits(x: Tensor) -> NDArray[np.uint16]:
    """The memory of a contiguous bf16 tensor."""
    bits: NDArray[np.uint16] = x.view(torch.uint16).numpy()
    return bits


def _normalised(x: Tensor) -> tuple[Tensor, Tensor]:
    """x as normalised rows `float32[N, d]`, and the scale of each row."""
    width = x.shape[-1]
    y, scale = torch.empty(x.numel() // width, width), torch.empty(x.numel() // width)
    passes.normalise(_array(x, -1, width), y.numpy(), scale.numpy())
    return y, scale


def _past_norm(grad: Tensor, y: Tensor, scale: Tensor, beside: Tensor | None = None) -> Tensor:
    """Gradient `[N, d]` through a norm, plus that of a path `beside` it."""
    width = y.shape[1]
    out = torch.empty_like(y)
    other = np.zeros_like(y.numpy()) if beside is None else _array(beside, -1, width)
    passes.normalise_grad(_array(grad, -1, width), y.numpy(), scale.numpy(), other, out.numpy())
    return out


class _Norm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y, scale = _normalised(x)
        ctx.save_for_backward(y, scale)
        return y.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _past_norm(grad, *ctx.saved_tensors).view_as(grad)


def _chances(q: Tensor, k: Tensor, first: int) -> Tensor:
    """Causal chances `[M, Q, K]` of keys for queries, the first of which is token `first`."""
    scores, scale = torch.bmm(q, k.mT), q.shape[-1] ** -0.5
    if q.dtype == torch.bfloat16:
        softmax.attention_chances_bf16(_bits(scores), first, scale)
    else:
        softmax.attention_chances(scores.numpy(), first, scale)
    return scores


def _past_chances(chances: Tensor, grad: Tensor, first: int, scale: float) -> None:
    """Gradient of chances -> that of scores, in place."""
    if grad.dtype == torch.bfloat16:
        softmax.attention_slopes_bf16(_bits(chances), _bits(grad), first, scale)
    else:
        softmax.attention_slopes(chances.numpy(), grad.numpy(), first, scale)


def _attend(parts: Tensor, mixed: Tensor) -> list[Tensor]:
    """Causal attention of `[3, B H, T, D]` into `mixed` `[B, H, T, D]`; chances, a block each."""
    q, k, v = parts
    kept = []
    for first in range(0, q.shape[1], QUERIES):
        rows, seen = slice(first, first + QUERIES), slice(first + QUERIES)
        chances = _chances(q[:, rows], k[:, seen], first)
        mixed[:, :, rows] = torch.bmm(chances, v[:, seen]).view_as(mixed[:, :, rows])
        kept.append(chances)
    return kept


def _attend_grads(parts: Tensor, kept: Sequence[Tensor], grad: Tensor) -> Tensor:
    """Gradient of queries, keys, values `[3, B H, T, D]`, from that of the mixed values."""
    q, k, v = parts
    grads = torch.empty_like(parts)
    for block, chances in reversed(list(enumerate(kept))):  # the last one reaches all tokens
        first = block * QUERIES
        rows, seen = slice(first, first + QUERIES), slice(first + QUERIES)
        slopes = torch.bmm(grad[:, rows], v[:, seen].mT)
        _past_chances(chances, slopes, first, q.shape[-1] ** -0.5)
        grads[0][:, rows] = torch.bmm(slopes, k[:, seen])
        for out, weights, of in ((grads[1], slopes, q), (grads[2], chances, grad)):
            if block + 1 == len(kept):
                torch.bmm(weights.mT, of[:, rows], out=out)
            else:
                out[:, seen] += torch.bmm(weights.mT, of[:, rows])
    return grads


class _AddAttention(Function):
    """Keeps the chances of all pairs of tokens for the gradient."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, out: Tensor, turns: Tensor, heads: int
    ) -> Tensor:
        batch, length, width = x.shape
        y, scale = _normalised(x)
        joint = (y.to(weight.dtype) @ weight.t()).float()
        parts = torch.empty(3, batch, heads, length, width // heads)
        head_scale, turns = torch.empty(2, batch, heads, length), turns[:length]
        passes.turn(joint.numpy(), turns.numpy(), parts.numpy(), head_scale.numpy())
        flat = parts.view(3, batch * heads, length, -1).to(weight.dtype)
        rows = torch.empty(len(y), width, dtype=weight.dtype)
        kept = _attend(flat, rows.view(batch, length, heads, -1).transpose(1, 2))
        ctx.save_for_backward(y, scale, weight, out, parts, head_scale, turns, flat, rows, *kept)
        return add_linear(x, rows, out)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        y, scale, weight, out, parts, head_scale, turns, flat, rows, *kept = ctx.saved_tensors
        _, batch, heads, length, each = parts.shape
        slopes = grad.reshape(y.shape).to(out.dtype)
        mixed_grad = (slopes @ out).view(batch, length, heads, each).transpose(1, 2)
        grads = _attend_grads(flat, kept, mixed_grad.reshape(flat.shape[1:]))
        joint = torch.empty(len(y), 3 * y.shape[1])
        numbers = (parts.numpy(), head_scale.numpy(), turns.numpy(), joint.numpy())
        passes.turn_grad(_array(grads, *parts.shape), *numbers)
        joint = joint.to(weight.dtype)
        x_grad = _past_norm(joint @ weight, y, scale, beside=grad).view_as(grad)
        return x_grad, joint.t() @ y.to(weight.dtype), slopes.t() @ rows, None, None


def _squared_relu(x: Tensor) -> Tensor:
    """x -> max(x, 0)^2, in place."""
    if x.dtype == torch.bfloat16:
        squares.squared_relu_bf16(_bits(x))
    else:
        squares.squared_relu(x.numpy())
    return x


def _half_slopes(squared: Tensor, grad: Tensor) -> Tensor:
    """Gradient of squares -> half the gradient of what was squared, in place."""
    if grad.dtype == torch.bfloat16:
        squares.half_slopes_bf16(_bits(squared), _bits(grad))
    else:
        squares.half_slopes(squared.numpy(), grad.numpy())
    return grad


class _AddMLP(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, up: Tensor, down: Tensor) -> Tensor:
        y, scale = _normalised(x)
        squared = _squared_relu(y.to(up.dtype) @ up.t())
        ctx.save_for_backward(y, scale, up, down, squared)
        return add_linear(x, squared, down)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, scale, up, down, squared = ctx.saved_tensors
        rows = grad.reshape(y.shape).to(up.dtype)
        down_grad = rows.t() @ squared
        half = _half_slopes(squared, rows @ down)
        up_grad = torch.addmm(up, half.t(), y.to(up.dtype), beta=0, alpha=2)
        y_grad = torch.addmm(rows, half, up, beta=0, alpha=2)
        x_grad = _past_norm(y_grad, y, scale, beside=grad).view_as(grad)
        return x_grad, up_grad, down_grad


def _loss_slopes(
    memory: Tensor, vocab: int, target: Tensor, z_weight: float,
    partition: Tensor, chosen: Tensor, small: bool,
) -> Tensor:  # fmt: skip
    """Logits, `small` or not, become slopes, see `softmax.loss_slopes`; `steep` as a column."""
    steep = torch.empty(len(memory))
    highest = torch.zeros(len(memory)) if small else memory[:, :vocab].amax(1).float()
    numbers = (
        vocab, highest.numpy(), target.numpy(), 2 * z_weight,
        partition.numpy(), chosen.numpy(), steep.numpy(),
    )  # fmt: skip
    if memory.dtype == torch.bfloat16:
        softmax.loss_slopes_bf16(_bits(memory), *numbers)
    else:
        softmax.loss_slopes(memory.numpy(), *numbers)
    return steep[:, None].to(memory.dtype)


class _LossSums(Function):
    """Takes gradients with the values: blocks of logits are made once, in memory used again."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, z_weight: float
    ) -> tuple[Tensor, Tensor]:
        hidden_grad, head_grad = torch.empty_like(hidden), torch.empty_like(head)
        partition, chosen = torch.empty(2, len(hidden))
        targets = targets.contiguous()
        small = bool(hidden.norm(dim=1).max() * head.norm(dim=1).max() < SMALL)
        memory = hidden.new_empty(min(LOSS_ROWS, len(hidden)), len(head) + PAD)
        if memory.dtype == torch.bfloat16:
            memory[:, len(head) :] = 0  # its products look there, and NaN * 0 is NaN
        for start in range(0, len(hidden), LOSS_ROWS):
            rows = slice(start, start + LOSS_ROWS)
            part, numbers = hidden[rows], (partition[rows], chosen[rows])
            block = memory[: len(part)]
            logits = torch.mm(part, head.t(), out=block[:, : len(head)])
            # d loss / d logits = steep * slope, `steep` of z-loss; a factor of a row goes to the
            # thin side of each product.
            steep = _loss_slopes(block, len(head), targets[rows], z_weight, *numbers, small)
            torch.mm(logits, head, out=hidden_grad[rows]).mul_(steep)
            torch.addmm(head_grad, logits.t(), part * steep, beta=min(start, 1), out=head_grad)
        ctx.save_for_backward(hidden_grad, head_grad)
        entropy = (partition - chosen).sum()
        ctx.mark_non_differentiable(entropy)
        return entropy + z_weight * partition.square().sum(), entropy

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden_grad, head_grad = ctx.saved_tensors
        return hidden_grad.mul_(grad), head_grad.mul_(grad), None, None


def rms_norm(x: Tensor) -> Tensor:
    """As `formulas.rms_norm`."""
    y: Tensor = _Norm.apply(x)
    return y


def add_attention(x: Tensor, weight: Tensor, out: Tensor, turns: Tensor, heads: int) -> Tensor:
    """As `formulas.add_attention`.

    Long sequences go through the library's kernel, in fp32 as it is 2x slower in bf16.
    """
    if x.shape[1] > SHORT:
        parts = (part.float() for part in formulas.attention_inputs(x, weight, turns, heads))
        return add_linear(x, formulas.attend(*parts).transpose(1, 2).flatten(2), out)
    y: Tensor = _AddAttention.apply(x, weight, out, turns, heads)
    return y


def add_linear(x: Tensor, rows: Tensor, weight: Tensor) -> Tensor:
    """As `formulas.add_linear`; in fp32 the sum is part of the product."""
    rows, flat = rows.reshape(-1, weight.shape[1]).to(weight.dtype), x.view(-1, x.shape[-1])
    if weight.dtype == x.dtype:
        return torch.addmm(flat, rows, weight.t()).view_as(x)
    return (rows @ weight.t()).view_as(x) + x


def add_mlp(x: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """As `formulas.add_mlp`."""
    y: Tensor = _AddMLP.apply(x, up, down)
    return y


def loss_sums(
    hidden: Tensor, head: Tensor, targets: Tensor, z_weight: float
) -> tuple[Tensor, Tensor]:
    """As `formulas.loss_sums`."""
    loss, entropy = _LossSums.apply(hidden, head, targets, z_weight)
    return loss, entropy
