"""Lines of a text file, plain or compressed, bounded in memory.

Invariant: every line comes out exactly once, with where it starts; one over the limit comes out
without its bytes, which are never held. When the compressed data breaks, the lines before that come
out first, the cut one included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import zstandard

from corpus_builder.sources.gzip_members import BrokenStreamError, Member, is_member
from corpus_builder.sources.window import Window

PIECE = 1 << 18
_ZSTD_INPUT = 1 << 9
_ZSTD_WINDOW = 1 << 31


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its newline.

    Attributes:
        offset: of its first byte, in the stream of pieces.
        number: from 0.
        data: its bytes, or None if they are over the limit.
        complete: whether a newline ended it.
    """

    offset: int
    number: int
    data: bytes | None
    complete: bool


def line_start(window: Window, position: int) -> int:
    """The first line start at or past `position`; the file size if there is none."""
    if position <= 0:
        return 0
    newline = window.find(b"\n", position - 1, window.size)
    return window.size if newline < 0 else newline + 1


def lines(pieces: Iterator[bytes], limit: int) -> Iterator[Line]:
    """Lines of at most `limit` bytes; what is held is at most that and one piece.

    Raises:
        BrokenStreamError: from `pieces`, after the line it cuts.
    """
    held: list[bytes] = []
    offset = number = size = 0
    broken: BrokenStreamError | None = None
    try:
        for piece in pieces:
            *ended, last = piece.split(b"\n")
            for part in ended:
                size += len(part)
                held.append(part)
                yield Line(offset, number, b"".join(held) if size <= limit else None, True)
                offset, number, size = offset + size + 1, number + 1, 0
                held.clear()
            size += len(last)
            held.append(last)
            if size > limit:
                held.clear()
    except BrokenStreamError as error:
        broken = error
    if size:
        yield Line(offset, number, b"".join(held) if size <= limit else None, False)
    if broken is not None:
        raise broken


def plain_pieces(window: Window, start: int) -> Iterator[bytes]:
    """The file from `start` to its end."""
    while piece := window.at(start, PIECE):
        yield piece
        start += len(piece)


def gzip_pieces(window: Window) -> Iterator[bytes]:
    """All members one after the other; zero padding after the last is ignored, as gzip does.

    Raises:
        BrokenStreamError: a member is cut or corrupt, or followed by what is none.
    """
    start = 0
    while is_member(window, start):
        member = Member(window, start)
        while piece := member.pull():
            yield piece
        start = member.end
    if any(piece.strip(b"\0") for piece in plain_pieces(window, start)):
        raise BrokenStreamError("corrupt_gzip_member", f"no gzip member at byte {start}")


def zstd_pieces(window: Window) -> Iterator[bytes]:
    """All frames one after the other, windows up to 2 GiB (`zstd --long=31`).

    Fed 512 bytes at a time: a frame can hold 128 KiB in 4, so a piece is at most 16 MiB.

    Raises:
        BrokenStreamError: a frame is cut or corrupt.
    """
    start = 0
    while start < window.size:
        frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
        while not frame.eof:
            source = window.at(start, _ZSTD_INPUT)
            if not source:
                raise BrokenStreamError("truncated", "the file ends inside a zstd frame")
            start += len(source)
            try:
                piece = frame.decompress(source)
            except zstandard.ZstdError as error:
                raise BrokenStreamError("corrupt_zstd_frame", str(error)) from error
            if piece:
                yield piece
        start -= len(frame.unused_data)
