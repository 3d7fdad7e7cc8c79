"""The pieces of the decoder as plain tensor formulas: what the model is, by definition.

Invariant: `fused.py` computes the same values and gradients. These run where a compiler fuses them
(CUDA); on a CPU they are the reference that tests hold `fused` to.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

EPSILON = 1e-8  # below any embedding's mean square: (2.5 / d)^2 at the start


def rms_norm(x: Tensor) -> Tensor:
    """x / sqrt(mean(x^2) + 1e-8) over the last axis, without a gain (Zhang and Sennrich, 2019)."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Rotary embedding (2104.09864): dimensions i and i + D / 2 of a head turned as a pair.

    Args:
        x: `[B, T, H, D]`.
        turns: `[T, 2, D / 2]`, cosine and sine of each position's angles.
    """
    cos, sin = turns[:, None].unbind(-2)
    one, other = x.chunk(2, -1)
    return torch.cat((one * cos - other * sin, one * sin + other * cos), -1)


def attention_inputs(
    x: Tensor, weight: Tensor, turns: Tensor, heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values `[B, H, T, D]` of a pre-norm attention layer.

    Queries and keys are RMS-normalised a head (qk-norm, 2302.05442) and rotated, in fp32, and
    returned in the type of the weights.

    Args:
        x: residual stream `float32[B, T, d]`.
        weight: `[3 d, d]`: rows of queries, keys, values.
        turns: as in `rotate`, for T positions or more.
    """
    batch, length, width = x.shape
    qkv = F.linear(rms_norm(x).to(weight.dtype), weight)
    q, k, v = qkv.view(batch, length, 3 * heads, width // heads).split(heads, 2)
    q, k = (rotate(rms_norm(part.float()), turns[:length]).to(v.dtype) for part in (q, k))
    return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention, `[B, H, T, D]` all: softmax(q k^T / sqrt(D)) v, no look ahead."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def add_linear(x: Tensor, rows: Tensor, weight: Tensor) -> Tensor:
    """x + rows weight^T: the residual stream stays fp32, the product is in the weights' type."""
    return x + F.linear(rows.to(weight.dtype), weight).view_as(x)


def add_attention(x: Tensor, weight: Tensor, out: Tensor, turns: Tensor, heads: int) -> Tensor:
    """x + attention of `attention_inputs`, mixed by `out`, `[B, T, d]`."""
    mixed = attend(*attention_inputs(x, weight, turns, heads))
    return add_linear(x, mixed.transpose(1, 2).flatten(2), out)


def add_mlp(x: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """x + relu(norm(x) up^T)^2 down^T, `[B, T, d]` (squared ReLU: Primer, 2109.08668)."""
    return add_linear(x, F.relu(F.linear(rms_norm(x).to(up.dtype), up)).square(), down)


def token_losses(hidden: Tensor, head: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and log-partition of each row, `float32[N]` both, nats.

    Args:
        hidden: `[N, d]`, normalised.
        head: `[V, d]`, the tied embedding.
        targets: `int64[N]`.
    """
    logits = F.linear(hidden, head).float()
    partition = torch.logsumexp(logits, -1)
    return partition - logits.gather(1, targets[:, None]).squeeze(1), partition


def loss_sums(
    hidden: Tensor, head: Tensor, targets: Tensor, z_weight: float
) -> tuple[Tensor, Tensor]:
    """Sum of (cross-entropy + z_weight * log-partition^2), and of cross-entropy alone (detached).

    The second term keeps the logits from drifting (z-loss: PaLM, 2204.02311, section 5).
    """
    losses, partition = token_losses(hidden, head, targets)
    return (losses + z_weight * partition.square()).sum(), losses.detach().sum()
