"""The pieces of `formulas` with hand-written gradients, for eager mode on a CPU.

Invariant: the values and gradients of `formulas`, up to rounding. Nothing here modifies its
arguments; what is written in place was made here. Norms and turns are the compiled `passes`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function

from . import passes

# Rows of logits held at once. 128 to 512 are 1.3 to 1.6x faster than plain autograd on all rows
# and within noise of each other; products in bf16 want more rows.
LOSS_ROWS = {torch.float32: 512, torch.bfloat16: 1024}


def _array(x: Tensor, *shape: int) -> NDArray[np.float32]:
    """The memory of a contiguous fp32 tensor (a copy of another) in the shape given."""
    array: NDArray[np.float32] = x.detach().float().contiguous().numpy().reshape(shape)
    return array


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
        qkv = (y.to(weight.dtype) @ weight.t()).float().view(-1, 3, width)
        both = torch.empty(len(qkv), 2, heads, width // heads)
        head_scale = torch.empty(len(qkv), 2, heads)
        turns = turns[:length]
        passes.turn(qkv.numpy(), turns.numpy(), heads, both.numpy(), head_scale.numpy())
        ctx.save_for_backward(y, scale, weight, both, head_scale, turns)
        shape = (batch, length, heads, -1)
        q, k, v = (p.reshape(shape).transpose(1, 2) for p in (both[:, 0], both[:, 1], qkv[:, 2]))
        return q, k, v

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        y, scale, weight, both, head_scale, turns = ctx.saved_tensors
        heads, each = both.shape[2:]
        joint = torch.empty(len(y), 3, y.shape[1])
        numbers = (both.numpy(), head_scale.numpy(), turns.numpy(), joint.numpy())
        for part in range(2):
            passes.turn_grad(_array(grads[part].transpose(1, 2), -1, heads, each), part, *numbers)
        joint[:, 2] = grads[2].transpose(1, 2).reshape(y.shape)
        rows = joint.view(len(y), -1).to(weight.dtype)
        x_grad = _past_norm(rows @ weight, y, scale)
        batch, length = grads[0].shape[0], grads[0].shape[2]
        return x_grad.view(batch, length, -1), rows.t() @ y.to(weight.dtype), None, None


class _AddMLP(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, up: Tensor, down: Tensor) -> Tensor:
        y, scale = _normalised(x)
        hidden = (y.to(up.dtype) @ up.t()).relu_()
        ctx.save_for_backward(y, scale, up, down, hidden)
        return add_linear(x, hidden * hidden, down)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, scale, up, down, hidden = ctx.saved_tensors
        rows = grad.reshape(y.shape).to(up.dtype)
        down_grad = rows.t() @ (hidden * hidden)
        half = (rows @ down).mul_(hidden)  # half of the gradient of `hidden`
        up_grad = torch.addmm(up, half.t(), y.to(up.dtype), beta=0, alpha=2)
        y_grad = torch.addmm(rows, half, up, beta=0, alpha=2)
        x_grad = _past_norm(y_grad, y, scale, beside=grad).view_as(grad)
        return x_grad, up_grad, down_grad


def _log_partition(logits: Tensor, chances: Tensor, chosen: Tensor, target: Tensor) -> Tensor:
    """logsumexp of each row `[N, 1]`, from the chance of one column unless that is near zero."""
    chance = chances.gather(1, target)
    if float(chance.min()) < 1e-30:
        return torch.logsumexp(logits.float(), -1, keepdim=True)
    return chosen - chance.log_()


class _LossSums(Function):
    """Takes gradients with the values: each block of logits is made once and overwritten."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, z_weight: float
    ) -> tuple[Tensor, Tensor]:
        hidden_grad, head_grad = torch.empty_like(hidden), torch.zeros_like(head)
        partitions, chosen = [], []
        rows = LOSS_ROWS[hidden.dtype]
        for part, target, grad in zip(
            hidden.split(rows), targets[:, None].split(rows), hidden_grad.split(rows), strict=True
        ):
            logits = part @ head.t()
            chances = torch.softmax(logits, -1, dtype=torch.float32)
            chosen.append(logits.gather(1, target).float())
            partitions.append(_log_partition(logits, chances, chosen[-1], target))
            # d loss / d logits = steep * chances - onehot, `steep` of z-loss; a factor of a row
            # goes to the thin side of each product.
            steep = partitions[-1].mul(2 * z_weight).add_(1)
            chances.scatter_add_(1, target, steep.reciprocal().neg_())
            slope, steep = chances.to(hidden.dtype), steep.to(hidden.dtype)
            torch.mm(slope, head, out=grad).mul_(steep)
            head_grad.addmm_(slope.t(), part * steep)
        ctx.save_for_backward(hidden_grad, head_grad)
        partition = torch.cat(partitions)
        entropy = (partition - torch.cat(chosen)).sum()
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
    """As `formulas.attention_inputs`, in fp32 always: CPU attention is 2x slower in bf16."""
    q, k, v = _AttentionInputs.apply(x, weight, turns, heads)
    return q, k, v


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
