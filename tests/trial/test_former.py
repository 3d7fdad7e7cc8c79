"""A report is kept aside when that of another trial takes its place, and only then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from trials import HALF, Tried, recipe, tried

from corpus_builder.trial.former import keep_former

RUNS = [("base", 0, "11111111"), ("half", 0, "22222222")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    runs = [dict(zip(("arm", "seed", "hash"), run, strict=True)) for run in RUNS]
    content = {"runs": runs, "files": [{"path": "measurements.parquet"}]}
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    (tmp_path / "report.json").write_text("{}")
    (tmp_path / "measurements.parquet").write_bytes(b"rows")
    return tmp_path


def test_the_same_models_have_the_same_report(folder: Path) -> None:
    assert keep_former(folder, RUNS) is None
    assert not [*folder.glob("former-*")]


def test_other_models_leave_a_copy_of_what_was_there(folder: Path) -> None:
    kept = keep_former(folder, RUNS[:1])
    assert kept is not None and kept.parent == folder
    names = sorted(path.name for path in kept.iterdir())
    assert names == ["manifest.json", "measurements.parquet", "report.json"]
    assert (kept / "measurements.parquet").read_bytes() == b"rows"
    assert keep_former(folder, RUNS[:1]) == kept, "once is enough"
    assert [path.name for path in folder.glob("former-*")] == [kept.name]


def test_there_may_be_nothing_to_keep(folder: Path) -> None:
    (folder / "manifest.json").write_text("")
    assert keep_former(folder, RUNS[:1]) is None
    (folder / "manifest.json").unlink()
    assert keep_former(folder, RUNS[:1]) is None


def test_a_variation_of_a_trial_keeps_its_report(documents: Path, tmp_path: Path) -> None:
    first: Tried = tried(recipe(documents, {"half": HALF}, tokens=640), tmp_path)
    report = (first.out / "trial" / "report.json").read_bytes()
    tried(recipe(documents, {"half": HALF}, tokens=1280), tmp_path)
    (kept,) = (first.out / "trial").glob("former-*")
    assert (kept / "report.json").read_bytes() == report
    assert (first.out / "trial" / "report.json").read_bytes() != report
