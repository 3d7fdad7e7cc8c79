"""The report of an earlier trial in the same folder, kept when another trial's takes its place.

Invariant: a report is replaced only by one of the same models; of any other, report and tables are
copied to `former-<hash8>/` first, under the hash of its manifest.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from ..store.atomic import read_json, sha256_file
from ..store.errors import IntegrityError

REPORT = "report.json"


def keep_former(folder: Path, runs: Iterable[tuple[str, int, str]]) -> Path | None:
    """Copy the report in `folder` aside, if it is of other models.

    Args:
        runs: arm, seed and hash of each model of the report to come.

    Returns:
        Where it is now; None where there is none, its manifest is damaged, or it is of these
        models.
    """
    manifest = folder / "manifest.json"
    if not manifest.exists() or not (folder / REPORT).exists():
        return None
    try:
        content = read_json(manifest)
    except IntegrityError:
        return None  # it says of no report what that is made of; the trial goes on
    if {(run["arm"], run["seed"], run["hash"]) for run in content["runs"]} == {*runs}:
        return None
    kept = folder / f"former-{sha256_file(manifest)[:8]}"
    if not kept.exists():
        made = folder / f"{kept.name}.part"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        files = (folder / file["path"] for file in content["files"])
        for path in (folder / REPORT, manifest, *files):
            if path.exists():
                shutil.copy2(path, made / path.name)
        made.rename(kept)
    return kept
