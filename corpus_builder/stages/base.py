"""What every stage is: a name, a fingerprint of what it reads, a folder, and work in units.

Invariant: a stage's folder is `<name>-<first 8 of fingerprint>`; the fingerprint covers what the
stage reads and nothing about how or where it runs. Row-local stages do not know which shards there
are; stages with `covers_set` do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from ..fingerprint import fingerprint
from ..sources.listing import shard_name
from ..sources.records import Split
from ..store.errors import IntegrityError
from ..store.records import UnitRecord, combine_digests, read_record
from .frame import Frame

Work = Callable[[Frame], tuple[pa.RecordBatch, dict[str, Any]]]


@dataclass(frozen=True)
class Phase:
    """A set of units that may run side by side.

    Attributes:
        name: folder and record prefix of its units.
        units: their names, in a fixed order.
        work: the phase's files are intermediate: they lie under `work/` and go once the stage is
            sealed.
    """

    name: str
    units: tuple[str, ...]
    work: bool = False


class Stage:
    """A named, fingerprinted, resumable unit of a recipe; owns one folder and one manifest.

    Args:
        name: `<corpus>.<stage>` or the recipe-level name.
        corpus: the corpus it belongs to, or None.
        upstream: stages whose output it reads.
        config: plain values that decide its output.
    """

    verb: ClassVar[str]
    version: ClassVar[int] = 1
    covers_set: ClassVar[bool] = False

    def __init__(
        self,
        name: str,
        *,
        corpus: str | None,
        upstream: tuple[Stage, ...],
        config: Mapping[str, Any],
        shards: tuple[str, ...] = (),
    ) -> None:
        self.name, self.corpus, self.upstream = name, corpus, upstream
        self.config = dict(config)
        self._shards = shards

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything the fingerprint covers."""
        covered = {"shards": list(self._shards)} if self.covers_set else {}
        return {
            "verb": self.verb,
            "version": self.version,
            "config": self.config,
            "reads": [stage.fingerprint for stage in self.upstream],
            **covered,
        }

    @cached_property
    def fingerprint(self) -> str:
        """Full hex hash of `identity`."""
        return fingerprint(self.identity)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the fingerprint, not the list of shards it may cover."""
        kept = {**self.__dict__, "fingerprint": self.fingerprint, "_shards": ()}
        kept.pop("identity", None)
        return kept

    @property
    def id(self) -> str:
        """Name of the stage's folder."""
        return f"{self.name}-{self.fingerprint[:8]}"

    def phases(self, context: Context) -> tuple[Phase, ...]:
        """The units of work, phase after phase; callable once all of `upstream` is sealed."""
        raise NotImplementedError

    def inputs(self, context: Context, phase: str, unit: str) -> str:
        """Digest of the upstream records this unit is made from; by default all of them."""
        return context.upstream_digest(self)

    def run_unit(self, context: Context, phase: str, unit: str) -> UnitRecord:
        """Do one unit; the caller commits the record."""
        raise NotImplementedError

    def facts(self, context: Context, records: Iterable[UnitRecord]) -> dict[str, Any]:
        """What the manifest says beside the summed counts; for stages that know more."""
        return {}


class RowStage(Stage):
    """A stage that works row by row: one unit a shard, fused with its neighbours into one pass.

    Its output is a sidecar table, row-aligned with the base table of the corpus.
    """

    schema: pa.Schema
    reads: tuple[str, ...] = ("text",)

    def phases(self, context: Context) -> tuple[Phase, ...]:
        return (Phase("data", context.shard_names(self.corpus)),)

    @property
    def row_upstream(self) -> Stage:
        """The stage above it in its corpus."""
        return self.upstream[0]

    def inputs(self, context: Context, phase: str, unit: str) -> str:
        digests = [context.digest(self.row_upstream, "data", unit)]
        digests += [context.stage_digest(stage) for stage in self.upstream[1:]]
        return combine_digests(digests)

    def open(self, context: Context, shard: str) -> Work:
        """Prepare the computation over a shard's frames, which come in order.

        The result maps a frame to (sidecar batch, counts to add up).
        """
        raise NotImplementedError

    def apply(self, frame: Frame, sidecar: pa.RecordBatch) -> dict[str, int]:
        """Make the sidecar visible to the stages below; returns the losses by cause."""
        raise NotImplementedError


def topological(stages: Sequence[Stage]) -> list[Stage]:
    """Stages so that each comes after all it reads, otherwise in the order given."""
    done: list[Stage] = []

    def visit(stage: Stage) -> None:
        if stage not in done:
            for above in stage.upstream:
                visit(above)
            done.append(stage)

    for stage in stages:
        visit(stage)
    return done


def data_file(folder: Path, shard: str) -> Path:
    """Where the table of a shard lies in its stage's folder."""
    return folder / "data" / f"{shard}.parquet"


@dataclass
class Context:
    """What a unit may know of the run: folders, shards, records, its share of memory.

    Attributes:
        out: the run's folder.
        splits: the frozen splits of every corpus.
        stages: all stages by name.
        memory: bytes this worker may use.
        progress: called with (documents, bytes) done since the last call.
    """

    out: Path
    splits: Mapping[str, tuple[Split, ...]]
    stages: Mapping[str, Stage]
    memory: int = 1 << 30
    progress: Callable[[int, int], None] = lambda documents, size: None
    _digests: dict[str, str] = field(default_factory=dict)
    _records: dict[tuple[str, str], list[UnitRecord]] = field(default_factory=dict)
    _by_name: dict[str, dict[str, Split]] = field(default_factory=dict)

    def folder(self, stage: Stage) -> Path:
        """The stage's folder."""
        return self.out / "stages" / stage.id

    def shard_names(self, corpus: str | None) -> tuple[str, ...]:
        """Shards of a corpus, in the plan's order."""
        return tuple(shard_name(split) for split in self.splits[corpus or ""])

    def split(self, corpus: str, shard: str) -> Split:
        """The split that a shard is made from."""
        known = self._by_name.setdefault(
            corpus, {shard_name(split): split for split in self.splits[corpus]}
        )
        return known[shard]

    def unit_folder(self, stage: Stage, phase: Phase | str) -> Path:
        """Where a phase's files and records lie."""
        work = isinstance(phase, Phase) and phase.work
        return self.folder(stage) / "work" if work else self.folder(stage)

    def find_record(
        self, stage: Stage, phase: str, unit: str, work: bool = False
    ) -> UnitRecord | None:
        """The record of a unit, or None; says nothing about whether it is still current."""
        folder = self.folder(stage) / "work" if work else self.folder(stage)
        return read_record(folder, f"{phase}/{unit}")

    def record(self, stage: Stage, phase: str, unit: str, work: bool = False) -> UnitRecord:
        """The record of a unit that must be done.

        Raises:
            IntegrityError: it is not.
        """
        found = self.find_record(stage, phase, unit, work)
        if found is None:
            raise IntegrityError(
                f"{stage.id}, {phase}/{unit}", "its record is missing", do="run again to rebuild it"
            )
        return found

    def records(self, stage: Stage, phase: str = "data") -> list[UnitRecord]:
        """Records of all units of a phase of a sealed stage, in order (kept: they are final)."""
        key = (stage.name, phase)
        if key not in self._records:
            units = next(part.units for part in stage.phases(self) if part.name == phase)
            self._records[key] = [self.record(stage, phase, unit) for unit in units]
        return self._records[key]

    def digest(self, stage: Stage, phase: str, unit: str) -> str:
        """Digest of what a unit holds; of a row-aligned one also of what it was made from.

        A sidecar is read together with the tables above it: equal verdicts on other texts are not
        equal.
        """
        record = self.record(stage, phase, unit)
        if isinstance(stage, RowStage):
            return combine_digests([record.inputs, record.digest])
        return record.digest

    def stage_digest(self, stage: Stage) -> str:
        """Digest of all that a sealed stage holds (cached: call it for sealed stages only)."""
        if stage.name not in self._digests:
            parts = [
                self.digest(stage, phase.name, unit)
                for phase in stage.phases(self)
                if not phase.work
                for unit in phase.units
            ]
            self._digests[stage.name] = combine_digests(parts)
        return self._digests[stage.name]

    def upstream_digest(self, stage: Stage) -> str:
        """Digest of all that a stage reads."""
        return combine_digests([self.stage_digest(above) for above in stage.upstream])
