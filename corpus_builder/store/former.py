"""The report of an earlier trial or optimiser in a folder, kept when another takes its place.

Invariant: a report is replaced only by one that says the same; any other's files are copied to
`former-<hash8>/` first, with their manifest where they are what it says.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..fingerprint import fingerprint
from .atomic import TEMP_SUFFIX, json_bytes, sha256_file
from .errors import IntegrityError
from .reports import FORMER, MANIFEST, REPORT, ReportManifest, read_report_manifest


def keep_former(
    folder: Path, report: Mapping[str, Any], editable: Sequence[str] = ()
) -> Path | None:
    """Copy the report in `folder` aside, if it says something else than the one to come.

    Of the same models, too: a verdict may be another with another margin or target.

    Args:
        report: the one to come.
        editable: files of the folder that a user may have changed: where one is not what a manifest
            says, all is kept as well.

    Returns:
        Where it is now; None where there is none, or it says the same.
    """
    path, manifest = folder / REPORT, _manifest(folder)
    if not path.is_file():
        return None
    changed = _changed(folder, manifest) if manifest is not None else []
    sure = {file.path for file in manifest.files} - {*changed} if manifest is not None else set()
    edited = [name for name in editable if name not in sure and (folder / name).exists()]
    if path.read_bytes() == json_bytes(report) and not edited:
        return None
    if manifest is not None and not changed:
        files, digest = [*_files(folder)], manifest.digest
    else:
        files = [file for file in _files(folder) if file.name != MANIFEST]
        digest = fingerprint({file.name: sha256_file(file) for file in files})
    kept = folder / f"{FORMER}{digest[:8]}"
    if not kept.exists():
        _copy(files, kept)
    return kept


def _manifest(folder: Path) -> ReportManifest | None:
    """None where it is damaged, too: it does not say what the report is made of."""
    try:
        return read_report_manifest(folder)
    except IntegrityError:
        return None


def _changed(folder: Path, manifest: ReportManifest) -> list[str]:
    """Files that are not what the manifest says, or not there: edited or damaged since, or of a new
    report that was killed before its manifest."""
    return [
        file.path for file in manifest.files
        if not (folder / file.path).is_file() or sha256_file(folder / file.path) != file.sha256
    ]  # fmt: skip


def _files(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if path.is_file())
    return sorted(path for path in found if not path.name.startswith("."))


def _copy(files: Sequence[Path], kept: Path) -> None:
    made = kept.with_name(f".{kept.name}{TEMP_SUFFIX}")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    for path in files:
        shutil.copy2(path, made / path.name)
    made.rename(kept)
