"""The `mix` block of a recipe: corpora x weights x budget.

Invariant: as in `recipe_models`; weights come from exactly one of `weights`, `sampler`, `stages`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from .recipe_models import Count, Model, read_share


def _some_weight(weights: dict[str, float]) -> dict[str, float]:
    if not any(weights.values()):
        raise ValueError("all weights are 0; at least one must be above 0")
    return weights


Weights: TypeAlias = Annotated[
    dict[str, Annotated[float, Field(ge=0, le=1e9)]],
    Field(min_length=1),
    AfterValidator(_some_weight),
]


MIX_KINDS = ("weights", "sampler", "stages")


class Temperature(Model):
    """Weights in proportion to size ** temperature: 1 is proportional, 0 uniform."""

    temperature: float = Field(ge=0, le=1)


class MixStep(Model):
    """A stretch of a staged mix: these weights up to the share `until` of the budget."""

    until: Annotated[float, BeforeValidator(read_share), Field(gt=0, le=1)] = 1.0
    weights: Weights


def _sampler_kind(value: Any) -> str:
    return "temperature" if isinstance(value, dict | Temperature) else "name"


def _epochs_kind(value: Any) -> str:
    return "each" if isinstance(value, dict) else "all"


class Mix(Model):
    """Corpora x weights x budget; weights come from one of `weights`, `sampler`, `stages`.

    Attributes:
        tokens: of the whole mix.
        weights: by corpus, one each; they need not add up to 1 (token counts will do).
        sampler: weights from the corpora's sizes: `proportional`, `unimax` (2304.09151: as uniform
            as max_epochs allows), or `{temperature: t}`.
        stages: other weights for later parts of the budget, for annealing.
        max_epochs: no corpus is repeated more often (4 cost next to nothing; 2305.16264); one
            number, or one a corpus (4 for those not named).
        on_short: a corpus too short for its weight is an error, or the others take its share.
    """

    tokens: Count = Field(ge=1)
    sequence_length: int = Field(ge=8, le=1 << 20)
    weights: Weights | None = None
    sampler: (
        Annotated[
            Annotated[Literal["proportional", "unimax"], Tag("name")]
            | Annotated[Temperature, Tag("temperature")],
            Discriminator(_sampler_kind),
        ]
        | None
    ) = None
    stages: Annotated[tuple[MixStep, ...], Field(min_length=1)] | None = None
    max_epochs: Annotated[
        Annotated[Annotated[float, Field(gt=0, le=1000)], Tag("all")]
        | Annotated[dict[str, Annotated[float, Field(gt=0, le=1000)]], Tag("each")],
        Discriminator(_epochs_kind),
    ] = 4.0
    on_short: Literal["error", "redistribute"] = "error"
    seed: int = Field(default=0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _consistent(self) -> Mix:
        if self.tokens < self.sequence_length:
            raise ValueError(f"{self.tokens} tokens do not fill one sequence")
        given = [key for key in MIX_KINDS if getattr(self, key) is not None]
        if len(given) != 1:
            shown = " and ".join(given) or "none of them"
            raise ValueError(f"needs exactly one of weights, sampler, stages; it has {shown}")
        if self.sampler == "unimax" and isinstance(self.max_epochs, dict):
            raise ValueError("unimax takes one max_epochs for all corpora")
        borders = [step.until for step in self.stages or ()]
        if borders and (borders != sorted(set(borders)) or borders[-1] != 1):
            raise ValueError(
                "stages: `until` must rise, and the last one has none (it ends at 100%)"
            )
        return self

    @property
    def steps(self) -> tuple[MixStep, ...]:
        """The stretches of the mix; none where a sampler decides."""
        return self.stages or ((MixStep(weights=self.weights),) if self.weights else ())
