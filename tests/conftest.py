"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import spine
from hypothesis import settings

# Time limits of single examples say nothing on a shared machine.
settings.register_profile("corpus", deadline=None)
settings.load_profile("corpus")

SHARED = Path(os.environ.get("CORPUS_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the standard synthetic input (see `spine`); read-only."""
    return spine.lay_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="session")
def small(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> spine.Built:
    """The standard recipe, run undisturbed; read-only."""
    return spine.built(spine.recipe(inputs), tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data that tests may use; absent in a user's clone."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the shared test data at {SHARED} (set CORPUS_TEST_DATA to its folder)")
    return SHARED


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Lays a recipe's text in a file."""

    def _write(text: str) -> Path:
        path = tmp_path / "r.yaml"
        path.write_text(text)
        return path

    return _write
