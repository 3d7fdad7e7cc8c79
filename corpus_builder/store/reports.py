"""Manifests of reports, a trial's or an optimiser's: the models they are made of, and their files.

Invariant: a manifest is written after everything it names, and has a digest of all else in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ..fingerprint import fingerprint
from .atomic import json_bytes, read_json, sha256_file, write_bytes, write_json
from .errors import IntegrityError
from .manifest import FileEntry
from .tables import FileInfo

MANIFEST = "manifest.json"
REPORT = "report.json"

RUN_TABLES = ("curve.parquet", "documents.parquet", "pairs.parquet")
"""Of each run."""

FORMER = "former-"
"""Folders of reports that another one has replaced begin so; the hash of their manifest follows."""

ANEW = "run the command that wrote it again: it is written anew, from the models there are"


class RunEntry(BaseModel):
    """A model; what else decides it is in the manifest beside, and not looked at here.

    Attributes:
        tables: digest of the run's tables; empty in manifests that were written before there was
            one.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    hash: str
    tables: str = ""
    arm: str = ""
    seed: int


class RunRecord(BaseModel):
    """A finished run's `run.json`."""

    model_config = ConfigDict(frozen=True)

    identity: dict[str, Any]
    files: list[FileEntry]

    @property
    def tables(self) -> str:
        """Digest of its tables."""
        return fingerprint([file.model_dump() for file in self.files])


class _Recorded(BaseModel):
    stages: list[str]


class ReportManifest(BaseModel):
    """What a report is made of."""

    model_config = ConfigDict(extra="allow", frozen=True)

    runs: list[RunEntry]
    files: list[FileEntry]
    digest: str


def read_run_record(path: Path) -> RunRecord:
    """A finished run's `run.json`.

    Raises:
        IntegrityError: it is none, or names other files than the tables of a run.
    """
    try:
        found = RunRecord.model_validate(read_json(path))
    except ValidationError as error:
        raise IntegrityError(str(path), "is no record of a run") from error
    if sorted(file.path for file in found.files) != sorted(RUN_TABLES):
        raise IntegrityError(str(path), f"names other files than {', '.join(RUN_TABLES)}")
    return found


def recorded_stages(path: Path) -> list[str]:
    """Names of the stages that a recipe on record, `recipes/<name>.json`, refers to.

    Raises:
        IntegrityError: it is no such record.
    """
    do = "delete it and run the recipe again: it is written anew, and no stage made again"
    try:
        return _Recorded.model_validate(read_json(path)).stages
    except ValidationError as error:
        raise IntegrityError(str(path), "is no record of a recipe", do=do) from error
    except IntegrityError as error:
        raise IntegrityError(error.where, error.what, do=do) from error


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
