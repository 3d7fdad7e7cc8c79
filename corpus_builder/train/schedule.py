"""Warm-up, stable, decay: the learning rate as a function of the step, for several budgets at once.

Invariant: all budgets share one trunk (warm-up and stable rate); each leaves it at its own branch
step and decays to zero at its end. A branch never changes the trunk, so the run of a budget is the
same whether other budgets are trained or not - given the smallest, which sets the warm-up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from corpus_builder.store.errors import RecipeError


@dataclass(frozen=True)
class Schedule:
    """WSD (MiniCPM, 2404.06395, section 4; branches for many budgets: 2405.18392).

    Args:
        budgets: optimizer steps of each run, rising.
        warmup: share of the smallest budget, so that all share it; 2 to 5 % serve well.
        decay: share of each budget that decays; 20 to 40 % serve well.
        shape: of the decay: linear, or 1 - sqrt (2405.18392, section 4).
    """

    budgets: tuple[int, ...]
    warmup: float = 0.04
    decay: float = 0.3
    shape: Literal["linear", "1-sqrt"] = "linear"

    def __post_init__(self) -> None:
        if not self.budgets or self.budgets[0] < 1 or sorted({*self.budgets}) != [*self.budgets]:
            raise RecipeError("schedule", f"budgets {self.budgets} are not rising step counts")
        if self.warmup < 0 or self.decay <= 0 or self.warmup + self.decay > 1:
            what = f"a warm-up of {self.warmup:g} and a decay of {self.decay:g} of a run"
            allowed = "allowed: shares that add up to at most 1, the decay above 0"
            raise RecipeError("schedule", what, allowed=allowed)

    @property
    def warmup_steps(self) -> int:
        return math.ceil(self.warmup * self.budgets[0])

    def branch_step(self, budget: int) -> int:
        """Steps on the trunk; the next one is the first of the budget's decay."""
        return max(budget - math.ceil(self.decay * budget), min(budget, self.warmup_steps))

    def rate(self, step: int, budget: int) -> float:
        """Share of the peak rate in step `step` (0 to budget - 1) of the run of `budget`.

        Warm-up reaches 1 in its last step. Decay falls below 1 in its first step and would be 0
        one step after its last, so no step is spent at a rate of zero.
        """
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        branch = self.branch_step(budget)
        if step < branch:
            return 1.0
        gone = (step + 1 - branch) / (budget + 1 - branch)
        return 1 - (math.sqrt(gone) if self.shape == "1-sqrt" else gone)
