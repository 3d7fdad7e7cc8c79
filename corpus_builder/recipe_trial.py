"""The `trial` block of a recipe, and what it needs of the rest: what is scored, budget, arms.

Invariant: a recipe that passes has arms that train on as many tokens as the base, in the same
orders, and a target whose names are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from .recipe_check import Problems
from .recipe_models import Count, Model, Name, Text
from .recipe_patch import OFF
from .store.errors import RecipeError, did_you_mean
from .yamlfile import Node

if TYPE_CHECKING:
    from .recipe import Corpus, Recipe

BASE_ARM = "base"
"""What reports call the recipe as it stands; no arm may have this name."""

HEADLINE = "headline"
"""What reports call the weighted mean over corpora that counts; no corpus and no arm of a trial may
have this name."""

FEWEST_DOCUMENTS = 2
"""A corpus with fewer held-out documents shows no spread between documents."""

FIXED = ("name", "description", "heldout", "trial")
"""Blocks that all arms share."""

BUDGET = {
    "tokens": "all arms train on one budget: see trial.tokens",
    "sequence_length": "all arms train on sequences of one length",
    "seed": "the trial gives each arm the same seeds: see trial.seeds",
}
"""Keys of the mix that all arms share, and why."""

SELECTING = ("dedup", "tag")
"""Stages that leave the held-out text neutral: which copies stay, and signals alone."""


class ModelShape(Model):
    """A model by its shape: layers and width."""

    layers: int = Field(ge=1, le=200)
    width: int = Field(ge=16, le=16384, multiple_of=16)


def _without_off(value: Any) -> Any:
    """What of a mapping is not off; nothing where it is off as a whole."""
    if isinstance(value, dict):
        return {name: part for name, part in value.items() if part != "off"}
    return {} if value == "off" else value


def _size_or_shape(value: Any) -> str:
    return "shape" if isinstance(value, dict | ModelShape) else "size"


class Trial(Model):
    """Small models trained on the recipe and on its arms.

    Attributes:
        model: a size (parameters, about) or a shape.
        seeds: paired runs of every arm.
        tokens: each run is trained on; None is the mix's.
        optimizer: Muon for the matrices of the blocks (and AdamW for the embedding), or AdamW.
        learning_rate: its peak; None is the size's own, for the batch of the budget.
        target: by corpus (or name in `heldout.texts`), the weight of its held-out text in the
            headline; None is its share of the mix. Arms that change what a corpus' documents are
            need one.
        margin: differences below it do not matter, in bits per byte; None is what the trial is
            forecast to resolve, .025 at most.
        pairs: name -> a file of minimal pairs (BLiMP's columns) that every model is tried on.
        arms: name -> the patch, as written; `off` leaves one out, or all of them.
    """

    model: Annotated[
        Annotated[Literal["1M", "4M", "15M", "60M"], Tag("size")]
        | Annotated[ModelShape, Tag("shape")],
        Discriminator(_size_or_shape),
    ]
    seeds: int = Field(default=5, ge=2, le=1000)
    tokens: Count | None = Field(default=None, ge=1)
    optimizer: Literal["adamw", "muon"] = "muon"
    learning_rate: float | None = Field(default=None, gt=0, le=1)
    target: (
        Annotated[dict[str, Annotated[float, Field(gt=0, le=1e9)]], Field(min_length=1)] | None
    ) = None
    margin: float | None = Field(default=None, gt=0)
    pairs: dict[Name, Text] = Field(default={})
    arms: Annotated[dict[Name, dict[str, Any]], BeforeValidator(_without_off)] = Field(default={})


def arm_nodes(tree: Node) -> dict[str, Mapping[str, Node]]:
    """Patches of the arms of a recipe as written; those that are off are left out."""
    trial = (tree.mapping or {})["trial"].mapping or {}
    arms = trial["arms"].mapping or {} if "arms" in trial else {}
    return {name: arm.mapping or {} for name, arm in arms.items() if arm.value != OFF}


def check_trial(recipe: Recipe, problems: Problems) -> None:
    """Note what keeps the trial of a recipe from being run, its arms aside."""
    trial = recipe.trial
    if trial is None:
        return
    where = recipe.tree.locate(["trial"])
    entries = recipe.tree.mapping or {}
    for key, why in (("mix", "trains on the mix"), ("heldout", "is scored on held-out text")):
        if key not in entries or entries[key].value == OFF:
            problems.add(where, f"a trial {why}", do=f"add {key}:")
    if recipe.heldout and recipe.heldout.max_documents < FEWEST_DOCUMENTS:
        what = f"heldout.max_documents is {recipe.heldout.max_documents}"
        allowed = f"a trial needs {FEWEST_DOCUMENTS} held-out documents of a corpus, at least"
        place = recipe.tree.locate(["heldout", "max_documents"])
        problems.add(place, what, allowed=allowed, do="raise it")
    for path in recipe.scored_as(HEADLINE):
        what = f"{'.'.join(path)}: a trial calls its weighted mean so"
        problems.add(recipe.tree.locate(path), what, do="rename it")
    taken = {BASE_ARM: "the recipe as it stands", HEADLINE: "the weighted mean over corpora"}
    for name in taken.keys() & trial.arms.keys():
        what = f"arm name {name!r} means {taken[name]}"
        problems.add(recipe.tree.locate(["trial", "arms", name]), what, do="rename it")
    known = [*recipe.tree.keys("corpora"), *recipe.tree.keys("heldout", "texts")]
    for name in trial.target or ():
        if known and name not in known:
            what = f"trial.target: there is no corpus and no heldout.texts {name!r}"
            place = recipe.tree.locate(["trial", "target", name])
            problems.add(place, what, allowed=did_you_mean(name, known))
    length = recipe.mix.sequence_length if recipe.mix else 0
    if trial.tokens is not None and trial.tokens < length:
        what = f"trial.tokens is {trial.tokens:,}, less than one sequence of {length:,}"
        problems.add(recipe.tree.locate(["trial", "tokens"]), what, do="raise it")


def check_arm(recipe: Recipe, name: str, arm: Recipe, problems: Problems) -> None:
    """Note what an arm changes that all arms must share."""
    where = recipe.tree.locate(["trial", "arms", name])
    if recipe.mix is None:
        return
    if arm.mix is None:
        problems.add(where, "a trial trains on the mix", do="take mix: off out of the arm")
        return
    for key, do in BUDGET.items():
        if getattr(recipe.mix, key) != getattr(arm.mix, key):
            problems.add(where, f"mix.{key} cannot differ between arms", do=do)


def changed_documents(base: Recipe, arm: Recipe) -> tuple[str, ...]:
    """Corpora whose documents an arm changes, which copies stay aside."""
    both = [name for name in base.corpora if name in arm.corpora]
    return tuple(n for n in both if _documents(base.corpora[n]) != _documents(arm.corpora[n]))


def arms_apart(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """Arms without a held-out text that is neutral to them -> corpora whose documents they change.

    None where a target is declared.
    """
    trial = recipe.trial
    if trial is None or trial.target is not None:
        return {}
    found = {name: changed_documents(recipe, recipe.arm(name)) for name in trial.arms}
    return {name: changed for name, changed in found.items() if changed}


def refuse_if_all_apart(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """`arms_apart`, where some arms are left to compare.

    Raises:
        RecipeError: it has arms, and none can be compared.
    """
    apart = arms_apart(recipe)
    if apart and recipe.trial is not None and len(apart) == len(recipe.trial.arms):
        raise RecipeError(
            recipe.tree.locate(["trial", "arms"]),
            "no arm can be compared: each changes which texts a corpus holds, and held-out text "
            "made by the base would favour the base",
            do="declare trial.target (weights over held-out corpora or heldout.texts)",
        )
    return apart


def _documents(corpus: Corpus) -> Mapping[str, Any]:
    """What decides which texts a corpus holds, duplicates aside."""
    stages = [stage.to_canonical() for stage in corpus.stages if stage.verb not in SELECTING]
    return {"source": corpus.source.to_canonical(), "stages": stages}
