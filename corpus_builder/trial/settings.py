"""What all runs of a trial share: model, batch, rate and number format.

Invariant: settings follow from the recipe, the budget and the machine's kind alone, so that arms
never differ in them.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..recipe_mix import Mix
from ..recipe_trial import Trial
from ..train.sizes import OptimizerName, Shape, named_size, size_of

FEWEST_STEPS = 200
"""Of a run that a time budget may cut to."""

STEPS: dict[OptimizerName, int] = {"adamw": 1000, "muon": 500}
"""A run of fewer has smaller batches than its size's own: on few tokens, more steps end lower
(`tests/bench/trials.py rates`)."""

FEWEST_TOKENS: dict[OptimizerName, int] = {"adamw": 1, "muon": 1024}
"""Of a step that leaves LEAST_STEPS or more: a step of Muon's costs time whatever it holds."""

LEAST_STEPS = 30


@dataclass(frozen=True)
class Machine:
    """`cpu` or `cuda`, and the number format of products there: `fp32` or `bf16`."""

    device: str = "cpu"
    precision: str = "fp32"


@dataclass(frozen=True)
class Settings:
    """What all runs of a trial share.

    Attributes:
        sequences: of `sequence_length` tokens in a step.
        learning_rate: its peak.
        beta2: of AdamW.
        machine: what they are trained on.
    """

    shape: Shape
    sequence_length: int
    sequences: int
    steps: int
    optimizer: OptimizerName
    learning_rate: float
    beta2: float
    machine: Machine

    @property
    def tokens(self) -> int:
        """Trained on by each run."""
        return self.steps * self.sequences * self.sequence_length


def settings_of(
    trial: Trial, mix: Mix, vocab: int, tokens: int, machine: Machine = Machine()
) -> Settings:
    """Settings for a budget of at most `tokens` a run.

    A step holds the size's own batch, less where that would leave fewer than the optimizer's
    STEPS, and FEWEST_TOKENS or more unless that would leave fewer than LEAST_STEPS.
    """
    model, length = trial.model, mix.sequence_length
    named = isinstance(model, str)
    size = named_size(model) if named else size_of(model.layers, model.width, vocab)  # type: ignore[union-attr,arg-type]
    usual, total = size.sequences_per_step(length), max(1, tokens // length)
    fewest = min(-(-FEWEST_TOKENS[trial.optimizer] // length), total // LEAST_STEPS)
    sequences = max(1, min(usual, max(fewest, total // STEPS[trial.optimizer])))
    rate, beta2 = size.tuned(sequences / usual, trial.optimizer)
    return Settings(
        shape=size.shape,
        sequence_length=length,
        sequences=sequences,
        steps=total // sequences,
        optimizer=trial.optimizer,
        learning_rate=trial.learning_rate or rate,
        beta2=beta2,
        machine=machine,
    )
