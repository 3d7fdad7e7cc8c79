"""Files that a recipe names beside its inputs: whether they are there, and are what they should be.

Invariant: reads only; inputs are looked for by the plan.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .recipe import Recipe
from .recipe_check import Problems
from .recipe_models import Language


def check_files(recipe: Recipe) -> None:
    """Refuse a recipe whose own files are not there (inputs are looked for by the plan).

    Raises:
        RecipeError: a tokenizer or language model that it names is no file.
    """
    problems = Problems()
    _own_files(recipe, problems)
    problems.raise_any()


def check_trial_files(recipe: Recipe) -> None:
    """Refuse a recipe of whose own files one is not there or not what it should be, those of its
    trial and of every arm with them.

    Raises:
        RecipeError: a tokenizer, language model or file of minimal pairs is no file (all are told
            at once), or a tokenizer is none.
    """
    problems = Problems()
    trial = recipe.trial
    recipes = [recipe, *(recipe.arm(name) for name in (trial.arms if trial else ()))]
    for each in recipes:
        _own_files(each, problems)
    for name, file in trial.pairs.items() if trial else ():
        where = recipe.tree.locate(["trial", "pairs", name])
        _check_file(file, where, f"trial.pairs.{name}", problems)
    problems.raise_any()
    for each in recipes:
        problems.attempt(partial(check_tokenizer, each))
    problems.raise_any()


def _own_files(recipe: Recipe, problems: Problems) -> None:
    named = [(recipe.tokenizer.path, recipe.tree.locate(["tokenizer"]), "tokenizer")]
    for corpus in recipe.corpora.values():
        for stage in corpus.stages:
            if isinstance(stage.config, Language):
                path = f"corpora.{corpus.name}.{stage.name}.model"
                named.append((stage.config.model, stage.where, path))
    for file, where, key in named:
        if file is not None:
            _check_file(file, where, key, problems)


def _check_file(file: str, where: str, key: str, problems: Problems) -> None:
    if not Path(file).is_file():
        do = "check the path; it is relative to the working directory"
        problems.add(where, f"{key}: there is no file {file!r}", do=do)


def check_tokenizer(recipe: Recipe) -> None:
    """Refuse a recipe whose own tokenizer is none.

    Raises:
        RecipeError: it cannot be loaded, or has no end-of-document token.
    """
    if recipe.tokenizer.path is not None:
        from .stages.tokenizer import describe

        describe(Path(recipe.tokenizer.path), recipe.tokenizer.eos)
