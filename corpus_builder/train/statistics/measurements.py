"""Held-out losses of every arm, checked once: same seeds, same documents, finite, enough of both.

Invariant: a `Measurements` that exists can be compared; everything after it is arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corpus_builder.store.errors import DataError, RecipeError, did_you_mean
from corpus_builder.train.statistics.components import Part
from corpus_builder.train.statistics.distributions import Floats

Bits = Mapping[str, Floats]


@dataclass(frozen=True)
class Measurements:
    """What a trial measured.

    Attributes:
        bytes: corpus -> int64 (documents,), bytes of each held-out document's original text.
        base: corpus -> float64 (seeds, documents), loss in bits summed over the document.
        arms: arm -> the same of it. Row s is seed s and column d document d in every array.
    Raises:
        DataError: shapes that differ, values that are not finite, < 2 seeds, < 2 documents, a
            document without bytes.
    """

    bytes: Mapping[str, npt.NDArray[np.int64]]
    base: Bits
    arms: Mapping[str, Bits]

    def __post_init__(self) -> None:
        """Check everything that a comparison rests on."""
        if not self.arms:
            raise DataError("trial", "no arm beside the base", do="declare an arm")
        for corpus, sizes in self.bytes.items():
            if sizes.ndim != 1 or len(sizes) < 2:
                raise DataError(f"trial: {corpus}", "needs at least 2 held-out documents")
            if not (sizes > 0).all():
                raise DataError(f"trial: {corpus}", "a held-out document has no bytes")
        for arm, bits in {"base": self.base, **self.arms}.items():
            self._check(arm, bits)

    def _check(self, arm: str, bits: Bits) -> None:
        where = f"trial: arm {arm}"
        if set(bits) != set(self.bytes):
            odd = ", ".join(sorted(set(bits) ^ set(self.bytes)))
            raise DataError(where, f"not measured on the same corpora: {odd}")
        for corpus, values in bits.items():
            shape = (self.seeds, len(self.bytes[corpus]))
            if values.shape != shape:
                raise DataError(
                    f"{where}, {corpus}",
                    f"has shape {values.shape}",
                    allowed=f"expected (seeds, documents) = {shape}",
                )
            if not np.isfinite(values).all():
                raise DataError(f"{where}, {corpus}", "a loss is not finite")
        if self.seeds < 2:
            raise DataError("trial", "one seed shows no spread", do="run at least 2, better 3")

    @property
    def seeds(self) -> int:
        """Number of paired seeds."""
        return int(next(iter(self.base.values())).shape[0]) if self.base else 0

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names, in the order given."""
        return tuple(self.bytes)

    def parts(self, arm: str, weights: Mapping[str, float]) -> list[Part]:
        """What `components.estimate` takes, for the weighted mean over corpora."""
        return [
            Part(self.arms[arm][c] - self.base[c], self.bytes[c].astype(np.float64), weight)
            for c, weight in weights.items()
        ]


def headline_weights(weights: Mapping[str, float], corpora: tuple[str, ...]) -> dict[str, float]:
    """The declared weights scaled to sum 1, those of 0 left out.

    Raises:
        RecipeError: an unknown corpus, a weight below 0 or not finite, or none above 0.
    """
    for corpus, weight in weights.items():
        if corpus not in corpora:
            allowed = did_you_mean(corpus, corpora)
            raise RecipeError("trial.headline", f"no corpus {corpus!r}", allowed=allowed)
        if not (np.isfinite(weight) and weight >= 0):
            raise RecipeError(f"trial.headline.{corpus}", f"{weight} is no weight")
    total = sum(weights.values())
    if total <= 0:
        raise RecipeError("trial.headline", "no weight is above 0", do="give one corpus a weight")
    return {corpus: weight / total for corpus, weight in weights.items() if weight > 0}
