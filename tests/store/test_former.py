"""A report is kept aside when that of another trial takes its place, and only then."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from corpus_builder.store.former import keep_former
from corpus_builder.store.reports import (
    read_report_manifest,
    write_report_file,
    write_report_manifest,
)

RUNS = [("base", 0, "11111111"), ("half", 0, "22222222")]
OLD, NEW = {"verdict": "worse"}, {"verdict": "better"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    runs = [dict(zip(("arm", "seed", "hash"), run, strict=True)) for run in RUNS]
    contents = {"report.json": OLD, "more.json": {"rows": 1}}
    files = [write_report_file(tmp_path, name, content) for name, content in contents.items()]
    write_report_manifest(tmp_path, {"runs": runs, "files": [asdict(file) for file in files]})
    return tmp_path


def names(kept: Path | None) -> list[str]:
    assert kept is not None
    return sorted(path.name for path in kept.iterdir())


def test_a_report_that_says_the_same_is_no_other(folder: Path) -> None:
    assert keep_former(folder, OLD) is None
    assert not [*folder.glob("former-*")]


def test_another_report_leaves_a_copy_of_what_was_there(folder: Path) -> None:
    (folder / "run-0-11111111").mkdir()
    kept = keep_former(folder, NEW)
    assert names(kept) == ["manifest.json", "more.json", "report.json"]
    assert kept is not None and kept.parent == folder
    assert (kept / "more.json").read_bytes() == (folder / "more.json").read_bytes()
    assert read_report_manifest(kept) is not None
    assert keep_former(folder, NEW) == kept, "once is enough"
    assert [path.name for path in folder.glob("former-*")] == [kept.name]


@pytest.mark.parametrize("damaged", ["", "{}", "[]", None])
def test_a_damaged_manifest_takes_no_report_with_it(folder: Path, damaged: str | None) -> None:
    if damaged is None:
        (folder / "manifest.json").unlink()
    else:
        (folder / "manifest.json").write_text(damaged)
    assert names(keep_former(folder, NEW)) == ["more.json", "report.json"]


def test_a_manifest_of_other_files_is_not_kept_with_them(folder: Path) -> None:
    """As where a run was killed after a new report and before its manifest."""
    write_report_file(folder, "report.json", {"verdict": "equivalent"})
    assert names(keep_former(folder, NEW)) == ["more.json", "report.json"]


def test_what_a_user_changed_is_kept_though_the_report_says_the_same(folder: Path) -> None:
    (folder / "more.json").write_text("mine")
    assert keep_former(folder, OLD) is None
    kept = keep_former(folder, OLD, ["more.json"])
    assert names(kept) == ["more.json", "report.json"]
    assert kept is not None and (kept / "more.json").read_text() == "mine"
    (folder / "more.json").write_text("mine, again")
    again = keep_former(folder, OLD, ["more.json"])
    assert again is not None and again != kept, "and so is what was changed once more"
    (folder / "more.json").unlink()
    assert keep_former(folder, OLD, ["more.json"]) is None


@pytest.mark.parametrize("damaged", ["{}", None])
def test_without_a_manifest_a_user_may_have_changed_anything(
    folder: Path, damaged: str | None
) -> None:
    """As where a run was killed between its report and the manifest."""
    path = folder / "manifest.json"
    path.unlink() if damaged is None else path.write_text(damaged)
    assert keep_former(folder, OLD) is None
    assert names(keep_former(folder, OLD, ["more.json"])) == ["more.json", "report.json"]


def test_there_may_be_nothing_to_keep(tmp_path: Path) -> None:
    assert keep_former(tmp_path, NEW) is None
