"""The shapes of small models: named sizes, any layers x width, and what they cost.

Invariant: everything here is arithmetic on `Shape`; no torch. Parameters and FLOPs count the model
of `model.py` exactly (tied embedding, 4x MLP, no biases, no gains).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from corpus_builder.store.errors import RecipeError, did_you_mean

HEAD_WIDTHS = (64, 32, 16)
FEWEST_HEADS = 4
BETA1 = 0.9
BETA2 = 0.95  # at a size's own batch
MUON_RATE = 4
OptimizerName = Literal["adamw", "muon"]


@dataclass(frozen=True)
class Shape:
    """A decoder's shape; `width` is a multiple of 16 and `heads` divides it."""

    layers: int
    width: int
    heads: int

    def __post_init__(self) -> None:
        if self.layers < 1 or self.width < 16 or self.width % 16:
            raise RecipeError(
                "model",
                f"{self.layers} layers of width {self.width}",
                allowed="allowed: 1 layer or more, a width that is a multiple of 16",
            )
        if self.heads < 1 or self.width % self.heads or self.head_width % 2:
            raise RecipeError("model", f"{self.heads} heads do not divide a width of {self.width}")

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def hidden(self) -> int:
        """Width of the MLP's hidden layer."""
        return 4 * self.width

    def matrix_parameters(self) -> int:
        """Weights of all blocks: 4 d^2 in attention and 8 d^2 in the MLP, each layer."""
        return 12 * self.layers * self.width**2

    def parameters(self, vocab: int) -> int:
        """All parameters, the tied embedding counted once."""
        return self.matrix_parameters() + vocab * self.width

    def flops_per_token(self, vocab: int, sequence_length: int) -> int:
        """Training FLOPs a token, forward and backward.

        6 for each weight (2 forward, 4 backward; PaLM, 2204.02311, appendix B), the output head
        included and the embedding look-up not, and 6 L d T for causal attention, which looks back
        at half of the sequence on average.
        """
        attention = 6 * self.layers * self.width * sequence_length
        return 6 * (self.matrix_parameters() + vocab * self.width) + attention


@dataclass(frozen=True)
class Size:
    """A shape with the settings that it trains well with.

    Attributes:
        vocab, sequence_length: what the size is named for; a recipe's own come first.
        batch_tokens: tokens an optimizer step.
        learning_rate: AdamW's peak, where a search would start; Muon's is `MUON_RATE` times that.
    """

    name: str
    shape: Shape
    vocab: int
    sequence_length: int
    batch_tokens: int
    learning_rate: float

    def sequences_per_step(self, sequence_length: int) -> int:
        """Sequences a step for a recipe's own sequence length."""
        return max(1, self.batch_tokens // sequence_length)

    def tuned(self, share: float, optimizer: OptimizerName) -> tuple[float, float]:
        """Learning rate and AdamW's beta2 for steps of a share of the size's own batch.

        The rate falls with the square root (2205.10287), and beta2 remembers as many tokens
        (2507.07101).
        """
        peak = self.learning_rate * (MUON_RATE if optimizer == "muon" else 1)
        return peak * math.sqrt(share), BETA2**share


SIZES = {
    size.name: size
    for size in (
        Size("1M", Shape(4, 128, 4), 4096, 256, 8192, 6e-3),
        Size("4M", Shape(3, 256, 4), 8192, 256, 8192, 4.2e-3),
        Size("15M", Shape(7, 384, 6), 8192, 512, 16384, 2.7e-3),
        Size("60M", Shape(10, 640, 10), 16384, 1024, 131072, 1.8e-3),
    )
}


def named_size(name: str) -> Size:
    """A size by its name.

    Raises:
        RecipeError: no such size.
    """
    if name not in SIZES:
        raise RecipeError("model", f"no size is called {name!r}", allowed=did_you_mean(name, SIZES))
    return SIZES[name]


def size_of(layers: int, width: int, vocab: int) -> Size:
    """Settings for any shape: those of the nearest named size below it, its own learning rate.

    Heads are as wide as allowed (64, 32, 16) while there are at least four. The learning rate
    follows the power law through the named sizes, 6e-3 (N / 1.31M)^-0.315.
    """
    wide = [w for w in HEAD_WIDTHS if width % w == 0 and width // w >= FEWEST_HEADS]
    shape = Shape(layers, width, max(1, width // (wide[0] if wide else HEAD_WIDTHS[-1])))
    parameters = shape.parameters(vocab)
    below = [s for s in SIZES.values() if s.shape.parameters(s.vocab) <= parameters]
    like = below[-1] if below else SIZES["1M"]
    rate = 6e-3 * (parameters / 1_310_720) ** -0.315
    return Size(f"{layers}x{width}", shape, vocab, like.sequence_length, like.batch_tokens, rate)
