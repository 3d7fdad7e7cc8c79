"""Results of runs as the statistics take them: losses by seed and document.

Invariant: arms that are compared were measured with the same seeds, 0 and up, on the same texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..recipe_trial import BASE_ARM
from ..train.statistics.measurements import Measurements
from .runs import Result

Key = tuple[str, int]
Results = Mapping[Key, Result]


def measurements(
    results: Results, seeds: int, arms: Sequence[str], base: str = BASE_ARM
) -> Measurements:
    """The first `seeds` seeds of these arms and of what they are compared with."""
    first = results[base, 0]
    bits = {arm: _bits(results, arm, seeds) for arm in (base, *arms)}
    return Measurements(dict(first.bytes), bits.pop(base), bits)


def _bits(results: Results, arm: str, seeds: int) -> dict[str, npt.NDArray[np.float64]]:
    corpora = results[arm, 0].bytes
    return {
        corpus: np.stack([results[arm, seed].bits[corpus] for seed in range(seeds)])
        for corpus in corpora
    }
