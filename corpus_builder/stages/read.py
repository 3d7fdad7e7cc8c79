"""The first stage of a corpus: a source becomes the base table and the lost table.

Invariant: every record read is a row of the base table, a row of the lost table, or a counted
skip; `doc_id` depends on the input file's name and size and the record's address, never on splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from ..sources.options import Columns, ReadOptions
from ..sources.reading import read
from ..sources.records import InputFile, Lost, Page, Record, Skipped, Span, Split, TextRow
from ..store.atomic import read_json, write_json
from ..store.errors import DataError, SourceError
from ..store.manifest import Counts
from ..store.records import (
    UnitRecord,
    combine_digests,
    drop_record,
    read_record,
    write_record,
)
from ..store.tables import BATCH_BYTES, BATCH_ROWS, TableWriter
from .base import Context, Phase, Stage

BASE_SCHEMA = pa.schema(
    [
        ("doc_id", pa.binary(16)),
        ("text", pa.large_string()),
        ("url", pa.string()),
        ("source_id", pa.string()),
        ("title", pa.string()),
        ("date", pa.string()),
        ("file", pa.string()),
        ("position", pa.int64()),
        ("ordinal", pa.int64()),
    ]
)
"""Of a base table without scores; a score is a float64 column after these."""
UNREADABLE = "unreadable_file"
LOST_SCHEMA = pa.schema(
    [
        ("url", pa.string()),
        ("position", pa.int64()),
        ("ordinal", pa.int64()),
        ("cause", pa.string()),
        ("detail", pa.string()),
    ]
)


def doc_id(file: InputFile, position: int, ordinal: int) -> bytes:
    """128-bit identity of a record: hash of (file name, file size, position, ordinal)."""
    key = f"{file.name}\0{file.size}\0{position}\0{ordinal}".encode(errors="surrogatepass")
    return blake2b(key, digest_size=16).digest()


@dataclass
class _Counts:
    """What a split held: losses by cause, skips by cause, where it began and ended.

    Attributes:
        without: documents without a value, by score.
    """

    lost: Counter[str] = field(default_factory=Counter)
    candidates: int = 0
    span: Span | None = None
    charsets: Counter[str] = field(default_factory=Counter)
    without: Counter[str] = field(default_factory=Counter)


class BaseStage(Stage):
    """Reads splits of a source; subclasses say how a record becomes a row.

    Args:
        kind: of the source: warc, jsonl, parquet.
        options: `max_record_bytes`, `on_bad_file`, `columns` that the recipe names, and `scores`
            where there are any: name -> column of the input.

    Attributes:
        schema: of the base table; scores come last, in the order of their names.
    """

    verb = "read"

    def __init__(self, name: str, *, corpus: str, kind: str, options: dict[str, Any]) -> None:
        super().__init__(
            name, corpus=corpus, upstream=(), config={"kind": kind, "options": options}
        )
        self.kind, self.options = kind, options
        self.scores = dict(sorted(options.get("scores", {}).items()))
        self.schema = pa.schema([*BASE_SCHEMA, *((score, pa.float64()) for score in self.scores)])

    def phases(self, context: Context) -> tuple[Phase, ...]:
        return (Phase("data", context.shard_names(self.corpus)),)

    def inputs(self, context: Context, phase: str, unit: str) -> str:
        split = self._split(context, unit)
        return combine_digests(
            [split.file.name, str(split.file.size), str(split.start), str(split.end)]
        )

    def _split(self, context: Context, shard: str) -> Split:
        """The split, moved to where the range before it really ended if that is on record."""
        split = context.split(self.corpus or "", shard)
        moved = context.folder(self) / "moved" / f"{shard}.json"
        return replace(split, start=read_json(moved)["start"]) if moved.exists() else split

    def refuse_nothing(self, counts: Counts, *, needed: bool) -> None:
        """Refuse a source of which no record became a document: no later stage could say so.

        Args:
            needed: an empty source is refused, too.

        Raises:
            DataError: it is such a one; with what became of its records.
        """
        if counts.records_out or not (needed or counts.records_in):
            return
        what = "there is no record in it"
        if counts.records_in:
            causes = ", ".join(f"{cause} {n:,}" for cause, n in counts.lost.items() if n)
            what = f"none of its {counts.records_in:,} records became a document: {causes}"
        do = "is it the right format, and the right column? or leave the corpus out"
        raise DataError(f"corpora.{self.corpus}.source", what, do=do)

    def move_start(self, context: Context, shard: str, start: int) -> None:
        """Put on record that the shard must begin at `start`: its range met a false boundary."""
        write_json(context.folder(self) / "moved" / f"{shard}.json", {"start": start})

    def is_current(self, context: Context, shard: str) -> bool:
        """Whether the shard is done and its file has not changed since (size, etag)."""
        folder = context.folder(self)
        record = read_record(folder, f"data/{shard}")
        seen = folder / "seen" / f"{shard}.json"
        if record is None or record.inputs != self.inputs(context, "data", shard):
            return False
        etag = context.split(self.corpus or "", shard).file.etag
        return seen.exists() and read_json(seen)["etag"] == etag

    def misplaced(self, context: Context) -> list[str]:
        """Shards whose range did not begin where the one before it ended; they are moved there.

        A gzip stream stored inside a record can look like a record's start; the range before it
        knows better.
        """
        shards = context.shard_names(self.corpus)
        for shard, before in zip(shards[1:], shards, strict=False):
            split = context.split(self.corpus or "", shard)
            if split.index == 0:
                continue
            pair = [context.record(self, "data", name) for name in (before, shard)]
            if any(UNREADABLE in record.lost for record in pair):
                continue
            expected = pair[0].facts["span"]["next"]
            if pair[1].facts["span"]["first"] != expected:
                self.move_start(context, shard, expected)
                return [shard]
        return []

    def run_shard(self, context: Context, shard: str) -> bool:
        """Read one split into its tables, unless that is done; returns whether it was to do."""
        if self.is_current(context, shard):
            return False
        folder, split = context.folder(self), self._split(context, shard)
        counts = _Counts()
        with (
            TableWriter(folder, f"data/{shard}.parquet", self.schema) as base,
            TableWriter(folder, f"lost/{shard}.parquet", LOST_SCHEMA) as lost,
        ):
            text_bytes = self._fill(context, split, counts, base, lost)
            drop_record(folder, f"data/{shard}")
            files = (base.close(), lost.close())
        record = self._record(context, shard, counts, files, text_bytes)
        write_record(folder, record)
        etag = context.split(self.corpus or "", shard).file.etag
        write_json(folder / "seen" / f"{shard}.json", {"etag": etag})
        return True

    def _fill(
        self, context: Context, split: Split, counts: _Counts, base: TableWriter, lost: TableWriter
    ) -> int:
        rows, gone = _Rows(self.schema), _Rows(LOST_SCHEMA)
        text_bytes = 0
        for item in self.documents(context, split, counts):
            if isinstance(item, Lost):
                counts.lost[item.cause] += 1
                gone.add((item.url, item.position, item.ordinal, item.cause, item.detail), 256)
            else:
                size = len(item.text.encode())
                text_bytes += size
                rows.add(_row(split.file, item), size)
                missing = (k for k, v in zip(self.scores, item.scores, strict=True) if v is None)
                counts.without.update(missing)
                context.progress(1, size)
            for table, writer in ((rows, base), (gone, lost)):
                if table.full:
                    writer.write(table.take())
        base.write(rows.take())
        lost.write(gone.take())
        return text_bytes

    def _record(
        self, context: Context, shard: str, counts: _Counts, files: tuple[Any, ...], size: int
    ) -> UnitRecord:
        documents = files[0].rows
        span = counts.span or Span(0, 0)
        facts: dict[str, Any] = {
            "candidates": counts.candidates,
            "text_bytes": size,
            "span": {"first": span.first, "next": span.next},
        }
        if counts.charsets:
            facts["charsets"] = dict(sorted(counts.charsets.items()))
        if self.scores:
            facts["without_score"] = {name: counts.without[name] for name in self.scores}
        return UnitRecord(
            unit=f"data/{shard}",
            inputs=self.inputs(context, "data", shard),
            rows_in=documents + sum(counts.lost.values()),
            rows_out=documents,
            lost=dict(sorted(counts.lost.items())),
            facts=facts,
            files=files,
        )

    def documents(
        self, context: Context, split: Split, counts: _Counts
    ) -> Iterator[TextRow | Lost]:
        """Documents and losses of a split, in order."""
        for item in self.records(split, counts):
            if isinstance(item, TextRow):
                counts.candidates += 1
                yield item
            elif isinstance(item, Lost):
                yield item

    def _stream(self, split: Split, options: ReadOptions) -> Iterator[Record]:
        try:
            yield from read(split, self.kind, options)
        except SourceError as error:
            if self.options["on_bad_file"] == "error":
                raise
            yield from _unreadable(split, error)

    def records(self, split: Split, counts: _Counts) -> Iterator[Page | TextRow | Lost]:
        """The reader's records, with skips and the span taken into the counts."""
        columns = Columns(**self.options.get("columns", {}), scores=self.scores)
        most = self.options["max_record_bytes"]
        options = ReadOptions(columns, max_record_bytes=most, max_body_bytes=most)
        for item in self._stream(split, options):
            if isinstance(item, Skipped):
                counts.lost[item.cause] += item.count
            elif isinstance(item, Span):
                counts.span = item
            else:
                yield item


def _unreadable(split: Split, error: SourceError) -> Iterator[Record]:
    """A split of a file that cannot be read, as one lost record."""
    yield Lost(split.start, 0, "", UNREADABLE, str(error))
    yield Span(split.start, split.end)


def _row(file: InputFile, item: TextRow) -> tuple[Any, ...]:
    identity = doc_id(file, item.position, item.ordinal)
    return (
        identity, item.text, item.url, item.source_id, item.title, item.date,
        file.name, item.position, item.ordinal, *item.scores,
    )  # fmt: skip


class _Rows:
    """Rows gathered until a batch is full; the border depends on the rows alone."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema, self.rows, self.size = schema, list[tuple[Any, ...]](), 0

    def add(self, row: tuple[Any, ...], size: int) -> None:
        self.rows.append(row)
        self.size += size

    @property
    def full(self) -> bool:
        return len(self.rows) >= BATCH_ROWS or self.size >= BATCH_BYTES

    def take(self) -> pa.RecordBatch:
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.schema)
        arrays = [
            pa.array(column, field.type) for column, field in zip(columns, self.schema, strict=True)
        ]
        self.rows, self.size = [], 0
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)
