"""Verification: every file that a manifest claims is hashed again, and every sum is checked.

Invariant: reads only; each problem names the stage and file, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..store.atomic import sha256_file
from ..store.errors import IntegrityError
from ..store.manifest import StageManifest


@dataclass(frozen=True)
class Finding:
    """What is wrong with a file or a manifest."""

    where: str
    what: str


@dataclass(frozen=True)
class Checked:
    """One file or manifest that was checked, and what was wrong with it, if anything."""

    bytes: int
    finding: Finding | None


def verify(stages: Path, manifests: list[StageManifest]) -> Iterator[Checked]:
    """Check manifests and all files they name, one after the other.

    Args:
        stages: folder that holds the stages' folders.
        manifests: those to check, each stage's upstream before it.
    """
    known = {manifest.stage for manifest in manifests}
    for manifest in manifests:
        yield Checked(0, _manifest(manifest, known))
        for unit in manifest.units:
            for file in unit.files:
                path = stages / manifest.stage / file.path
                yield Checked(
                    file.bytes, _file(path, manifest.stage, file.path, file.bytes, file.sha256)
                )


def _manifest(manifest: StageManifest, known: set[str]) -> Finding | None:
    try:
        manifest.check()
    except IntegrityError as error:
        return Finding(manifest.stage, error.what)
    for unit in manifest.units:
        if unit.rows_in != unit.rows_out + sum(unit.lost.values()):
            return Finding(f"{manifest.stage}, {unit.unit}", "its counts do not add up")
    if sum(unit.rows_in for unit in manifest.units) != manifest.counts.records_in:
        return Finding(manifest.stage, "its units do not add up to its counts")
    missing = [name for name in manifest.upstream if name not in known]
    return (
        Finding(manifest.stage, f"reads {missing[0]}, which has no manifest") if missing else None
    )


def _file(path: Path, stage: str, name: str, size: int, sha256: str) -> Finding | None:
    where = f"{stage}/{name}"
    if not path.exists():
        return Finding(where, "is missing")
    if path.stat().st_size != size:
        return Finding(where, f"has {path.stat().st_size:,} bytes, the manifest says {size:,}")
    if sha256_file(path) != sha256:
        return Finding(where, "has other content than the manifest says (sha256 differs)")
    return None
