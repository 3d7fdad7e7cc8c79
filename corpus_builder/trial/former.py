"""The report of an earlier trial in the same folder, kept when another trial's takes its place.

Invariant: a report is replaced only by one of the same models; of any other, report and tables are
copied to `former-<hash8>/` first, under the hash of its manifest.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from ..store.atomic import TEMP_SUFFIX
from ..store.errors import IntegrityError
from ..store.reports import FORMER, MANIFEST, read_report_manifest

REPORT = "report.json"


def keep_former(folder: Path, runs: Iterable[tuple[str, int, str]]) -> Path | None:
    """Copy the report in `folder` aside, if it is of other models.

    Args:
        runs: arm, seed and hash of each model of the report to come.

    Returns:
        Where it is now; None where there is none, its manifest is damaged, or it is of these
        models.
    """
    try:
        manifest = read_report_manifest(folder)
    except IntegrityError:
        return None  # it says of no report what that is made of; the trial goes on
    if manifest is None or {(run.arm, run.seed, run.hash) for run in manifest.runs} == {*runs}:
        return None
    kept = folder / f"{FORMER}{manifest.digest[:8]}"
    if not kept.exists():
        made = folder / f".{kept.name}{TEMP_SUFFIX}"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        for name in (MANIFEST, *(file.path for file in manifest.files)):
            if (folder / name).exists():
                shutil.copy2(folder / name, made / name)
        made.rename(kept)
    return kept
