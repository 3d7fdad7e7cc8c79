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
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPSILON)).to(x.dtype)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Rotary embedding (2104.09864): pairs (x_2i, x_2i+1) of a head turned as complex numbers.

    Args:
        x: `[B, T, H, D]`.
        turns: `[T', D / 2, 2]`, cosine and sine of each position's angles, T' >= T.
    """
    cos, sin = turns[: x.shape[1], None].unbind(-1)
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    pairs = torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1)
    return pairs.flatten(-2).to(x.dtype)


def attention_inputs(
    x: Tensor, weight: Tensor, turns: Tensor, heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values `[B, H, T, D]` of a pre-norm attention layer.

    Queries and keys are RMS-normalised a head (qk-norm, 2302.05442) and rotated.

    Args:
        x: residual stream `[B, T, d]`.
        weight: `[3 d, d]`: rows of queries, keys, values.
    """
    batch, length, width = x.shape
    qkv = F.linear(rms_norm(x), weight).view(batch, length, 3 * heads, width // heads)
    q, k, v = qkv.split(heads, 2)
    q, k = rotate(rms_norm(q), turns), rotate(rms_norm(k), turns)
    return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)


def add_mlp(x: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """x + relu(norm(x) up^T)^2 down^T, `[B, T, d]` (squared ReLU: Primer, 2109.08668)."""
    return x + F.linear(F.relu(F.linear(rms_norm(x), up)).square(), down)


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
