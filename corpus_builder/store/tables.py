"""Parquet tables of ours: one row group a batch, deterministic bytes, row-aligned reading.

Invariant: the same batches give the same bytes under one pyarrow version, and the same logical
hash under all; a table appears under its name only when it is whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .atomic import TEMP_SUFFIX, sha256_file
from .errors import IntegrityError
from .logical import LogicalHash

BATCH_ROWS = 1024
BATCH_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What a record or manifest claims about a file.

    Attributes:
        path: relative to the stage's folder, with `/`.
        bytes: size of the file.
        rows: rows of the table (sequences of a token file; 0 for other files).
        sha256: of the file's bytes.
        logical: of the content (`LogicalHash`), or equal to sha256 for files without rows.
    """

    path: str
    bytes: int
    rows: int
    sha256: str
    logical: str


class TableWriter:
    """Write batches to a Parquet file, each as one row group; commit by rename on `close`.

    Used as a context manager, an exception discards the file.
    """

    def __init__(self, folder: Path, path: str, schema: pa.Schema) -> None:
        self._target = folder / path
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._temp = self._target.with_name(f".{self._target.name}.{os.getpid()}{TEMP_SUFFIX}")
        self._path, self._schema, self._rows = path, schema, 0
        self._logical = LogicalHash(schema)
        # Long texts never repeat: a dictionary for them is built and thrown away.
        plain = {"text", "tokens", "doc_id", "keeper", "key"}
        self._writer = pq.ParquetWriter(
            self._temp.absolute(),  # a relative one that begins with `a:` would be read as a URI
            schema,
            compression="zstd",
            use_dictionary=[name for name in schema.names if name not in plain],
            write_statistics=[name for name in schema.names if name != "text"],
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Append one row group (empty batches leave no trace)."""
        if not len(batch):
            return
        self._logical.update(batch)
        self._rows += len(batch)
        self._writer.write_batch(batch, row_group_size=len(batch))

    def close(self) -> FileInfo:
        """Commit the file under its name and say what it holds."""
        self._writer.close()
        with self._temp.open("rb") as file:
            os.fsync(file.fileno())
        sha = sha256_file(self._temp)
        size = self._temp.stat().st_size
        self._temp.rename(self._target)
        return FileInfo(self._path, size, self._rows, sha, self._logical.hexdigest())

    def discard(self) -> None:
        """Drop what was written."""
        self._writer.close()
        self._temp.unlink(missing_ok=True)

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is not None:
            self.discard()


def write_table(
    folder: Path, path: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> FileInfo:
    """Write all batches as one table."""
    with TableWriter(folder, path, schema) as writer:
        for batch in batches:
            writer.write(batch)
        return writer.close()


def open_table(path: Path) -> pq.ParquetFile:
    """Open a table of ours.

    Raises:
        IntegrityError: it is missing or damaged; never treated as empty.
    """
    try:
        return pq.ParquetFile(path, memory_map=True, pre_buffer=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise IntegrityError(
            str(path),
            f"cannot be read: {error}",
            do="delete the stage's folder and run again: it will be rebuilt",
        ) from error


def read_batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the table's batches as written, one a row group."""
    with open_table(path) as file:
        for index in range(file.num_row_groups):
            table = file.read_row_group(index, columns=columns, use_threads=False).combine_chunks()
            if table.num_columns:
                yield table.to_batches()[0]
            else:
                yield pa.RecordBatch.from_struct_array(
                    pa.array([{}] * table.num_rows, pa.struct([]))
                )


def read_between(path: Path, column: str, low: int, high: int) -> Iterator[pa.RecordBatch]:
    """Yield rows with `low <= column < high`; row groups that cannot have any are not read."""
    with open_table(path) as file:
        place = file.schema_arrow.get_field_index(column)
        for index in range(file.num_row_groups):
            statistics = file.metadata.row_group(index).column(place).statistics
            if statistics is None or (statistics.max >= low and statistics.min < high):
                batch = (
                    file.read_row_group(index, use_threads=False).combine_chunks().to_batches()[0]
                )
                values = batch.column(column)
                inside = pc.and_(pc.greater_equal(values, low), pc.less(values, high))
                yield batch.filter(inside)


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a whole (small) table."""
    with open_table(path) as file:
        return file.read(columns=columns, use_threads=False)
