"""Looking at a trial as its seeds come in, without looking until it says what one hopes.

Invariant: the levels of all looks sum to <= alpha, and each look runs the whole comparison (Holm
included) at its own level; so the chance of a false claim at *any* look is <= alpha by the union
bound alone: with t statistics, few seeds, shared documents, and whatever made the trial stop.

The levels are the increments of Lan & DeMets' spending function of Pocock's kind (1983, Biometrika
70:659). O'Brien and Fleming's keeps nearly all for the last look: at 3 seeds (2 degrees of freedom)
its early looks decide nothing.
Boundaries that also use the looks' correlation spend less, but rest on normal increments, which 3
seeds do not have. The price: four even Pocock looks at .0179 to .0086 where normal theory allows
.0182 at each. An interval at the look's level is valid whether or not the trial stops there
(Jennison & Turnbull 1989, repeated confidence intervals).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from corpus_builder.store.errors import RecipeError


def look_levels(looks: Sequence[int], alpha: float = 0.05) -> tuple[float, ...]:
    """The alpha of each look.

    Args:
        looks: numbers of seeds at which the trial is compared, ascending, declared beforehand;
            the last is where it ends in any case.
    Returns:
        One level a look, for `Terms.alpha`; their sum is `alpha`.
    Raises:
        RecipeError: no looks, looks that do not ascend from 2, or an alpha outside (0, 0.5).
    """
    if not looks or looks[0] < 2 or any(b <= a for a, b in pairwise(looks)):
        raise RecipeError(
            "trial.looks", f"{list(looks)} are no looks", allowed="allowed: ascending, from 2 seeds"
        )
    if not 0 < alpha < 0.5:
        raise RecipeError("trial.alpha", f"{alpha} is out of range")
    spent = [0.0, *(_spent(n / looks[-1], alpha) for n in looks)]
    return tuple(later - earlier for earlier, later in pairwise(spent))


def _spent(information: float, alpha: float) -> float:
    """Alpha spent when this share of the seeds is in: nearly evenly, as Pocock's boundary."""
    return alpha * math.log1p((math.e - 1) * information)
