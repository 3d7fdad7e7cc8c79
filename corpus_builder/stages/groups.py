"""Grouping: from band keys over the whole set to verdicts, in phases that many workers can share.

Phases: `edges` (one unit a band, and one for equal texts), `members` (union-find), `candidates`
(one unit a shard: shingles of grouped rows), `data` (one unit a bucket of components: verified
verdicts). Invariant: verdicts do not depend on workers, memory or the order of units; memory
beyond what is streamed is at most 24 bytes a document, in `members`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..store.records import UnitRecord
from ..store.tables import FileInfo, TableWriter, read_batches, read_between, write_table
from .base import Context, Phase, Stage, data_file
from .dedup import VERDICT_SCHEMA, BandsStage, DedupConfig, band_columns
from .heldout import Heldout
from .keys import below
from .rows import chain_above, frames_of
from .verify import CANDIDATE_SCHEMA, ranks, verdicts_of

Int64 = npt.NDArray[np.int64]
BUCKET_BYTES = 128 << 20
EDGE_SCHEMA = pa.schema([("a", pa.int64()), ("b", pa.int64())])
MEMBER_SCHEMA = pa.schema([("index", pa.int64()), ("root", pa.int64())])


class GroupsStage(Stage):
    """Finds duplicates within one corpus, or across several in priority order.

    Args:
        bands: the band stages, one a corpus, first corpus wins.
        config: what decides.
        heldout: who takes no part, or None.
    """

    verb = "dedup.groups"
    covers_set = True

    def __init__(
        self, name: str, *, corpus: str | None, bands: tuple[BandsStage, ...],
        config: DedupConfig, heldout: Heldout | None, shards: tuple[str, ...],
    ) -> None:  # fmt: skip
        identity = {**asdict(config), "heldout": heldout.choice if heldout else None}
        super().__init__(name, corpus=corpus, upstream=bands, config=identity, shards=shards)
        self.bands, self.dedup, self.heldout = bands, config, heldout

    def phases(self, context: Context) -> tuple[Phase, ...]:
        units = tuple(
            f"{stage.corpus}/{shard}"
            for stage in self.bands
            for shard in context.shard_names(stage.corpus)
        )
        buckets = tuple(f"bucket-{bucket:05d}" for bucket in range(self._buckets(context)))
        return (
            Phase("edges", (*band_columns(self.dedup.bands), "exact"), work=True),
            Phase("members", ("all",), work=True),
            Phase("candidates", units, work=True),
            Phase("data", buckets),
        )

    def run_unit(self, context: Context, phase: str, unit: str) -> UnitRecord:
        steps = {
            "edges": self._edges,
            "members": self._members,
            "candidates": self._candidates,
            "data": self._verify,
        }
        rows, facts, file = steps[phase](context, unit)
        return UnitRecord(
            unit=f"{phase}/{unit}",
            inputs=self.inputs(context, phase, unit),
            rows_in=rows,
            rows_out=rows,
            lost={},
            facts=facts,
            files=(file,),
        )

    @cached_property
    def _offsets(self) -> dict[tuple[str, str], tuple[int, int]]:
        return {}

    def index_range(self, context: Context, corpus: str, shard: str) -> tuple[int, int]:
        """Document indices [start, stop) of a shard: its rows, counted in priority order."""
        if not self._offsets:
            position = 0
            for stage in self.bands:
                base = chain_above(stage)[0]
                for name in context.shard_names(stage.corpus):
                    rows = context.record(base, "data", name).rows_out
                    self._offsets[stage.corpus or "", name] = (position, position + rows)
                    position += rows
        return self._offsets[corpus, shard]

    def documents(self, context: Context) -> int:
        """How many document indices there are."""
        last = self.bands[-1]
        names = context.shard_names(last.corpus)
        return self.index_range(context, last.corpus or "", names[-1])[1] if names else 0

    def _buckets(self, context: Context) -> int:
        """Buckets of components, from the size of the base text alone."""
        size: int = sum(
            record.facts["text_bytes"]
            for stage in self.bands
            for record in context.records(chain_above(stage)[0])
        )
        return min(4096, max(1, -(-size // BUCKET_BYTES)))

    def _edges(self, context: Context, unit: str) -> tuple[int, dict[str, Any], FileInfo]:
        from ..minhash.banding import BandTable, in_partition, table_bytes

        column = "digest_hi" if unit == "exact" else unit
        documents = self.documents(context)
        parts = max(1, -(-table_bytes(documents) // max(1, context.memory // 2)))
        with TableWriter(self._work(context), f"edges/{unit}.parquet", EDGE_SCHEMA) as writer:
            for part in range(parts):
                table = BandTable(documents // parts)
                for keys, index in self._keys(context, column):
                    inside = in_partition(keys, part, parts)
                    a, b = table.add(keys[inside], index[inside])
                    columns = [pa.array(a, pa.int64()), pa.array(b, pa.int64())]
                    writer.write(pa.RecordBatch.from_arrays(columns, schema=EDGE_SCHEMA))
            file = writer.close()
        return 0, {}, file

    def _keys(
        self, context: Context, column: str
    ) -> Iterator[tuple[npt.NDArray[np.uint64], Int64]]:
        """Keys of a column with their document indices, batch by batch, training side only."""
        for stage in self.bands:
            limit = self.heldout.limit(context, stage) if self.heldout else 0
            for shard in context.shard_names(stage.corpus):
                position = self.index_range(context, stage.corpus or "", shard)[0]
                path = data_file(context.folder(stage), shard)
                for batch in read_batches(path, ["heldout_key", "n_shingles", column]):
                    alive = batch.column("n_shingles").is_valid().to_numpy(zero_copy_only=False)
                    held = batch.column("heldout_key").fill_null(0).to_numpy()
                    use = alive & ~below(held, limit)
                    if column != "digest_hi":
                        use &= batch.column("n_shingles").fill_null(0).to_numpy() > 0
                    keys = batch.column(column).fill_null(0).to_numpy()
                    yield keys[use], position + np.flatnonzero(use)
                    position += len(batch)

    def _members(self, context: Context, unit: str) -> tuple[int, dict[str, Any], FileInfo]:
        from ..minhash.components import Components

        components = Components(self.documents(context))
        for name in (*band_columns(self.dedup.bands), "exact"):
            for batch in read_batches(self._work(context) / f"edges/{name}.parquet"):
                components.union(batch.column("a").to_numpy(), batch.column("b").to_numpy())
        roots = components.roots()
        members = _members_of(roots)
        file = write_table(self._work(context), "members/all.parquet", MEMBER_SCHEMA, members)
        return 0, {}, file

    def _candidates(self, context: Context, unit: str) -> tuple[int, dict[str, Any], FileInfo]:
        """Shingles of a shard's grouped rows, ordered by bucket (one row group a bucket)."""
        from ..minhash.shingles import shingle_hashes

        corpus, shard = unit.split("/", 1)
        priority, stage = next(
            (number, part) for number, part in enumerate(self.bands) if part.corpus == corpus
        )
        start, stop = self.index_range(context, corpus, shard)
        index, root = self._members_between(context, start, stop)
        tables, position = [], start
        for frame in frames_of(context, stage, shard, ["text", "date"]) if len(index) else ():
            first, last = np.searchsorted(index, [position, position + frame.rows])
            rows = pa.array(index[first:last] - position)
            text = frame.columns["text"].take(rows)
            hashes, offsets = shingle_hashes(text, self.dedup.ngram)
            tables.append(
                ranks(
                    index=index[first:last],
                    root=root[first:last],
                    priority=priority,
                    doc_id=frame.columns["doc_id"].take(rows),
                    date=frame.columns["date"].take(rows),
                    text=text,
                    hashes=hashes,
                    offsets=offsets,
                    keep=self.dedup.keep,
                    buckets=self._buckets(context),
                )
            )
            position += frame.rows
            context.progress(frame.rows, 0)
        file = write_table(
            self._work(context), f"candidates/{unit}.parquet", CANDIDATE_SCHEMA, _by_bucket(tables)
        )
        return 0, {}, file

    def _members_between(self, context: Context, start: int, stop: int) -> tuple[Int64, Int64]:
        path = self._work(context) / "members/all.parquet"
        parts = list(read_between(path, "index", start, stop))
        table = pa.Table.from_batches(parts, MEMBER_SCHEMA)
        return table.column("index").to_numpy(), table.column("root").to_numpy()

    def _verify(self, context: Context, unit: str) -> tuple[int, dict[str, Any], FileInfo]:
        bucket = int(unit.rpartition("-")[2])
        parts = []
        for stage in self.bands:
            for shard in context.shard_names(stage.corpus):
                path = self._work(context) / f"candidates/{stage.corpus}/{shard}.parquet"
                found = read_between(path, "bucket", bucket, bucket + 1)
                parts += [pa.Table.from_batches([batch]) for batch in found]
        counts: Counter[str] = Counter()
        batches = verdicts_of(parts, self.dedup, counts)
        context.progress(counts["members"], 0)
        file = write_table(context.folder(self), f"data/{unit}.parquet", VERDICT_SCHEMA, batches)
        return 0, dict(counts), file

    def _work(self, context: Context) -> Any:
        return context.folder(self) / "work"


def _members_of(
    roots: npt.NDArray[np.integer[Any]], rows: int = 1 << 20
) -> Iterator[pa.RecordBatch]:
    """(index, root) of every document that shares its component, in slices."""
    grouped = np.zeros(len(roots), bool)
    for start in range(0, len(roots), rows):
        part = roots[start : start + rows]
        joined = np.flatnonzero(part != np.arange(start, start + len(part)))
        grouped[part[joined]] = True
        grouped[start + joined] = True
    for start in range(0, len(roots), rows):
        index = start + np.flatnonzero(grouped[start : start + rows])
        columns = [pa.array(index, pa.int64()), pa.array(roots[index].astype(np.int64))]
        yield pa.RecordBatch.from_arrays(columns, schema=MEMBER_SCHEMA)


def _by_bucket(tables: list[pa.Table]) -> Iterator[pa.RecordBatch]:
    if not tables:
        return
    table = pa.concat_tables(tables).sort_by([("bucket", "ascending"), ("index", "ascending")])
    bucket = table.column("bucket").to_numpy()
    borders = np.flatnonzero(np.diff(bucket, prepend=-1, append=-1))
    for start, stop in pairwise(borders.tolist()):
        yield table.slice(start, stop - start).combine_chunks().to_batches()[0]
