"""What a trial compares: the arms' data, the text they are scored on, what counts.

Invariant: a design holds arms that can be compared only; all of them are scored on the same text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..mixing.allocation import corpus_shares
from ..recipe import Recipe
from ..recipe_trial import BASE_ARM
from .arms import Arm, trial_of
from .data import ArmData, Heldout, allocations_of, arm_data, heldout_of, nests, same_sequences
from .faithful import check_tokenizers
from .probes import Probe
from .runs import Run
from .settings import Settings


@dataclass(frozen=True)
class Design:
    """What is compared: the arms' data, the text they are scored on, what counts.

    Attributes:
        data: by arm, the base first; of arms that can be compared only.
        apart: arm -> corpora whose documents it changes, where no target was declared.
        headline: weight of each corpus.
        probes: minimal pairs that every model is tried on.
    """

    recipe: Recipe
    arms: Mapping[str, Arm]
    data: Mapping[str, ArmData]
    apart: Mapping[str, tuple[str, ...]]
    heldout: Heldout
    headline: Mapping[str, float]
    probes: tuple[Probe, ...] = ()

    def run(self, arm: str, seed: int, settings: Settings) -> Run:
        """An arm with a seed, its order nested in the base's."""
        data, base = self.data[arm], self.data[BASE_ARM]
        order = data.order(seed, None if arm == BASE_ARM else base)
        return Run(
            arm, seed, settings, data, order, self.heldout, probes=self.probes,
            alignments={} if arm == BASE_ARM else data.alignments(seed, base),
        )  # fmt: skip

    def runs(
        self, settings: Settings, seeds: Sequence[int], arms: Sequence[str] | None = None
    ) -> dict[tuple[str, int], Run]:
        """Every run, seed by seed, so that what is done first can be compared first."""
        names = list(self.data) if arms is None else arms
        return {(arm, seed): self.run(arm, seed, settings) for seed in seeds for arm in names}

    def pairing(self) -> dict[str, dict[str, Any]]:
        """Of each arm: whether its order is nested, the corpora whose sequences are others, and
        the share of slots it has in common (in those: of sequences from the same places)."""
        base = self.data[BASE_ARM]
        return {
            arm: {
                "nested": nests(data, base),
                "aligned": list(data.alignments(0, base)),
                "same_sequences": same_sequences(data, base),
            }
            for arm, data in self.data.items()
            if arm != BASE_ARM
        }


def design_of(
    recipe: Recipe, arms: Mapping[str, Arm], tokens: int, probes: tuple[Probe, ...] = ()
) -> Design:
    """What can be compared, at a budget of `tokens` a run; the arms are built.

    Raises:
        DataError: a corpus is too short for an arm's weights, or holds too little out.
        RecipeError: an arm has a tokenizer of its own, and it or the base's loses text.
    """
    trial = trial_of(recipe)
    base = arm_data(arms[BASE_ARM], allocations_of(arms[BASE_ARM], tokens))
    shares = corpus_shares(base.allocations)
    headline = trial.target or {name: float(share) for name, share in shares.items() if share > 0}
    apart = {arm.name: arm.changed for arm in arms.values() if not arm.comparable(trial)}
    data = {
        name: base if name == BASE_ARM else arm_data(arm, allocations_of(arm, tokens))
        for name, arm in arms.items()
        if name not in apart
    }
    heldout = heldout_of(arms[BASE_ARM], list(headline))
    check_tokenizers(
        [arms[name] for name in data], {n: d.tokenizer for n, d in data.items()}, heldout
    )
    return Design(recipe, arms, data, apart, heldout, headline, probes)
