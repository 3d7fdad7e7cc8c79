"""Builders of small archives, and readings of a file by any number of splits."""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from corpus_builder.sources.options import ReadOptions
from corpus_builder.sources.reading import read
from corpus_builder.sources.records import InputFile, Lost, Page, Skipped, Span, Split, TextRow

PAGE = b"<!doctype html><title>t</title><p>Some text.</p>"
OPTIONS = ReadOptions(max_record_bytes=8 << 20, max_body_bytes=4 << 20)


@dataclass
class Reading:
    """All that a file gave: records in order, counts, spans."""

    records: list[Page | TextRow | Lost] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    spans: list[Span] = field(default_factory=list)

    @property
    def pages(self) -> list[Page]:
        return [record for record in self.records if isinstance(record, Page)]

    @property
    def rows(self) -> list[TextRow]:
        return [record for record in self.records if isinstance(record, TextRow)]

    @property
    def lost(self) -> Counter[str]:
        return Counter(record.cause for record in self.records if isinstance(record, Lost))

    def chains(self) -> bool:
        return all(a.next == b.first for a, b in zip(self.spans, self.spans[1:], strict=False))

    def content(self) -> list[tuple[int, int, str]]:
        """(position, ordinal, hash of body, text or cause) of every record."""
        return [(r.position, r.ordinal, _digest(r)) for r in self.records]


def _digest(record: Page | TextRow | Lost) -> str:
    if isinstance(record, Lost):
        return record.cause
    data = record.body if isinstance(record, Page) else record.text.encode()
    return hashlib.sha1(data).hexdigest()


def input_file(path: Path | str) -> InputFile:
    path = Path(path)
    return InputFile(path.name, str(path), path.stat().st_size, "")


def ranges(file: InputFile, count: int) -> list[Split]:
    edges = [file.size * i // count for i in range(count + 1)]
    return [Split(file, i, count, edges[i], edges[i + 1]) for i in range(count)]


def read_file(
    file: InputFile | Path, kind: str, splits: int = 1, options: ReadOptions = OPTIONS
) -> Reading:
    file = file if isinstance(file, InputFile) else input_file(file)
    return read_splits(ranges(file, splits), kind, options)


def read_splits(splits: list[Split], kind: str, options: ReadOptions = OPTIONS) -> Reading:
    reading = Reading()
    for split in splits:
        records = list(read(split, kind, options))
        assert [r for r in records if isinstance(r, Span)] == records[-1:], "one Span, the last"
        for record in records:
            if isinstance(record, Span):
                reading.spans.append(record)
            elif isinstance(record, Skipped):
                reading.skipped[record.cause] += record.count
            else:
                reading.records.append(record)
    return reading


def http(body: bytes = PAGE, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *(headers or ("Content-Type: text/html",)), "", ""]
    return "\r\n".join(lines).encode() + body


def record(
    block: bytes, number: int = 0, *, kind: str = "response", length: int | str | None = None
) -> bytes:
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Record-ID: <urn:test:{number}>",
        "WARC-Date: 2024-01-01T00:00:00Z",
        f"WARC-Target-URI: https://site.example/{number}",
        f"Content-Length: {len(block) if length is None else length}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + block + b"\r\n\r\n"


def member(data: bytes, level: int = 6) -> bytes:
    return gzip.compress(data, level, mtime=0)
