"""The fused pass: consecutive row-local stages over one shard, reading its text once.

Invariant: every stage writes its sidecar batch for batch with the base table; stages already done
for this shard are read, not recomputed; each stage's record is committed in order, after its file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pyarrow as pa

from ..store.errors import IntegrityError
from ..store.records import UnitRecord, add_counts, drop_record, write_record
from ..store.tables import FileInfo, TableWriter, read_batches
from .base import Context, RowStage, Stage, data_file
from .frame import Frame
from .read import BaseStage


@dataclass
class _Tally:
    """Running counts of one stage over the frames of a shard."""

    rows_in: int = 0
    rows_out: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def chain_above(stage: Stage) -> list[Stage]:
    """The row-aligned stages of a corpus from its base table down to `stage`."""
    chain = [stage]
    while not isinstance(chain[0], BaseStage):
        chain.insert(0, chain[0].upstream[0])
    return chain


def base_of(stage: Stage) -> BaseStage:
    """The stage that made the base table `stage` is aligned with."""
    while not isinstance(stage, BaseStage):
        stage = stage.upstream[0]
    return stage


def run_rows(context: Context, stages: Sequence[Stage], shard: str) -> list[Stage]:
    """Run the not-yet-done ones of `stages` (consecutive, one corpus) over one shard.

    Returns:
        Those that were run.
    """
    chain, done = chain_above(stages[-1]), list[Stage]()
    base = base_of(stages[-1])
    if base in stages and base.run_shard(context, shard):
        done.append(base)
    todo = [stage for stage in stages if isinstance(stage, RowStage)]
    while todo and is_current(context, todo[0], shard):
        todo.pop(0)
    if todo:
        _Pass(context, chain[1:], todo, shard).run(base)
    return [*done, *todo]


def is_current(context: Context, stage: Stage, shard: str) -> bool:
    """Whether a row stage's shard is done and what it was made from is unchanged."""
    if isinstance(stage, BaseStage):
        return stage.is_current(context, shard)
    above = context.find_record(stage.upstream[0], "data", shard)
    record = context.find_record(stage, "data", shard)
    return bool(above and record and record.inputs == stage.inputs(context, "data", shard))


class _Pass:
    """One run over a shard: reads sidecars above, computes and writes those below."""

    def __init__(
        self, context: Context, chain: list[Stage], todo: list[RowStage], shard: str
    ) -> None:
        self.context, self.shard = context, shard
        self.chain, self.todo = chain, todo
        self.tallies = {stage.name: _Tally() for stage in todo}

    def run(self, base: BaseStage) -> None:
        """Stream all frames through, then commit every stage."""
        with ExitStack() as stack:
            writers = {
                stage.name: stack.enter_context(
                    TableWriter(
                        self.context.folder(stage), f"data/{self.shard}.parquet", stage.schema
                    )
                )
                for stage in self.todo
            }
            work = {stage.name: stage.open(self.context, self.shard) for stage in self.todo}
            above = [stage for stage in self.chain if stage.name not in work]
            sidecars = _Sidecars(self.context, above, self.shard)
            needed = {name for stage in self.todo for name in stage.reads}
            for frame in _frames(self.context, base, self.shard, needed):
                for stage in self.chain:
                    if stage.name in work:
                        batch = self._compute(stage, frame, work[stage.name])
                        writers[stage.name].write(batch)
                    else:
                        batch = sidecars.next(stage, frame.rows)
                    self._apply(stage, frame, batch)
                self.context.progress(frame.rows, 0)
            sidecars.finish()
            for stage in self.todo:
                drop_record(self.context.folder(stage), f"data/{self.shard}")
            files = {name: writer.close() for name, writer in writers.items()}
        self._commit(files)

    def _compute(self, stage: Stage, frame: Frame, work: Any) -> pa.RecordBatch:
        tally = self.tallies[stage.name]
        tally.rows_in += frame.n_alive
        batch, facts = work(frame)
        add_counts(tally.facts, facts)
        return batch

    def _apply(self, stage: Stage, frame: Frame, batch: pa.RecordBatch) -> None:
        lost = stage.apply(frame, batch) if isinstance(stage, RowStage) else {}
        if stage.name in self.tallies:
            tally = self.tallies[stage.name]
            tally.rows_out += frame.n_alive
            add_counts(tally.lost, lost)

    def _commit(self, files: dict[str, FileInfo]) -> None:
        for stage in self.todo:
            tally = self.tallies[stage.name]
            record = UnitRecord(
                unit=f"data/{self.shard}",
                inputs=stage.inputs(self.context, "data", self.shard),
                rows_in=tally.rows_in,
                rows_out=tally.rows_out,
                lost=dict(sorted(tally.lost.items())),
                facts=tally.facts,
                files=(files[stage.name],),
            )
            write_record(self.context.folder(stage), record)


def frames_of(
    context: Context, stage: Stage, shard: str, columns: Sequence[str]
) -> Iterator[Frame]:
    """Frames of a shard as they leave `stage`: base columns asked for, sidecars applied."""
    chain = chain_above(stage)
    sidecars = _Sidecars(context, chain[1:], shard)
    for frame in _frames(context, base_of(stage), shard, columns):
        for part in chain[1:]:
            if isinstance(part, RowStage):
                part.apply(frame, sidecars.next(part, frame.rows))
        yield frame
    sidecars.finish()


def _frames(
    context: Context, base: BaseStage, shard: str, wanted: Collection[str]
) -> Iterator[Frame]:
    """Frames of a base table with `doc_id` and those of `wanted` that it has."""
    columns = [name for name in base.schema.names if name in wanted or name == "doc_id"]
    for batch in read_batches(data_file(context.folder(base), shard), columns):
        yield Frame(dict(zip(batch.schema.names, batch.columns, strict=True)), len(batch))


class _Sidecars:
    """Sidecars of a shard, read batch for batch with its base table; out of line is an error."""

    def __init__(self, context: Context, stages: Sequence[Stage], shard: str) -> None:
        self._shard = shard
        self._readers = {
            stage.id: read_batches(data_file(context.folder(stage), shard)) for stage in stages
        }

    def next(self, stage: Stage, rows: int) -> pa.RecordBatch:
        """The stage's rows for the next `rows` rows of the base table."""
        batch = next(self._readers[stage.id], None)
        if batch is None or len(batch) != rows:
            self._refuse(stage.id, "no batch" if batch is None else f"{len(batch)} rows", f"{rows}")
        return batch

    def finish(self) -> None:
        """Refuse sidecars with more than the base table has."""
        for name, reader in self._readers.items():
            if next(reader, None) is not None:
                self._refuse(name, "more batches", "none")

    def _refuse(self, name: str, found: str, expected: str) -> NoReturn:
        raise IntegrityError(
            f"{name}, {self._shard}", f"has {found} where the base table has {expected}",
            do="delete this stage's folder and run again",
        )  # fmt: skip
