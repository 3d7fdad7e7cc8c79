"""The pieces of `formulas` with hand-written gradients: fewer passes over memory in eager mode.

Invariant: the values and gradients of `formulas`, up to rounding. Nothing here modifies its
arguments; what is written in place was made here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from .formulas import EPSILON

# Rows of logits held at once. 128 to 512 are within 5 % of each other at vocabularies of 4096 and
# 8192, and 1.4-1.6x faster than all rows at once; products in bf16 want more rows a product.
LOSS_ROWS = {torch.float32: 256, torch.bfloat16: 1024}


def _scale(x: Tensor) -> Tensor:
    """1 / sqrt(mean(x^2) + epsilon) over the last axis, kept as an axis of 1."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    return norm.square_().div_(x.shape[-1]).add_(EPSILON).rsqrt_().to(x.dtype)


def _project(grad: Tensor, y: Tensor) -> Tensor:
    """grad - y mean(grad * y): the gradient of a norm, but for its scale."""
    return torch.addcmul(grad, y, (grad * y).sum(-1, keepdim=True).div_(-y.shape[-1]))


class _Norm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        scale = _scale(x)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        y, scale = ctx.saved_tensors
        return _project(grad, y).mul_(scale)


class _AttentionInputs(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, turns: Tensor, heads: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        batch, length, width = x.shape
        scale = _scale(x)
        y = x * scale
        qkv = (y.view(-1, width) @ weight.t()).view(batch, length, 3, width)
        circle = torch.view_as_complex(turns[:length].repeat(1, heads, 1))[:, None]
        pairs = torch.view_as_complex(qkv[:, :, :2].float().unflatten(-1, (-1, 2)))
        both = torch.view_as_real(pairs * circle).view(batch, length, 2, heads, -1)
        head_scale = _scale(both)  # of the turned heads: turning keeps the norm
        both.mul_(head_scale)
        ctx.save_for_backward(y, scale, weight, both, head_scale, circle)
        q, k = both.transpose(1, 3).unbind(2)
        return q, k, qkv[:, :, 2].float().unflatten(-1, (heads, -1)).transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        y, scale, weight, both, head_scale, circle = ctx.saved_tensors
        batch, length, width = y.shape
        back = circle[:, 0].conj_physical()
        joint = torch.empty(batch, length, 3, width, device=y.device)
        for part in range(2):
            grad = _project(grads[part].transpose(1, 2), both[:, :, part])
            grad = (grad * head_scale[:, :, part]).view(batch, length, -1, 2)
            into = torch.view_as_complex(joint[:, :, part].unflatten(-1, (-1, 2)))
            torch.mul(torch.view_as_complex(grad), back, out=into)
        joint[:, :, 2] = grads[2].transpose(1, 2).flatten(2)
        rows = joint.view(-1, 3 * width).to(y.dtype)
        y_grad = (rows @ weight).view_as(y)
        return _project(y_grad, y).mul_(scale), rows.t() @ y.view(-1, width), None, None


class _AddMLP(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, up: Tensor, down: Tensor) -> Tensor:
        scale = _scale(x)
        y = x * scale
        width = x.shape[-1]
        hidden = (y.view(-1, width) @ up.t()).relu_()
        ctx.save_for_backward(y, scale, up, down, hidden)
        return torch.addmm(x.view(-1, width), hidden * hidden, down.t()).view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, scale, up, down, hidden = ctx.saved_tensors
        width = y.shape[-1]
        rows = grad.reshape(-1, width)
        down_grad = rows.t() @ (hidden * hidden)
        half = (rows @ down).mul_(hidden)  # half of the gradient of `hidden`
        up_grad = torch.addmm(up, half.t(), y.view(-1, width), beta=0, alpha=2)
        y_grad = torch.addmm(rows, half, up, beta=0, alpha=2).view_as(y)
        return torch.addcmul(grad, _project(y_grad, y), scale), up_grad, down_grad


def _log_partition(logits: Tensor, chances: Tensor, target: Tensor) -> Tensor:
    """logsumexp of each row `[N, 1]`, from the chance of one column unless that is near zero."""
    chosen = chances.gather(1, target)
    if bool((chosen < 1e-30).any()):
        return torch.logsumexp(logits.float(), -1, keepdim=True)
    return logits.gather(1, target) - chosen.log_()


class _LossSums(Function):
    """Takes gradients with the values: each block of logits is made once and overwritten."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, z_weight: float
    ) -> tuple[Tensor, Tensor]:
        hidden_grad, head_grad = torch.empty_like(hidden), torch.zeros_like(head)
        sums = torch.zeros(2, device=hidden.device)
        rows = LOSS_ROWS[hidden.dtype]
        for part, target, grad in zip(
            hidden.split(rows), targets[:, None].split(rows), hidden_grad.split(rows), strict=True
        ):
            logits = part @ head.t()
            chances = torch.softmax(logits, -1, dtype=torch.float32)
            partition = _log_partition(logits, chances, target)
            entropy = (partition - logits.gather(1, target)).sum()
            sums += torch.stack((entropy, partition.square().sum()))
            # d loss / d logits = steep * chances - onehot, `steep` of z-loss; a factor of a row
            # goes to the thin side of each product.
            steep = partition.mul(2 * z_weight).add_(1)
            chances.scatter_add_(1, target, steep.reciprocal().neg_())
            slope, steep = chances.to(hidden.dtype), steep.to(hidden.dtype)
            torch.mm(slope, head, out=grad).mul_(steep)
            head_grad.addmm_(slope.t(), part * steep)
        ctx.save_for_backward(hidden_grad, head_grad)
        loss, total = sums[0] + z_weight * sums[1], sums[0].clone()
        ctx.mark_non_differentiable(total)
        return loss, total

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
