"""The pieces of `formulas` with hand-written gradients, for eager mode on a CPU.

Invariant: the values and gradients of `formulas`, up to rounding. Nothing here modifies its
arguments; what is written in place was made here. Norms, turns and softmax are compiled: `passes`
and `softmax`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function

from . import formulas, passes, softmax

LOSS_ROWS = 256
"""Rows of logits held at once."""

PAD = 16
"""Columns between rows of logits: numbers a power of two apart share places in a cache."""

SHORT = 512
"""Tokens of the longest sequences whose attention is done by products of whole matrices."""


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


class _AttentionInputs(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, turns: Tensor, heads: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        batch, length, width = x.shape
        y, scale = _normalised(x)
        qkv = (y.to(weight.dtype) @ weight.t()).float()
        both = torch.empty(2, batch, heads, length, width // heads)
        head_scale = torch.empty(both.shape[:-1])
        turns = turns[:length]
        passes.turn(qkv.numpy(), turns.numpy(), both.numpy(), head_scale.numpy())
        ctx.save_for_backward(y, scale, weight, both, head_scale, turns)
        values = qkv.view(batch, length, 3, heads, -1)[:, :, 2].transpose(1, 2)
        q, k, v = (part.to(weight.dtype).contiguous() for part in (*both, values))
        return q, k, v

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        y, scale, weight, both, head_scale, turns = ctx.saved_tensors
        _, batch, heads, length, each = both.shape
        joint = torch.empty(len(y), 3 * y.shape[1])
        numbers = (both.numpy(), head_scale.numpy(), turns.numpy(), joint.numpy())
        for part in range(2):
            passes.turn_grad(_array(grads[part], batch, heads, length, each), part, *numbers)
        values = joint.view(batch, length, 3, heads, each)[:, :, 2]
        values.copy_(grads[2].transpose(1, 2))
        rows = joint.to(weight.dtype)
        x_grad = _past_norm(rows @ weight, y, scale)
        return x_grad.view(batch, length, -1), rows.t() @ y.to(weight.dtype), None, None


class _Attend(Function):
    """Keeps the chances of all pairs for the gradient."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        flat = [part.view(-1, *part.shape[2:]) for part in (q, k, v)]
        chances = torch.bmm(flat[0], flat[1].mT)
        if q.dtype == torch.bfloat16:
            softmax.attention_chances_bf16(_bits(chances), q.shape[-1] ** -0.5)
        else:
            softmax.attention_chances(chances.numpy(), q.shape[-1] ** -0.5)
        ctx.save_for_backward(*flat, chances)
        return torch.bmm(chances, flat[2]).view_as(v)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v, chances = ctx.saved_tensors
        rows = grad.reshape(v.shape).to(v.dtype)
        slopes, scale = torch.bmm(rows, v.mT), q.shape[-1] ** -0.5
        if q.dtype == torch.bfloat16:
            softmax.attention_slopes_bf16(_bits(chances), _bits(slopes), scale)
        else:
            softmax.attention_slopes(chances.numpy(), slopes.numpy(), scale)
        grads = torch.bmm(slopes, k), torch.bmm(slopes.mT, q), torch.bmm(chances.mT, rows)
        q_grad, k_grad, v_grad = (part.view_as(grad) for part in grads)
        return q_grad, k_grad, v_grad


class _AddMLP(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, up: Tensor, down: Tensor) -> Tensor:
        y, scale = _normalised(x)
        hidden = (y.to(up.dtype) @ up.t()).relu_()
        squares = hidden * hidden
        ctx.save_for_backward(y, scale, up, down, hidden, squares)
        return add_linear(x, squares, down)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, scale, up, down, hidden, squares = ctx.saved_tensors
        rows = grad.reshape(y.shape).to(up.dtype)
        down_grad = rows.t() @ squares
        half = (rows @ down).mul_(hidden)  # half of the gradient of `hidden`
        up_grad = torch.addmm(up, half.t(), y.to(up.dtype), beta=0, alpha=2)
        y_grad = torch.addmm(rows, half, up, beta=0, alpha=2)
        x_grad = _past_norm(y_grad, y, scale, beside=grad).view_as(grad)
        return x_grad, up_grad, down_grad


def _loss_slopes(
    memory: Tensor, vocab: int, target: Tensor, z_weight: float, partition: Tensor
) -> Tensor:
    """Logits become slopes, see `softmax.loss_slopes`; `steep` as a column of their type."""
    steep = torch.empty(len(memory))
    numbers = (
        vocab, memory[:, :vocab].amax(1).float().numpy(), target.contiguous().numpy(), 2 * z_weight,
        partition.numpy(), steep.numpy(),
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
        partition, chosen = torch.empty(len(hidden)), torch.empty(len(hidden))
        memory = hidden.new_empty(min(LOSS_ROWS, len(hidden)), len(head) + PAD)
        memory[:, len(head) :] = 0  # products in bf16 look there, and NaN * 0 is NaN
        for start in range(0, len(hidden), LOSS_ROWS):
            rows = slice(start, start + LOSS_ROWS)
            part, target = hidden[rows], targets[rows]
            block = memory[: len(part)]
            logits = torch.mm(part, head.t(), out=block[:, : len(head)])
            chosen[rows] = logits.gather(1, target[:, None])[:, 0]
            # d loss / d logits = steep * slope, `steep` of z-loss; a factor of a row goes to the
            # thin side of each product.
            steep = _loss_slopes(block, len(head), target, z_weight, partition[rows])
            torch.mm(logits, head, out=hidden_grad[rows]).mul_(steep)
            torch.addmm(head_grad, logits.t(), part * steep, beta=min(start, 1), out=head_grad)
        ctx.save_for_backward(hidden_grad, head_grad)
        entropy = (partition - chosen).sum()
        ctx.mark_non_differentiable(entropy)
        return entropy + z_weight * partition.square().sum(), entropy

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden_grad, head_grad = ctx.saved_tensors
        return hidden_grad * grad.to(hidden_grad.dtype), head_grad * grad, None, None


def rms_norm(x: Tensor) -> Tensor:
    """As `formulas.rms_norm`."""
    y: Tensor = _Norm.apply(x)
    return y


def attention_inputs(
    x: Tensor, weight: Tensor, turns: Tensor, heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """As `formulas.attention_inputs`, contiguous."""
    q, k, v = _AttentionInputs.apply(x, weight, turns, heads)
    return q, k, v


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """As `formulas.attend`, for queries and keys of `attention_inputs`.

    Long sequences go through the library's kernel, in fp32 as it is 2x slower in bf16.
    """
    if q.shape[2] > SHORT:
        return formulas.attend(q.float(), k.float(), v.float())
    mixed: Tensor = _Attend.apply(q, k, v)
    return mixed


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
