"""Documents and a finished trial that all tests of trials share."""

from __future__ import annotations

from pathlib import Path

import pytest
from trials import HALF, Tried, lay_inputs, recipe, tried

pytest.importorskip("torch", reason="trials train with torch: pip install '.[trial]'")


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the documents of `trials.recipe` lie."""
    return lay_inputs(tmp_path_factory.mktemp("documents"))


@pytest.fixture(scope="session")
def half(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """A trial of one arm: other weights."""
    return tried(recipe(documents, {"half": HALF}), tmp_path_factory.mktemp("half"))
