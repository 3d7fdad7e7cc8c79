"""The `mix` block of a recipe: corpora x weights x budget.

Invariant: as in `recipe_models`; weights come from exactly one of `weights`, `sampler`, `stages`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from .recipe_models import Count, Model, Share, Text, read_share, read_weight


def _some_weight(weights: dict[str, float]) -> dict[str, float]:
    if not any(weights.values()):
        raise ValueError("all weights are 0; at least one must be above 0")
    return weights


def _one_unit(weights: Any) -> Any:
    """Refuse shares beside counts: `5` beside `40%` stands for 500 %, and hardly means it."""
    if not isinstance(weights, dict):
        return weights
    written = [(name, value) for name, value in weights.items() if _number(value) > 0]
    percents = [name for name, value in written if str(value).endswith("%")]
    counts = [name for name, value in written if _number(value) >= 1 and name not in percents]
    shares = [name for name, value in written if _number(value) < 1 and name not in percents]
    units = [name for name in counts if isinstance(weights[name], str)]
    for one, other in ((percents, counts), (shares, units)):
        if one and other:
            a, b = one[0], other[0]
            raise ValueError(
                f"{a} has {weights[a]} and {b} has {weights[b]}: a share beside a count; "
                "write all as shares (40% or 0.4) or all as counts (400k)"
            )
    return weights


def _number(weight: Any) -> float:
    """Its value; 0 where it is none, of which the type's own check tells."""
    try:
        found = read_weight(weight)
    except ValueError:
        return 0.0
    return float(found) if isinstance(found, int | float) else 0.0


Weights: TypeAlias = Annotated[
    dict[str, Annotated[float, BeforeValidator(read_weight), Field(ge=0, le=1e15)]],
    Field(min_length=1),
    BeforeValidator(_one_unit),
    AfterValidator(_some_weight),
]


MIX_KINDS = ("weights", "sampler", "stages")
CUT_KINDS = ("edges", "quantiles")


def _bucket_or_error(value: Any) -> Any:
    if isinstance(value, str) and value != "error":
        raise ValueError(f"{value!r} is neither `error` nor the number of a bucket")
    return None if value == "error" else value


class Temperature(Model):
    """Weights in proportion to size ** temperature: 1 is proportional, 0 uniform."""

    temperature: float = Field(ge=0, le=1)


class MixStep(Model):
    """A stretch of a staged mix: these weights up to the share `until` of the budget."""

    until: Annotated[float, BeforeValidator(read_share), Field(gt=0, le=1)] = 1.0
    weights: Weights


class Buckets(Model):
    """A corpus cut into buckets by a signal, to be read at different rates.

    Attributes:
        by: a signal that is a number, of the text as it left the last stage.
        edges: values that part the buckets, rising; a document whose value equals an edge is
            above it.
        quantiles: or shares of the kept documents, rising: `[50%, 90%]` makes the lower half, the
            next four tenths and the top tenth.
        times: for each bucket, lowest first, how often it is read, relative to the others; 0
            leaves it out.
        on_null: a document without a value belongs to the bucket of this number; None, written
            `error`, refuses it.
    """

    by: Text
    edges: Annotated[tuple[float, ...], Field(min_length=1, max_length=63)] | None = None
    quantiles: Annotated[tuple[Share, ...], Field(min_length=1, max_length=63)] | None = None
    times: tuple[Annotated[float, Field(ge=0, le=1000)], ...]
    on_null: Annotated[Annotated[int, Field(ge=0)] | None, BeforeValidator(_bucket_or_error)] = None

    @model_validator(mode="after")
    def _consistent(self) -> Buckets:
        given = [key for key in CUT_KINDS if getattr(self, key) is not None]
        if len(given) != 1:
            shown = " and ".join(given) or "neither"
            raise ValueError(f"needs exactly one of edges, quantiles; it has {shown}")
        if not _rise(self.cuts):
            raise ValueError(f"{given[0]} must rise")
        if len(self.times) != len(self.cuts) + 1:
            buckets = f"{len(self.cuts)} {given[0]} make {len(self.cuts) + 1} buckets"
            raise ValueError(f"{buckets}, but times has {len(self.times)} numbers")
        if not any(self.times):
            raise ValueError("all times are 0; to leave the corpus out, give it the weight 0")
        if self.on_null is not None and self.on_null >= len(self.times):
            raise ValueError(f"on_null is {self.on_null}; the last bucket is {len(self.cuts)}")
        return self

    @property
    def cuts(self) -> tuple[float, ...]:
        """Edges or quantiles, whichever it has."""
        return self.edges or self.quantiles or ()


def _rise(numbers: Sequence[float]) -> bool:
    return all(low < high for low, high in pairwise(numbers))


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
        buckets: by corpus, how it is cut and how often each part is read; its weight stays.
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
    buckets: dict[str, Buckets] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Mix:
        if self.tokens < self.sequence_length:
            raise ValueError(
                f"{self.tokens} tokens do not fill one sequence of {self.sequence_length}"
            )
        given = [key for key in MIX_KINDS if getattr(self, key) is not None]
        if len(given) != 1:
            shown = " and ".join(given) or "none of them"
            raise ValueError(f"needs exactly one of weights, sampler, stages; it has {shown}")
        if self.sampler == "unimax" and isinstance(self.max_epochs, dict):
            raise ValueError("unimax takes one max_epochs for all corpora")
        borders = [step.until for step in self.stages or ()]
        if borders and (borders != sorted(set(borders)) or borders[-1] != 1):
            ends = ", ".join(f"{border:.4g}" for border in borders)
            raise ValueError(
                f"stages end at {ends} of the mix; `until` must rise, and the last one has none "
                "(it ends at 100%)"
            )
        return self

    @property
    def steps(self) -> tuple[MixStep, ...]:
        """The stretches of the mix; none where a sampler decides."""
        return self.stages or ((MixStep(weights=self.weights),) if self.weights else ())
