"""The manifest of a report: as it was written, or refused."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from corpus_builder.store.errors import IntegrityError
from corpus_builder.store.reports import (
    read_report_manifest,
    write_report_file,
    write_report_manifest,
)


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    file = write_report_file(tmp_path, "report.json", {"verdict": "better"})
    runs = [{"arm": "base", "seed": 0, "hash": "00000000", "order": ["web"]}]
    return {"runs": runs, "files": [asdict(file)], "settings": {"rate": 0.1, "shape": (1, 2)}}


def test_what_was_written_is_read(tmp_path: Path, content: dict[str, Any]) -> None:
    assert read_report_manifest(tmp_path) is None
    write_report_manifest(tmp_path, content)
    found = read_report_manifest(tmp_path)
    assert found is not None
    assert [(run.arm, run.seed, run.hash) for run in found.runs] == [("base", 0, "00000000")]
    assert [(file.path, file.bytes) for file in found.files] == [
        ("report.json", (tmp_path / "report.json").stat().st_size)
    ]


def test_any_change_is_seen(tmp_path: Path, content: dict[str, Any]) -> None:
    write_report_manifest(tmp_path, content)
    written = json.loads((tmp_path / "manifest.json").read_text())
    for key, value in (("settings", {}), ("runs", []), ("digest", "0")):
        (tmp_path / "manifest.json").write_text(json.dumps(written | {key: value}))
        with pytest.raises(IntegrityError, match="other content than was written"):
            read_report_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(IntegrityError, match="is no manifest: runs"):
        read_report_manifest(tmp_path)
