"""What readers hand to the first stage of a corpus: pages, texts, and what became neither.

Invariant: every record a reader meets is exactly one of `Page`, `TextRow`, `Lost` (worth a row in
the lost table) or one unit of a `Skipped` (counted by cause only), so that the sums always close.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input file as listed.

    Attributes:
        name: path relative to the fixed (wildcard-free) root of its source's patterns, with `/`;
            with `size` it is the file's identity, wherever the file lies.
        url: what fsspec opens.
        size: bytes as stored (compressed).
        etag: what tells a changed file of the same size (ETag, or modification time in ns);
            never part of any output.
    """

    name: str
    url: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Split:
    """A piece of an input file: bytes `start <= p < end` of the stored file.

    A reader resyncs to the first record that starts in its range and reads through the last one
    that starts there. Parquet turns the range into row groups by proportion.
    """

    file: InputFile
    index: int
    count: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Page:
    """An HTML response with status 200, its body decoded from transfer and content encoding only.

    Attributes:
        position: byte offset of the record in the stored file.
        ordinal: 0, or the number of the record among those that share `position` (files that are
            one gzip member have no other address).
        http_charset: charset parameter of the HTTP Content-Type header, if any, lower-cased.
        date: WARC-Date as written ("" if absent).
    """

    position: int
    ordinal: int
    url: str
    source_id: str
    date: str
    http_charset: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class TextRow:
    """A document that is text already (JSONL, Parquet).

    Attributes:
        scores: what `Columns.scores` names, in that order; None for no value.
    """

    position: int
    ordinal: int
    url: str
    source_id: str
    title: str
    date: str
    text: str
    scores: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """A record that became no document, with the cause (a snake_case word) and a detail."""

    position: int
    ordinal: int
    url: str
    cause: str
    detail: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """`count` records that were never candidates (WARC requests, metadata), by cause."""

    cause: str
    count: int


@dataclass(frozen=True, slots=True)
class Span:
    """Where a range reader really began and ended; the last thing it yields, exactly once.

    Attributes:
        first: position of the first record at or past the split's start.
        next: position of the first record at or past the split's end. Both are the file's end
            where there is no such record: its size, in Parquet its number of rows. Range i's
            `next` must be range i+1's `first`; the stage that reads checks that. A false record
            start (a WARC kept inside a record) shows there; the range is right when read again
            with the preceding range's `next` for its `start`.
    """

    first: int
    next: int


Record = Page | TextRow | Lost | Skipped | Span
