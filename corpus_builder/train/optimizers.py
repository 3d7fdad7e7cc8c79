"""AdamW, and Muon for the matrices; weight decay on matrices only.

Invariant: every parameter belongs to one group. Blocks' matrices decay; the embedding does not (its
rare rows get no gradient for many steps and would only shrink). There are no gains or biases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from .model import Decoder
from .sizes import BETA1, BETA2, OptimizerName

MUON_MOMENTUM = 0.95
QUINTIC = (3.4445, -4.7750, 2.0315)
QUINTIC_STEPS = 5


@dataclass(frozen=True)
class OptimizerConfig:
    """Settings; `learning_rate` is the peak of the schedule.

    `muon` trains the blocks' matrices by Muon and the embedding by AdamW. Muon's updates have the
    size of AdamW's, so one rate and weight decay serve both groups; the best rate is a higher one.
    """

    learning_rate: float
    name: OptimizerName = "adamw"
    betas: tuple[float, float] = (BETA1, BETA2)
    weight_decay: float = 0.1
    clip: float = 1.0


def orthogonalise(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Nearly U V^T of each matrix U S V^T in `[..., m, n]`: singular values become 0.7 to 1.2.

    Five Newton-Schulz steps of the quintic of Jordan et al., "Muon" (2024); bf16 will do.

    Args:
        dtype: of products.
    """
    x = matrices.to(dtype)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(QUINTIC_STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(Optimizer):
    """Momentum, orthogonalised (Jordan et al., 2024), scaled to AdamW's size (2502.16982, 2.2).

    Args:
        groups: parameter groups; `stacked` matrices of a group lie on top of one another in each
            parameter and are treated one by one (queries, keys, values).
        weight_decay: decoupled, as in AdamW.
        dtype: of products.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        weight_decay: float,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.dtype = dtype
        super().__init__(groups, {"lr": 0.0, "weight_decay": weight_decay, "stacked": 1})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            ahead = [self._ahead(w).view(group["stacked"], -1, w.shape[-1]) for w in weights]
            for weight, update in zip(weights, self._updates(ahead), strict=True):
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(update.reshape(weight.shape), alpha=group["lr"])

    def _ahead(self, weight: Tensor) -> Tensor:
        """Momentum with Nesterov's look ahead."""
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum"].lerp_(weight.grad, 1 - MUON_MOMENTUM)
        return torch.lerp(weight.grad, momentum, MUON_MOMENTUM)

    def _updates(self, stacks: Sequence[Tensor]) -> list[Tensor]:
        """Stacks of matrices `[s, m, n]`, orthogonalised and scaled, those of a shape at once."""
        wide = [stack.mT if stack.shape[1] > stack.shape[2] else stack for stack in stacks]
        found: dict[torch.Size, Iterator[Tensor]] = {}
        for shape in dict.fromkeys(stack.shape[1:] for stack in wide):
            alike = [stack for stack in wide if stack.shape[1:] == shape]
            done = orthogonalise(torch.cat(alike), self.dtype).mul_(0.2 * max(shape) ** 0.5)
            found[shape] = iter(done.split([len(stack) for stack in alike]))
        updates = [next(found[stack.shape[1:]]) for stack in wide]
        return [
            update.mT if stack.shape[1] > stack.shape[2] else update
            for stack, update in zip(stacks, updates, strict=True)
        ]


def build(
    model: Decoder, config: OptimizerConfig, dtype: torch.dtype = torch.float32
) -> list[Optimizer]:
    """The optimizers of a model, products in `dtype`; call `step` on each."""
    fused = [block.qkv for block in model.blocks]
    others = [p for block in model.blocks for p in (block.out, block.up, block.down)]
    embedding = {"params": [model.embedding], "weight_decay": 0.0}
    adam = {"betas": config.betas, "weight_decay": config.weight_decay, "fused": True}
    if config.name == "adamw":
        return [AdamW([{"params": fused + others}, embedding], **adam)]
    groups: list[dict[str, Any]] = [{"params": fused, "stacked": 3}, {"params": others}]
    return [Muon(groups, config.weight_decay, dtype), AdamW([embedding], **adam)]


def set_rate(optimizers: Sequence[Optimizer], learning_rate: float) -> None:
    """Give every group the learning rate of this step."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
