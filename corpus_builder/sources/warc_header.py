"""WARC record headers and HTTP heads: where they end, and the few fields a corpus needs.

Invariant: any bytes parse to fields or raise `BadHeaderError`; CRLF, bare LF, folded lines, Latin-1
bytes and any letter case are read alike (ISO 28500, sections 4 and 5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_HEADER = 1 << 16
"""Bytes after which a header (WARC or HTTP) is given up: twice what FastWARC reads."""

VERSION = re.compile(rb"(?i:WARC)/[01]\.\d{1,2}[ \t]*\r?\n")
"""The first line of a record."""

BOUNDARY = re.compile(rb"WARC/[01]\.\d{1,2}[ \t]*\r?\n(?=(?i:WARC-|Content-)[A-Za-z-]+[ \t]*:)")
"""The first line of a record, found by scanning: followed by a field that records begin with."""

OPENING = re.compile(rb"[\r\n]*" + VERSION.pattern)
"""What a gzip member that can be read on its own begins with."""

TERMINATOR = b"\r\n\r\n"
"""What follows the block of a record."""

HEADER_END = re.compile(rb"\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_NUMBER = re.compile(rb"\d{1,18}")


class BadHeaderError(Exception):
    """A header that says too little to read the record it opens."""


@dataclass(frozen=True, slots=True)
class WarcHeader:
    """The fields of a record that reading it needs; absent text fields are ""."""

    kind: str
    length: int
    url: str
    record_id: str
    date: str
    segmented: bool


def fields(head: bytes) -> dict[bytes, bytes]:
    """Lower-cased name -> value of every `name: value` line after the first; the first one wins."""
    if b"\n " in head or b"\n\t" in head:
        head = _FOLD.sub(b" ", head)
    found: dict[bytes, bytes] = {}
    for line in head.split(b"\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def parse_warc_header(head: bytes) -> WarcHeader:
    """Parse a header, from its version line to before the blank line.

    Raises:
        BadHeaderError: `Content-Length` is missing or no number, there is no `WARC-Type`, or
            another record begins before the blank line.
    """
    if BOUNDARY.search(head, 1):
        raise BadHeaderError("another record begins in it")
    found = fields(head)
    length = found.get(b"content-length")
    if length is None:
        raise BadHeaderError("no Content-Length")
    if not _NUMBER.fullmatch(length):
        raise BadHeaderError(f"Content-Length is {text(length[:40])!r}")
    kind = text(found.get(b"warc-type", b"")).lower()
    if not kind:
        raise BadHeaderError("no WARC-Type")
    return WarcHeader(
        kind=kind,
        length=int(length),
        url=target_uri(found),
        record_id=text(found.get(b"warc-record-id", b"")),
        date=text(found.get(b"warc-date", b"")),
        segmented=b"warc-segment-number" in found,
    )


def target_uri(found: dict[bytes, bytes]) -> str:
    """`WARC-Target-URI` without the angle brackets that some writers put around it."""
    uri = text(found.get(b"warc-target-uri", b""))
    return uri[1:-1] if uri.startswith("<") and uri.endswith(">") else uri


def text(value: bytes) -> str:
    """UTF-8 if it is that, else Latin-1 (which any bytes are)."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
