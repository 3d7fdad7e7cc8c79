"""Records as a forward stream of inflated bytes, whatever the file's form, with resynchronisation.

Invariant: sequential reading ends a range only at a place that `plain_start` / `gzip_start` would
find from anywhere before it, so that neighbouring ranges agree. In a gzip file that is a member
that begins with a version line; in a plain file, a version line whose record ends where its
Content-Length says.
"""

from __future__ import annotations

from typing import Protocol

from corpus_builder.sources.gzip_members import BrokenStreamError, Member, is_member
from corpus_builder.sources.sniff import GZIP_MAGIC
from corpus_builder.sources.warc_header import (
    BOUNDARY,
    HEADER_END,
    MAX_HEADER,
    OPENING,
    TERMINATOR,
    VERSION,
    BadHeaderError,
    parse_warc_header,
)
from corpus_builder.sources.window import CHUNK, Window

_PROBE = 4096
_TAIL = 64


class RecordStream(Protocol):
    """Inflated bytes from a record start on."""

    def tell(self) -> int:
        """Offset of the next byte in the stream."""

    def seek(self, offset: int) -> None:
        """Go back to an offset that `tell` gave."""

    def peek(self, count: int) -> bytes:
        """Up to `count` next bytes; fewer only at the end of the stream."""

    def peek_within(self, count: int) -> bytes:
        """Like `peek`, but never past the end of the gzip member at hand."""

    def skip(self, count: int) -> int:
        """Advance; by how much is returned, less than `count` only at the end of the stream."""

    def scan(self) -> None:
        """Advance to what looks like the next record in this stream, or to its end."""


class PlainStream:
    """A file that is not compressed: stream offsets are file positions."""

    def __init__(self, window: Window, start: int) -> None:
        self._window = window
        self._at = start

    def tell(self) -> int:
        """Position in the file."""
        return self._at

    def seek(self, offset: int) -> None:
        """Go to a position in the file."""
        self._at = offset

    def peek(self, count: int) -> bytes:
        """Up to `count` next bytes."""
        return self._window.at(self._at, count)

    peek_within = peek

    def skip(self, count: int) -> int:
        """Advance, at most to the file end."""
        count = min(count, self._window.size - self._at)
        self._at += count
        return count

    def scan(self) -> None:
        """Advance to what looks like the next record or to the file end."""
        self._at = _version_line(self._window, self._at, self._window.size)


class GzipStream:
    """A member that begins with a record, and the members after it that begin with none.

    Usually that is one member and one record; a file that is a single member, or was cut into
    members without regard to records, reads the same: a record that its member does not hold whole
    goes on in the next one, unless that begins with a record of its own.
    """

    def __init__(self, window: Window, member: Member) -> None:
        self._window = window
        self._start = member.start
        self._restart(member)

    def _restart(self, member: Member) -> None:
        self._member = member
        self._data, self._base, self._at = b"", 0, 0

    def tell(self) -> int:
        """Offset in the inflated stream."""
        return self._base + self._at

    def seek(self, offset: int) -> None:
        """Go back, inflating again from the start if those bytes are no longer held."""
        if offset < self._base:
            self._restart(Member(self._window, self._start))
            self.skip(offset)
        else:
            self._at = offset - self._base

    def peek(self, count: int) -> bytes:
        """Up to `count` next bytes, across members."""
        return self._peek(count, across=True)

    def peek_within(self, count: int) -> bytes:
        """Up to `count` next bytes of this member; verifies its checksum if it ends there."""
        return self._peek(count, across=False)

    def skip(self, count: int) -> int:
        """Advance; what is passed beyond the bytes held is not held."""
        left = count
        while left > len(self._data) - self._at:
            left -= len(self._data) - self._at
            self._base, self._at = self._base + len(self._data), 0
            self._data = self._pull(across=True)
            if not self._data:
                return count - left
        self._at += left
        return count

    def release(self) -> None:
        """Forget the bytes before the current offset, when that is worth the copy."""
        if self._at * 2 >= len(self._data):
            self._base += self._at
            self._data, self._at = self._data[self._at :], 0

    def scan(self) -> None:
        """Advance to what looks like the next record in this stream, or to its end."""
        while data := self.peek(CHUNK):
            if found := BOUNDARY.search(data):
                self._at += found.start()
                return
            self.skip(len(data) if len(data) < CHUNK else CHUNK - _TAIL)
            self.release()

    def held(self) -> bytes:
        """What could be inflated from the current offset on, before an error."""
        return self._data[self._at :]

    def end(self) -> int:
        """Position in the file to go on reading at; after an error, the next record start."""
        if self._member.end >= 0:
            return self._member.end
        return gzip_start(self._window, self._member.start + 1)

    def _peek(self, count: int, *, across: bool) -> bytes:
        have = len(self._data) - self._at
        if have < count:
            pieces = [self._data] if self._data else []
            try:
                while have < count and (piece := self._pull(across=across)):
                    pieces.append(piece)
                    have += len(piece)
            finally:
                self._data = b"".join(pieces)
        return self._data[self._at : self._at + count]

    def _pull(self, *, across: bool) -> bytes:
        piece = self._member.pull()
        if not piece and across and (member := self._continuation()):
            self._member = member
            piece = member.pull()
        return piece

    def _continuation(self) -> Member | None:
        """The next member, if it begins with no record."""
        if not is_member(self._window, self._member.end):
            return None
        member = Member(self._window, self._member.end)
        try:
            first = member.first()
        except BrokenStreamError:
            return None
        return member if first and not OPENING.match(first) else None


def take_header(stream: RecordStream) -> bytes:
    """The header at the current offset without its blank line; advances past that.

    Raises:
        BadHeaderError: there is no blank line within `MAX_HEADER` bytes.
    """
    for count in (_PROBE, MAX_HEADER):
        data = stream.peek(count)
        if found := HEADER_END.search(data):
            stream.skip(found.end())
            return data[: found.start()]
        if len(data) < count or BOUNDARY.search(data, 1):
            raise BadHeaderError("no blank line ends it")
    raise BadHeaderError(f"over {MAX_HEADER} bytes")


def closes(stream: RecordStream) -> bool:
    """Whether a record may end here: at the end, a terminator, or before the next record."""
    tail = stream.peek_within(_TAIL)
    rest = tail.lstrip(b"\r\n")
    return not rest or tail.startswith(TERMINATOR) or VERSION.match(rest) is not None


def plain_start(window: Window, position: int, stop: int | None = None) -> int:
    """The first record start in a plain file from `position` on, before `stop`.

    If there is none, `stop`, which is the end of the file if not given.
    """
    stop = window.size if stop is None else stop
    while (position := _version_line(window, position, stop)) < stop:
        if is_plain_start(window, position):
            return position
        position += 1
    return stop


def _version_line(window: Window, position: int, stop: int) -> int:
    while (position := window.find(b"WARC/", position, stop)) >= 0:
        if BOUNDARY.match(window.at(position, 2 * _TAIL)):
            return position
        position += 1
    return stop


def is_plain_start(window: Window, position: int) -> bool:
    """Whether a record begins at `position` of a plain file and ends as its length says."""
    if not BOUNDARY.match(window.at(position, 2 * _TAIL)):
        return False
    stream = PlainStream(window, position)
    try:
        length = parse_warc_header(take_header(stream)).length
    except BadHeaderError:
        return False
    return stream.skip(length) == length and closes(stream)


def gzip_start(window: Window, position: int, stop: int | None = None) -> int:
    """The first member that begins with a record, from `position` on, before `stop`.

    If there is none, `stop`, which is the end of the file if not given.
    """
    stop = window.size if stop is None else stop
    while (position := window.find(GZIP_MAGIC, position, stop)) >= 0:
        try:
            if OPENING.match(Member(window, position).first()):
                return position
        except BrokenStreamError:
            pass
        position += 1
    return stop
