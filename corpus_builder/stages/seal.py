"""Sealing: when all units of a stage are current, its manifest is written and its work goes.

Invariant: a sealed stage's sums close; intermediate files are deleted only after the manifest is
on disk.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from typing import Any

from ..store.manifest import Counts, FileEntry, StageManifest, UnitEntry, write_manifest
from ..store.records import UnitRecord, add_counts
from .base import Context, Stage

_LIBRARIES = ("datatrove", "numba", "numpy", "pyarrow")
_PER_UNIT = {"span", "drawn"}


@cache
def versions() -> dict[str, str]:
    """Versions of this program and of the libraries that write its files."""
    import platform

    return {
        "corpus-builder": version("corpus-builder"),
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


def seal(context: Context, stage: Stage) -> StageManifest:
    """Write the manifest of a stage whose units are all current."""
    manifest = manifest_of(context, stage)
    write_manifest(context.folder(stage), manifest)
    shutil.rmtree(context.folder(stage) / "work", ignore_errors=True)
    return manifest


def manifest_of(context: Context, stage: Stage) -> StageManifest:
    """What the records of a stage come to, all of which are there."""
    records = [
        context.record(stage, phase.name, unit)
        for phase in stage.phases(context)
        if not phase.work
        for unit in phase.units
    ]
    return _manifest(context, stage, records)


def _manifest(context: Context, stage: Stage, records: list[UnitRecord]) -> StageManifest:
    lost: dict[str, int] = {}
    facts: dict[str, Any] = {}
    for record in records:
        add_counts(lost, record.lost)
        add_counts(facts, {k: v for k, v in record.facts.items() if k not in _PER_UNIT})
    facts |= stage.facts(context, records)
    return StageManifest(
        stage=stage.id,
        name=stage.name,
        corpus=stage.corpus,
        fingerprint=stage.fingerprint,
        identity=stage.identity,
        upstream=[above.id for above in stage.upstream],
        versions=versions(),
        counts=Counts(
            records_in=sum(record.rows_in for record in records),
            records_out=sum(record.rows_out for record in records),
            lost=lost,
        ),
        facts=facts,
        units=[
            UnitEntry(
                unit=record.unit,
                inputs=record.inputs,
                rows_in=record.rows_in,
                rows_out=record.rows_out,
                lost=record.lost,
                files=[FileEntry(**asdict(file)) for file in record.files],
            )
            for record in records
        ],
    )
