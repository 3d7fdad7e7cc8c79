"""JSON Lines, plain by byte range or compressed (gzip, zstd) from the start, as text rows.

Invariant: every line that starts in the split is exactly one `TextRow`, `Lost` or `blank_line`; no
line makes it crash or hold more than `max_record_bytes` of it.

Causes of `Lost`: `text_missing`, `text_null`, `text_not_string`, `text_empty` (white space alone
counts as empty), `score_not_number`, `bad_utf8` (lone surrogates in the text as well), `bad_json`,
`not_an_object`, `too_large`, `truncated`, `corrupt_gzip_member`, `corrupt_zstd_frame`.
"""

from __future__ import annotations

import codecs
import itertools
import json
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any

from corpus_builder.sources.gzip_members import BrokenStreamError
from corpus_builder.sources.lines import (
    Line,
    gzip_pieces,
    line_start,
    lines,
    plain_pieces,
    zstd_pieces,
)
from corpus_builder.sources.options import Columns
from corpus_builder.sources.records import (
    InputFile,
    Lost,
    Record,
    Skipped,
    Span,
    Split,
    TextRow,
)
from corpus_builder.sources.scores import score_of
from corpus_builder.sources.sniff import GZIP_MAGIC, ZSTD_MAGIC, describe
from corpus_builder.sources.window import Window, open_window
from corpus_builder.store.errors import SourceError

_TEXT_FORMS = ("JSON text", "plain text", "empty")


class _BadRowError(Exception):
    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause


def read_rows(split: Split, columns: Columns, *, max_record_bytes: int) -> Iterator[Record]:
    """Rows and losses of the lines that start in `split`, blank lines as `Skipped`, then a `Span`.

    In a plain file a row's position is its byte offset. A compressed file is read whole by its
    first split: rows share position 0, their ordinal is the line number from 0.

    Raises:
        SourceError: the file cannot be opened, is not the one that was listed, or holds one JSON
            array, or what is no JSON at all.
    """
    with open_window(split.file) as window:
        pieces = _inflated(window)
        if pieces is None:
            yield from _read_plain(window, split, columns, max_record_bytes)
            return
        if split.index:
            yield Span(window.size, window.size)
            return
        _, blank = yield from _records(pieces, columns, None, sys.maxsize, max_record_bytes)
        yield from [Skipped("blank_line", blank)] if blank else []
        yield Span(0, window.size)


def first_objects(file: InputFile, limit: int, max_record_bytes: int) -> Iterator[dict[str, Any]]:
    """The objects among the first `limit` lines of a file; what else there is, is passed over.

    Raises:
        SourceError: as `read_rows`.
    """
    with open_window(file) as window:
        pieces = _inflated(window)
        if pieces is None:
            _refuse_other_formats(window.at(0, 1024), file.url)
            pieces = plain_pieces(window, 0)
        with suppress(BrokenStreamError):
            for line in itertools.islice(lines(pieces, max_record_bytes), limit):
                with suppress(_BadRowError):
                    yield _parse(line, line.offset)


def _inflated(window: Window) -> Iterator[bytes] | None:
    """Pieces of a compressed file's content."""
    head = window.at(0, len(ZSTD_MAGIC))
    if head.startswith(GZIP_MAGIC):
        return gzip_pieces(window)
    return zstd_pieces(window) if head.startswith(ZSTD_MAGIC) else None


def _read_plain(window: Window, split: Split, columns: Columns, limit: int) -> Iterator[Record]:
    _refuse_other_formats(window.at(0, 1024), split.file.url)
    first = line_start(window, split.start)
    pieces = plain_pieces(window, first)
    stop, blank = yield from _records(pieces, columns, first, split.end, limit)
    yield from [Skipped("blank_line", blank)] if blank else []
    yield Span(first, window.size if stop is None else stop)


def _refuse_other_formats(head: bytes, url: str) -> None:
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    allowed = "one JSON object a line"
    if start.startswith(b"["):
        do = "convert it, for example with `jq -c '.[]'`"
        raise SourceError(url, "seems to be one JSON array", allowed=allowed, do=do)
    if (kind := describe(head)) not in _TEXT_FORMS:
        raise SourceError(url, f"is no JSON Lines, seems to be {kind}", allowed=allowed)


def _records(
    pieces: Iterator[bytes], columns: Columns, base: int | None, end: int, limit: int
) -> Generator[Record, None, tuple[int | None, int]]:
    """Rows and losses; returns where the first line past `end` starts, and the blank lines.

    `base` is the file offset of the first piece, None if the pieces are inflated.
    """
    blank = following = 0
    cut: Lost | None = None
    try:
        for line in lines(pieces, limit):
            following = line.number + 1
            position, number = (0, line.number) if base is None else (base + line.offset, 0)
            if position >= end:
                return position, blank
            if line.data is not None and (not line.data or line.data.isspace()):
                blank += 1
                continue
            try:
                yield _row(line, columns, position, number)
            except _BadRowError as reason:
                lost = Lost(position, number, "", reason.cause, str(reason))
                if line.complete or reason.cause not in ("bad_json", "bad_utf8"):
                    yield lost
                else:
                    cut = Lost(position, number, "", "truncated", "the last line is cut")
    except BrokenStreamError as error:
        cut = Lost(0, cut.ordinal if cut else following, "", error.cause, str(error))
    if cut is not None:
        yield cut
    return None, blank


def _row(line: Line, columns: Columns, position: int, ordinal: int) -> TextRow:
    row = _parse(line, position)
    text = row.get(columns.text)
    if columns.text not in row:
        raise _BadRowError("text_missing", f"no {columns.text}")
    if text is None:
        raise _BadRowError("text_null", f"{columns.text} is null")
    if not isinstance(text, str):
        raise _BadRowError("text_not_string", f"{columns.text} is a {type(text).__name__}")
    if not text or text.isspace():
        raise _BadRowError("text_empty", f"{columns.text} is empty")
    if not _encodable(text):
        raise _BadRowError("bad_utf8", f"{columns.text} has a lone surrogate")
    return TextRow(
        position=position,
        ordinal=ordinal,
        url=_field(row, columns.url or "url"),
        source_id=_field(row, columns.id or "id"),
        title=_field(row, columns.title or "title"),
        date=_field(row, columns.date or "date"),
        text=text,
        scores=tuple(_score(row, name) for name in columns.scores.values()),
    )


def _parse(line: Line, position: int) -> dict[str, Any]:
    if line.data is None:
        raise _BadRowError("too_large", "line over the limit")
    data = line.data if line.offset or position else line.data.removeprefix(codecs.BOM_UTF8)
    try:
        row = json.loads(data.decode())
    except UnicodeDecodeError as error:
        raise _BadRowError("bad_utf8", str(error)) from error
    except (ValueError, RecursionError) as error:
        raise _BadRowError("bad_json", str(error)) from error
    if not isinstance(row, dict):
        raise _BadRowError("not_an_object", f"is a {type(row).__name__}")
    return row


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _score(row: dict[str, Any], name: str) -> float | None:
    """A number as a score, null and absent as None.

    What else there is costs the record, as a text that is no string does: to call it null would
    let a rule set keep or drop it for want of a value.
    """
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float):
        raise _BadRowError("score_not_number", f"{name} is a {type(value).__name__}")
    try:
        return score_of(value)
    except OverflowError:
        raise _BadRowError("score_not_number", f"{name} is beyond a float64") from None


def _field(row: dict[str, Any], name: str) -> str:
    """A value as text: strings as they are, null and absent as "", others as JSON."""
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        return json.dumps(value)
    return value if _encodable(value) else value.encode(errors="replace").decode()
