"""Arrow IPC stream files of fixed-width rows: written in exact batches, read by memory map.

Invariant: every batch but the last has `batch_rows` rows, so row r lies in batch r // batch_rows
at a known place and is read without copying the file.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .atomic import TEMP_SUFFIX, sha256_file
from .errors import IntegrityError
from .logical import LogicalHash
from .tables import FileInfo


class StreamWriter:
    """Write batches of one schema to an Arrow IPC stream file; commit by rename on `close`."""

    def __init__(self, folder: Path, path: str, schema: pa.Schema, batch_rows: int) -> None:
        self._target, self._path, self._schema = folder / path, path, schema
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._temp = self._target.with_name(f".{self._target.name}.{os.getpid()}{TEMP_SUFFIX}")
        self._batch_rows, self._rows = batch_rows, 0
        self._waiting: list[pa.RecordBatch] = []
        self._logical = LogicalHash(schema)
        self._sink = pa.OSFile(str(self._temp), "wb")
        self._writer = pa.ipc.new_stream(self._sink, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows; they reach the file in batches of exactly `batch_rows`."""
        self._waiting.append(batch)
        if sum(map(len, self._waiting)) >= self._batch_rows:
            self._flush(self._batch_rows)

    def _flush(self, least: int) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema).combine_chunks()
        whole = len(table) - len(table) % self._batch_rows if least > 1 else len(table)
        for start in range(0, whole, self._batch_rows):
            part = table.slice(start, min(self._batch_rows, whole - start)).combine_chunks()
            batch = pa.RecordBatch.from_arrays(
                [pa.concat_arrays(column.chunks) for column in part.columns], schema=self._schema
            )
            self._logical.update(batch)
            self._writer.write_batch(batch)
            self._rows += len(batch)
        self._waiting = table.slice(whole).to_batches()

    def close(self) -> FileInfo:
        """Write what waits, commit the file, and say what it holds."""
        self._flush(1)
        self._writer.close()
        self._sink.close()
        with self._temp.open("rb") as file:
            os.fsync(file.fileno())
        sha, size = sha256_file(self._temp), self._temp.stat().st_size
        self._temp.rename(self._target)
        return FileInfo(self._path, size, self._rows, sha, self._logical.hexdigest())

    def __enter__(self) -> StreamWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is not None:
            self._sink.close()
            self._temp.unlink(missing_ok=True)


def open_stream(path: Path) -> list[pa.RecordBatch]:
    """Batches of a stream file, memory-mapped: nothing is copied before it is used.

    Raises:
        IntegrityError: it is missing or damaged.
    """
    try:
        return list(pa.ipc.open_stream(pa.memory_map(str(path))))
    except (OSError, pa.ArrowInvalid) as error:
        raise IntegrityError(
            str(path), f"cannot be read: {error}", do="delete the stage's folder and run again"
        ) from error


class SequenceFiles:
    """Random access to the rows of stream files of `input_ids: fixed_size_list[T]`.

    Args:
        paths: files in order; rows number on across them.
    """

    def __init__(self, paths: list[Path]) -> None:
        self._batches: list[npt.NDArray[np.unsignedinteger]] = []
        self._starts: list[int] = []
        self.rows = 0
        for path in paths:
            for batch in open_stream(path):
                column = batch.column(0)
                width = column.type.list_size
                self._batches.append(column.flatten().to_numpy().reshape(-1, width))
                self._starts.append(self.rows)
                self.rows += len(batch)

    def take(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.unsignedinteger]:
        """Rows as an array [len(rows), T], by their numbers."""
        place = np.array([bisect_right(self._starts, row) - 1 for row in rows.tolist()], np.int64)
        out = np.empty((len(rows), self._batches[0].shape[1]), self._batches[0].dtype)
        for batch in np.unique(place):
            here = place == batch
            out[here] = self._batches[batch][rows[here] - self._starts[batch]]
        return out
