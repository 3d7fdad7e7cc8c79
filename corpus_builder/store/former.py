"""The report of an earlier trial or optimiser in a folder, kept when another takes its place.

Invariant: a report is replaced only by one that says the same; any other's files are copied to
`former-<hash8>/` first, with their manifest where they are what it says.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .atomic import TEMP_SUFFIX, json_bytes, sha256_file
from .errors import IntegrityError
from .reports import FORMER, MANIFEST, REPORT, ReportManifest, read_report_manifest


def keep_former(folder: Path, report: Mapping[str, Any]) -> Path | None:
    """Copy the report in `folder` aside, if it says something else than the one to come.

    Of the same models, too: a verdict may be another with another margin or target.

    Args:
        report: the one to come.

    Returns:
        Where it is now; None where there is none, or it says the same.
    """
    path = folder / REPORT
    if not path.is_file() or path.read_bytes() == json_bytes(report):
        return None
    manifest = _manifest(folder)
    if manifest is not None and _matches(folder, manifest):
        kept, left_out = folder / f"{FORMER}{manifest.digest[:8]}", set[str]()
    else:
        kept, left_out = folder / f"{FORMER}{sha256_file(path)[:8]}", {MANIFEST}
    if not kept.exists():
        _copy(folder, kept, left_out)
    return kept


def _manifest(folder: Path) -> ReportManifest | None:
    """None where it is damaged, too: it does not say what the report is made of."""
    try:
        return read_report_manifest(folder)
    except IntegrityError:
        return None


def _matches(folder: Path, manifest: ReportManifest) -> bool:
    """Not where a run was killed between a new report and its manifest."""
    files = ((folder / file.path, file.sha256) for file in manifest.files)
    return all(path.is_file() and sha256_file(path) == sha for path, sha in files)


def _copy(folder: Path, kept: Path, left_out: set[str]) -> None:
    made = folder / f".{kept.name}{TEMP_SUFFIX}"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith(".") and path.name not in left_out:
            shutil.copy2(path, made / path.name)
    made.rename(kept)
