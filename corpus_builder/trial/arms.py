"""The arms of a trial as plans over one folder: everything they have in common is built once.

Invariant: no arm trains on a held-out document of the base or on a near-duplicate of one, whatever
its patch; all arms use the base's tokenizer but those that patch it. An arm whose patch changes
what a corpus' documents are (source, extraction, language, filters, transforms) has no neutral
held-out text of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..assemble import Lent
from ..plan import Plan, make_plan
from ..recipe import Recipe
from ..recipe_mix import Mix
from ..recipe_trial import BASE_ARM, Trial, changed_documents
from ..stages.mix import MixStage
from ..store.errors import RecipeError


@dataclass(frozen=True)
class Arm:
    """One arm, or the base.

    Attributes:
        changed: corpora whose documents are others than the base's, apart from deduplication.
        own_tokenizer: it does not use the base's.
    """

    name: str
    plan: Plan
    changed: tuple[str, ...] = ()
    own_tokenizer: bool = False

    def comparable(self, trial: Trial) -> bool:
        """Whether the trial has held-out text that is neutral to it."""
        return not self.changed or trial.target is not None

    @property
    def mix(self) -> MixStage:
        """Its mix; a view, never materialised for a trial."""
        stage = self.plan.stages["mix"]
        if not isinstance(stage, MixStage):
            raise TypeError(f"{stage.id} is no mix")
        return stage

    @property
    def wanted(self) -> list[str]:
        """Stages that the trial reads: the token stores and what is held out."""
        stores = [store.name for store in self.mix.stores.values()]
        return [*stores, *({"heldout"} - self.plan.lent)]


def plan_arms(recipe: Recipe, out: Path) -> list[Arm]:
    """The base and every arm, in the recipe's order.

    Raises:
        RecipeError: the recipe has no trial.
    """
    trial = trial_of(recipe)
    base = make_plan(recipe, out)
    arms = [Arm(BASE_ARM, base)]
    for name in trial.arms:
        patched = recipe.arm(name)
        own = patched.tokenizer != recipe.tokenizer
        # A recipe name cannot hold a full stop: no recipe of a user's can be meant.
        patched = replace(patched, name=f"{recipe.name}.{name}")
        plan = make_plan(patched, out, Lent.of(base.stages, tokenizer=not own))
        arms.append(Arm(name, plan, changed_documents(recipe, patched), own))
    return arms


def trial_of(recipe: Recipe) -> Trial:
    """The trial of a recipe.

    Raises:
        RecipeError: it has none.
    """
    if recipe.trial is None:
        do = "add `trial: {model: 1M, arms: {...}}`"
        raise RecipeError(recipe.tree.where, f"recipe {recipe.name} has no trial", do=do)
    return recipe.trial


def mix_of(recipe: Recipe) -> Mix:
    """The mix of a recipe with a trial."""
    if recipe.mix is None:
        raise RecipeError(recipe.tree.where, "a trial trains on the mix", do="add mix:")
    return recipe.mix


def forget_former_arms(recipe: Recipe, out: Path) -> None:
    """Take arms that the recipe no longer has off the record: `gc` may have their stages."""
    known = {f"{recipe.name}.{name}.json" for name in trial_of(recipe).arms}
    for path in (out / "recipes").glob(f"{recipe.name}.*.json"):
        if path.name not in known:
            path.unlink()
