"""What a plan expects to need: disk and memory, from listings and what is already built.

Invariant: an upper estimate from measured ratios, no data read; the dedup component table is
exact in bytes a document, its number of documents an estimate until the base table is there.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from .plan import Plan, Resources
from .stages.buckets import BucketsStage
from .stages.groups import GroupsStage
from .stages.read import BaseStage
from .store.errors import DataError
from .store.manifest import read_manifest

# Bytes of text a stored byte becomes: HTML in gzip to main text, zstd Parquet, gzip / plain JSONL.
TEXT_RATIO = {"warc": 1.0, "parquet": 4.5, "jsonl": 4.0}
# Of the text's bytes: base (zstd) .35, documents .35, tokens .5, encoded .4, mix .5, signals and
# verdicts .1, band keys and edges .1 (measured on the quick start, rounded up).
DISK_PER_TEXT_BYTE = 2.3
# A corpus in buckets is stored encoded twice, whole and by bucket.
DISK_PER_BUCKETED_BYTE = 0.4
TEXT_BYTES_A_DOCUMENT = 2_000
COMPONENT_BYTES = 24


def forecast(plan: Plan, given: Resources) -> dict[str, Any]:
    """Bytes of disk and memory a run would take, and documents it expects.

    Raises:
        DataError: the dedup component table alone would not fit the memory given.
    """
    cut = {stage.corpus for stage in plan.stages.values() if isinstance(stage, BucketsStage)}
    text = documents = bucketed = 0
    for stage in plan.stages.values():
        if isinstance(stage, BaseStage):
            size, count = _of(plan, stage)
            text, documents = text + size, documents + count
            bucketed += size if stage.corpus in cut else 0
    grouped = any(isinstance(stage, GroupsStage) for stage in plan.stages.values())
    table = COMPONENT_BYTES * documents if grouped else 0
    total = given.memory * given.workers
    if table > total:
        raise DataError(
            "plan", f"the dedup component table needs {table:,} bytes, --memory gives {total:,}",
            do="raise --memory, or deduplicate in parts",
        )  # fmt: skip
    existing = plan.out
    while not existing.exists():
        existing = existing.parent
    return {
        "documents": documents,
        "text_bytes": text,
        "disk_bytes": int(text * DISK_PER_TEXT_BYTE + bucketed * DISK_PER_BUCKETED_BYTE),
        "free_bytes": shutil.disk_usage(existing if existing != Path() else Path.cwd()).free,
        "memory_bytes": total,
        "dedup_bytes": table,
    }


def _of(plan: Plan, stage: BaseStage) -> tuple[int, int]:
    """(text bytes, documents) of a corpus: counted where its base is sealed, else estimated."""
    manifest = read_manifest(plan.context.folder(stage))
    if manifest is not None:
        return int(manifest.facts["text_bytes"]), manifest.counts.records_out
    files = {split.file.name: split.file.size for split in plan.splits[stage.corpus or ""]}
    text = int(sum(files.values()) * TEXT_RATIO[stage.kind])
    return text, text // TEXT_BYTES_A_DOCUMENT
