"""Bytes of one stored file by absolute position, through any file system fsspec knows.

Invariant: memory is one read-ahead chunk, or the one larger piece that was asked for. A file whose
size is not what the plan recorded is refused: every range of it would be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import fsspec

from corpus_builder.sources.records import InputFile
from corpus_builder.store.errors import SourceError

CHUNK = 1 << 20


class Window:
    """A moving view of a file of `size` bytes; `data` lies at offset `base` of the file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size
        self.base = 0
        self.data = b""

    def ensure(self, position: int, count: int) -> int:
        """Hold bytes `position` to `position + count` (or the file end); their index in `data`."""
        index = position - self.base
        held = len(self.data) - index
        if index >= 0 and (held >= count or self.base + len(self.data) >= self.size):
            return min(index, len(self.data))
        keep = self.data[index:] if 0 <= index <= len(self.data) else b""
        self._file.seek(position + len(keep))
        self.data = keep + self._read(max(count, CHUNK) - len(keep))
        self.base = position
        return 0

    def at(self, position: int, count: int) -> bytes:
        """Up to `count` bytes from `position`: fewer only at the file end."""
        index = self.ensure(position, count)
        return self.data[index : index + count]

    def find(self, pattern: bytes, position: int, stop: int) -> int:
        """Where the first `pattern` begins in `position <= p < stop`; -1 if there is none."""
        while position < stop:
            index = self.ensure(position, len(pattern))
            found = self.data.find(pattern, index) + self.base
            if found >= self.base:
                return found if found < stop else -1
            position = max(position + 1, self.base + len(self.data) - len(pattern) + 1)
        return -1

    def _read(self, count: int) -> bytes:
        pieces = []
        while count > 0 and (piece := self._file.read(count)):
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)


@contextmanager
def open_input(file: InputFile) -> Iterator[BinaryIO]:
    """The stored file, open for reading at its start.

    Raises:
        SourceError: it is not there, may not be read, or has not the size the plan recorded.
    """
    try:
        opened = fsspec.open(file.url, "rb").open()
    except FileNotFoundError as error:
        raise SourceError(file.url, "the file is gone", do="plan again") from error
    except PermissionError as error:
        raise SourceError(file.url, "no permission to read", do="grant read access") from error
    with opened:
        size = opened.seek(0, 2)
        if size != file.size:
            what = f"is {size} bytes now, {file.size} when it was listed"
            raise SourceError(file.url, what, do="plan again")
        opened.seek(0)
        yield opened


@contextmanager
def open_window(file: InputFile) -> Iterator[Window]:
    """`open_input` as a `Window`."""
    with open_input(file) as opened:
        yield Window(opened, file.size)
