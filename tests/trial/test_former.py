"""A report is kept aside when that of another trial takes its place, and only then."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from trials import HALF, Tried, recipe, tried

from corpus_builder.store.reports import write_report_file, write_report_manifest
from corpus_builder.trial.former import keep_former

RUNS = [("base", 0, "11111111"), ("half", 0, "22222222")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    runs = [dict(zip(("arm", "seed", "hash"), run, strict=True)) for run in RUNS]
    files = [write_report_file(tmp_path, name, {"rows": 1}) for name in ("report.json", "more")]
    content = {"runs": runs, "files": [asdict(file) for file in files]}
    write_report_manifest(tmp_path, content)
    return tmp_path


def test_the_same_models_have_the_same_report(folder: Path) -> None:
    assert keep_former(folder, RUNS) is None
    assert not [*folder.glob("former-*")]


def test_other_models_leave_a_copy_of_what_was_there(folder: Path) -> None:
    kept = keep_former(folder, RUNS[:1])
    assert kept is not None and kept.parent == folder
    names = sorted(path.name for path in kept.iterdir())
    assert names == ["manifest.json", "more", "report.json"]
    assert (kept / "more").read_bytes() == (folder / "more").read_bytes()
    assert keep_former(folder, RUNS[:1]) == kept, "once is enough"
    assert [path.name for path in folder.glob("former-*")] == [kept.name]


def test_there_may_be_nothing_to_keep(folder: Path) -> None:
    for damaged in ("", "{}", "[]"):
        (folder / "manifest.json").write_text(damaged)
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
