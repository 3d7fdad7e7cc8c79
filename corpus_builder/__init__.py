"""From raw web archives to a training-ready corpus, accounted for document by document.

    import corpus_builder as cb

    recipe = cb.load("quickstart")                     # a shipped name or a YAML file
    plan = recipe.plan(out="runs/quickstart")          # stages, shards, fingerprints; reads no data
    report = plan.run(workers=2)                       # resumes where it stopped
    for row in plan.funnel()["web"]:
        print(row.stage, row.records_in, row.records_out, row.lost)

The names in `__all__` are the public interface.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import Plan, Recipe, load
    from .store.errors import (
        CorpusError,
        DataError,
        EngineError,
        IntegrityError,
        LockedError,
        RecipeError,
        SourceError,
    )

__all__ = [
    "CorpusError",
    "DataError",
    "EngineError",
    "IntegrityError",
    "LockedError",
    "Plan",
    "Recipe",
    "RecipeError",
    "SourceError",
    "load",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `corpus --help` stays quick."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = "store.errors" if name.endswith("Error") else "api"
    return getattr(import_module(f".{module}", __name__), name)
