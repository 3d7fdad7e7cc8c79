"""The recipe's defaults are the extraction's own: one place decides, the other must not drift."""

from __future__ import annotations

from corpus_builder.extraction.caps import Caps
from corpus_builder.extraction.watched import Limits
from corpus_builder.recipe_models import Extract


def test_recipe_defaults_are_those_of_the_extraction() -> None:
    recipe, caps, limits = Extract(tool="trafilatura"), Caps(), Limits()
    given = (recipe.max_bytes, recipe.max_depth, recipe.max_nodes, recipe.max_attributes)
    assert given == (caps.bytes, caps.depth, caps.tags, caps.attributes)
    assert (recipe.timeout, recipe.max_memory) == (limits.cpu_seconds, limits.memory_bytes)
    assert limits.wall_seconds == 4 * limits.cpu_seconds
