"""Reading pages from a WARC: this package, FastWARC and (if installed) warcio, one core.

    python tests/bench/warc_read.py path/to/file.warc.gz

Each side hands over the same pages: status 200, an HTML type, with URL, record id, date, charset
and body. The peers do not check lengths, resynchronise, bound memory or count what they leave out.
Figures are CPU seconds, medians of `ROUNDS` alternating rounds on one pinned core.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType

from corpus_builder.sources.records import InputFile, Page, Split
from corpus_builder.sources.warc import read_pages

ROUNDS = 7
HTML = {"text/html", "application/xhtml+xml"}
Row = tuple[str, str, str, str | None, bytes]


def ours(path: str) -> Iterator[Row]:
    size = Path(path).stat().st_size
    split = Split(InputFile(Path(path).name, path, size, ""), 0, 1, 0, size)
    for record in read_pages(split, max_record_bytes=64 << 20, max_body_bytes=16 << 20):
        if isinstance(record, Page):
            yield record.url, record.source_id, record.date, record.http_charset, record.body


def fastwarc(path: str) -> Iterator[Row]:
    with Path(path).open("rb") as file:
        for record in ArchiveIterator(
            file, record_types=WarcRecordType.response, auto_decode="all"
        ):
            http = record.http_headers
            if http is None or http.status_code != 200 or record.http_content_type not in HTML:
                continue
            headers = record.headers
            url, date = headers.get("WARC-Target-URI"), headers.get("WARC-Date")
            yield url, record.record_id, date, record.http_charset, record.reader.read()


def warcio(path: str) -> Iterator[Row]:
    from warcio.archiveiterator import ArchiveIterator as WarcioIterator

    with Path(path).open("rb") as file:
        for record in WarcioIterator(file):
            if record.rec_type != "response" or record.http_headers.get_statuscode() != "200":
                continue
            kind, _, rest = record.http_headers.get_header("Content-Type", "").partition(";")
            if kind not in HTML:
                continue
            get = record.rec_headers.get_header
            charset = rest.partition("charset=")[2].lower() or None
            body = record.content_stream().read()
            yield get("WARC-Target-URI"), get("WARC-Record-ID"), get("WARC-Date"), charset, body


def measure(read: Callable[[str], Iterator[Row]], path: str) -> tuple[float, int, str]:
    """CPU seconds, pages, and a digest of URLs and bodies (taken outside the clock)."""
    begin = time.process_time()
    rows = list(read(path))
    seconds = time.process_time() - begin
    digest = hashlib.sha256(b"".join(row[0].encode() + row[4] for row in rows)).hexdigest()
    return seconds, len(rows), digest[:12]


def main() -> None:
    path = sys.argv[1]
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    readers = {"FastWARC": fastwarc, "ours": ours}
    try:
        import warcio as _

        readers["warcio"] = warcio
    except ImportError:
        print("warcio is not installed: left out")
    results: dict[str, list[tuple[float, int, str]]] = {name: [] for name in readers}
    for _round in range(ROUNDS):
        for name, read in readers.items():
            results[name].append(measure(read, path))
    peer = statistics.median(row[0] for row in results["FastWARC"])
    for name, rows in results.items():
        seconds = statistics.median(row[0] for row in rows)
        _, pages, digest = rows[0]
        print(
            f"{name:9} {seconds:6.3f} s {pages:6} pages {pages / seconds:8,.0f} pages/s "
            f"{peer / seconds:5.2f}x FastWARC  content {digest}"
        )


if __name__ == "__main__":
    main()
