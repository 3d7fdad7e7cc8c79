"""Verification: every file that a manifest claims is hashed again, and every sum is checked.

Invariant: reads only; each problem names the stage and file, and what to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..stages.base import Context, Stage
from ..stages.mix import MixStage
from ..stages.seal import manifest_of
from ..store.atomic import json_bytes, sha256_file
from ..store.errors import CorpusError, IntegrityError
from ..store.manifest import StageManifest


@dataclass(frozen=True)
class Finding:
    """What is wrong with a file or a manifest, and what to do about it."""

    where: str
    what: str
    do: str = "delete the folders named and run again: they are made anew"


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
                claimed = manifest.stage, file.path, file.bytes, file.sha256
                yield Checked(file.bytes, file_finding(path, *claimed))


def verify_accounts(context: Context, manifests: list[StageManifest]) -> Iterator[Checked]:
    """Check that each manifest says what the stage's records come to, and the order of the mix.

    Weights, epochs and effective tokens of a mix are computed again, and so is its order.
    """
    by_id = {stage.id: stage for stage in context.stages.values()}
    for manifest in manifests:
        stage = by_id[manifest.stage]
        yield Checked(0, _accounts(context, stage, manifest))
        if isinstance(stage, MixStage):
            yield Checked(0, _order(context, stage))


def _accounts(context: Context, stage: Stage, manifest: StageManifest) -> Finding | None:
    try:
        expected = manifest_of(context, stage).model_dump(mode="json")
    except (CorpusError, OSError, ValueError) as error:  # what it is made from may be damaged
        return Finding(manifest.stage, f"its accounts cannot be checked: {error}")
    found = json.loads(json_bytes(manifest.model_dump(mode="json")))
    expected = json.loads(json_bytes(expected | {"versions": manifest.versions}))
    other = [key for key in found if found[key] != expected[key]]
    what = f"its manifest has other {' and '.join(other)} than its records come to"
    return Finding(manifest.stage, what) if other else None


def _order(context: Context, stage: MixStage) -> Finding | None:
    try:
        recorded = context.record(stage, "dataset", "dataset").facts["stream"]
        if recorded == stage.order(context).fingerprint():
            return None
    except CorpusError as error:
        return Finding(stage.id, f"its order cannot be checked: {error}")
    return Finding(stage.id, "the order on record is not that of the mix (its fingerprint differs)")


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


def file_finding(path: Path, stage: str, name: str, size: int, sha256: str) -> Finding | None:
    """What is wrong with a file of which so much is claimed."""
    what = _file_fault(path, size, sha256)
    return Finding(f"{stage}/{name}", what) if what else None


def _file_fault(path: Path, size: int, sha256: str) -> str:
    if not path.exists():
        return "is missing"
    if path.stat().st_size != size:
        return f"has {path.stat().st_size:,} bytes, the manifest says {size:,}"
    if sha256_file(path) != sha256:
        return "has other content than the manifest says (sha256 differs)"
    return ""
