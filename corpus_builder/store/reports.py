"""Manifests of reports, a trial's or an optimiser's: the models they are made of, and their files.

Invariant: a manifest is written after everything it names, and has a digest of all else in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from .atomic import json_bytes, read_json, sha256_file, write_bytes, write_json
from .errors import IntegrityError
from .manifest import FileEntry
from .tables import FileInfo

MANIFEST = "manifest.json"
REPORT = "report.json"

FORMER = "former-"
"""Folders of reports that another one has replaced begin so; the hash of their manifest follows."""

ANEW = "run the command that wrote it again: it is written anew, from the models there are"


class RunEntry(BaseModel):
    """A model; what else decides it is in the manifest beside, and not looked at here."""

    model_config = ConfigDict(extra="allow", frozen=True)

    hash: str
    arm: str = ""
    seed: int


class ReportManifest(BaseModel):
    """What a report is made of."""

    model_config = ConfigDict(extra="allow", frozen=True)

    runs: list[RunEntry]
    files: list[FileEntry]
    digest: str


def write_report_file(folder: Path, name: str, content: Mapping[str, Any]) -> FileInfo:
    """Write JSON that a report's manifest will name."""
    path = folder / name
    write_json(path, content)
    sha = sha256_file(path)
    return FileInfo(name, path.stat().st_size, 0, sha, sha)


def write_report_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Write `manifest.json`: `runs`, `files` and what else there is, with its digest."""
    write_bytes(folder / MANIFEST, json_bytes({**content, "digest": _digest(content)}))


def read_report_manifest(folder: Path) -> ReportManifest | None:
    """The manifest, or None where there is none.

    Raises:
        IntegrityError: what is there is no manifest, or not as it was written.
    """
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        content = read_json(path)
    except IntegrityError as error:
        raise IntegrityError(error.where, error.what, do=ANEW) from error
    try:
        found = ReportManifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"is no manifest: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise IntegrityError(str(path), what, do=ANEW) from error
    if found.digest != _digest({key: part for key, part in content.items() if key != "digest"}):
        raise IntegrityError(str(path), "has other content than was written", do=ANEW)
    return found


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json_bytes(content)).hexdigest()
