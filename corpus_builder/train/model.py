"""The decoder that trials train: pre-RMSNorm, rotary positions, qk-norm, squared ReLU, tied head.

Invariants: no biases and no gains; the output projections of attention and MLP start at zero, so
each block starts as the identity. Weights follow from the seed alone, on every device. Attention
is causal over the packed sequence and crosses document ends: sequences of a few hundred tokens
hold one to three documents, EOS tells them apart, and every arm is treated alike; a document mask
would take the fast causal kernel away.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from . import formulas, fused
from .sizes import Shape

Z_WEIGHT = 1e-4
ROTARY_BASE = 10_000.0


@dataclass(frozen=True)
class ModelConfig:
    """A shape with its vocabulary and longest sequence."""

    shape: Shape
    vocab: int
    sequence_length: int

    def parameters(self) -> int:
        """All parameters, the tied embedding counted once."""
        return self.shape.parameters(self.vocab)

    def flops_per_token(self) -> int:
        """Training FLOPs a token."""
        return self.shape.flops_per_token(self.vocab, self.sequence_length)


class Block(nn.Module):
    """Attention and MLP, each added to the residual stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Parameter(torch.empty(3 * shape.width, shape.width))
        self.out = nn.Parameter(torch.zeros(shape.width, shape.width))
        self.up = nn.Parameter(torch.empty(shape.hidden, shape.width))
        self.down = nn.Parameter(torch.zeros(shape.width, shape.hidden))

    def forward(self, x: Tensor, turns: Tensor, pieces: ModuleType, dtype: torch.dtype) -> Tensor:
        """Residual stream `float32[B, T, d]`, in and out; products in `dtype`."""
        x = pieces.add_attention(x, self.qkv.to(dtype), self.out.to(dtype), turns, self.heads)
        y: Tensor = pieces.add_mlp(x, self.up.to(dtype), self.down.to(dtype))
        return y


class Decoder(nn.Module):
    """The model. `dtype` arguments choose the type of matrix products; weights stay fp32.

    Args:
        config: its shape.
        seed: decides every initial weight.
        pieces: `fused`, for eager mode, or `formulas`, for a compiler.
    """

    turns: Tensor

    def __init__(self, config: ModelConfig, seed: int, pieces: ModuleType = fused) -> None:
        super().__init__()
        self.config, self.pieces = config, pieces
        shape = config.shape
        self.embedding = nn.Parameter(torch.empty(config.vocab, shape.width))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        turns = rotary_turns(config.sequence_length, shape.head_width)
        self.register_buffer("turns", turns, persistent=False)
        self._initialise(torch.Generator().manual_seed(seed))

    def _initialise(self, generator: torch.Generator) -> None:
        """Matrices: normal with variance 1 / fan-in. Embedding: normal with deviation 2.5 / d.

        A token's own logit at the start is then 2.5 at any width (|norm(e)| |e| = d * deviation),
        so the first loss is close to ln V although input and output share their weights.
        """
        width = self.config.shape.width
        with torch.no_grad():
            self.embedding.normal_(0, 2.5 / width, generator=generator)
            for name, weight in self.blocks.named_parameters():
                if name.endswith(("qkv", "up")):
                    weight.normal_(0, width**-0.5, generator=generator)

    def hidden(self, tokens: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Normalised last hidden states `float32[B, T, d]` of `int64[B, T]`."""
        pieces = self.pieces
        x = pieces.rms_norm(F.embedding(tokens, self.embedding))
        for block in self.blocks:
            x = block(x, self.turns, pieces, dtype)
        y: Tensor = pieces.rms_norm(x)
        return y

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits `float32[B, T, V]`."""
        return F.linear(self.hidden(tokens), self.embedding)

    def loss_sums(
        self, tokens: Tensor, dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor]:
        """Summed training loss with z-loss, and summed cross-entropy (detached), nats.

        Each of `int64[B, T]` but the first of a sequence is predicted: B * (T - 1) terms. The last
        goes through the model for nothing, as attention over T - 1 tokens is slower.
        """
        hidden = self.hidden(tokens, dtype)[:, :-1].flatten(0, 1).to(dtype)
        loss, entropy = self.pieces.loss_sums(
            hidden, self.embedding.to(dtype), tokens[:, 1:].reshape(-1), Z_WEIGHT
        )
        return loss, entropy

    @torch.no_grad()
    def token_losses(self, tokens: Tensor) -> Tensor:
        """Cross-entropy `float32[B, T - 1]` of each token but the first, nats; products in fp32."""
        hidden = self.hidden(tokens[:, :-1]).flatten(0, 1)
        targets = tokens[:, 1:].reshape(-1)
        rows = fused.LOSS_ROWS
        losses = [
            formulas.token_losses(part, self.embedding, target)[0]
            for part, target in zip(hidden.split(rows), targets.split(rows), strict=True)
        ]
        return torch.cat(losses).view(len(tokens), -1)


def rotary_turns(length: int, head_width: int) -> Tensor:
    """`float32[T, 2, D / 2]`: cosine and sine of position times ROTARY_BASE^(-2 i / D)."""
    powers = torch.arange(0, head_width, 2, dtype=torch.float64) / head_width
    angles = torch.outer(torch.arange(length, dtype=torch.float64), ROTARY_BASE**-powers)
    return torch.stack((angles.cos(), angles.sin()), 1).float()
