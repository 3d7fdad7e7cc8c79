"""WARC files, gzip per record, plain, or one gzip member for all, as pages and what became none.

Invariant: any range of any file ends in a `Span` after exactly one `Page`, `Lost` or `Skipped` unit
for every record that starts in it; no bytes make it crash, hang or hold more than a record of
`max_record_bytes`.

Causes of `Lost`: `http_status`, `not_html`, `http_broken`, `empty_body`, `body_decode_error`,
`too_large`, `truncated` (file or body ends early), `bad_length` (Content-Length contradicts what
follows), `bad_record_header`, `corrupt_gzip_member`, `garbage` (bytes that are no record),
`segmented` (a record cut in parts by the writer). Causes of `Skipped`: `warc_<type>` for records
that are no responses (`warc_other` for types ISO 28500 does not name), `warc_dns`,
`empty_gzip_member`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from corpus_builder.sources.gzip_members import BrokenStreamError, Member, is_member
from corpus_builder.sources.http_body import NotAPageError, html_body
from corpus_builder.sources.records import Lost, Page, Record, Skipped, Span, Split
from corpus_builder.sources.sniff import GZIP_MAGIC, describe
from corpus_builder.sources.warc_header import (
    HEADER_END,
    MAX_HEADER,
    OPENING,
    TERMINATOR,
    VERSION,
    BadHeaderError,
    WarcHeader,
    fields,
    parse_warc_header,
    target_uri,
    text,
)
from corpus_builder.sources.warc_stream import (
    GzipStream,
    PlainStream,
    RecordStream,
    closes,
    gzip_start,
    is_plain_start,
    plain_start,
    take_header,
)
from corpus_builder.sources.window import CHUNK, Window, open_window
from corpus_builder.store.errors import SourceError

OTHER_TYPES = frozenset(
    {"warcinfo", "request", "metadata", "revisit", "resource", "conversion", "continuation"}
)


def read_pages(split: Split, *, max_record_bytes: int, max_body_bytes: int) -> Iterator[Record]:
    """Pages and losses of the records that start in `split`, in file order, then `Skipped`, `Span`.

    A record's block may have `max_record_bytes`, a decoded body `max_body_bytes`. A declared type
    is believed unless the bytes are evidently binary; without one, what begins like an HTML
    document is a page.

    Raises:
        SourceError: the file cannot be opened, is not the one that was listed, or is no WARC.
    """
    with open_window(split.file) as window:
        reader = _RangeReader(window, split, max_record_bytes, max_body_bytes)
        yield from reader.gzip() if is_gzip_warc(window, split.file.url) else reader.plain()
        yield from (Skipped(cause, n) for cause, n in sorted(reader.skipped.items()))
        yield Span(reader.first, reader.position)


def is_gzip_warc(window: Window, url: str) -> bool:
    """Whether the file is compressed.

    Raises:
        SourceError: it neither begins like a WARC, nor has a record in its first MiB.
    """
    head = window.at(0, 1024)
    compressed = head.startswith(GZIP_MAGIC)
    if compressed:
        try:
            head = Member(window, 0).first()
        except BrokenStreamError:
            return True
    head = head.lstrip(b"\r\n")
    if b"WARC".startswith(head[:4].upper()):
        return compressed
    searched = min(window.size, CHUNK)
    if gzip_start(window, 1, searched) < searched:
        return True
    if not compressed and plain_start(window, 1, searched) < searched:
        return False
    packed = " (compressed)" if compressed else ""
    do = "give WARC files, plain or gzip; convert others, for example with `warcio recompress`"
    raise SourceError(url, f"is no WARC, seems to be {describe(head)}{packed}", do=do)


class _RangeReader:
    """One pass over a split: where it stands, the URL of the record there, what it only counted."""

    def __init__(self, window: Window, split: Split, max_record: int, max_body: int) -> None:
        self.window = window
        self.split = split
        self.max_record = max_record
        self.max_body = max_body
        self.skipped: Counter[str] = Counter()
        self.first = self.position = 0
        self.url = ""

    def plain(self) -> Iterator[Record]:
        """Records of a plain file, one after the other."""
        window = self.window
        if self.split.index:
            self.first = self.position = plain_start(window, self.split.start)
        stream = PlainStream(window, self.position)
        while (position := _after_newlines(stream)) < window.size:
            self.position = position
            if position >= self.split.end and is_plain_start(window, position):
                return
            if (record := self._record(stream, position, 0)) is not None:
                yield record
        self.position = window.size

    def gzip(self) -> Iterator[Record]:
        """Records of a gzip file, member by member."""
        window = self.window
        if self.split.index:
            self.first = self.position = gzip_start(window, self.split.start)
        while self.position < window.size:
            member = Member(window, self.position)
            try:
                first = member.first() if is_member(window, self.position) else b"\0"
            except BrokenStreamError as error:
                yield self._gap(error.cause, str(error))
                continue
            if not first:
                self.skipped["empty_gzip_member"] += 1
                self.position = member.end
            elif not OPENING.match(first):
                yield self._gap("garbage", "bytes that begin no record")
            elif self.position >= self.split.end:
                return
            elif lone := _lone_record(member, first):
                if (record := self._fate(*lone, self.position, 0)) is not None:
                    yield record
                self.position = member.end
            else:
                stream = GzipStream(window, member)
                yield from self._group(stream)
                self.position = stream.end()

    def _gap(self, cause: str, detail: str) -> Lost:
        """Move on to the next record start; one loss for all that lies before it."""
        start = self.position
        self.position = gzip_start(self.window, start + 1)
        return Lost(start, 0, "", cause, f"{detail}; {self.position - start} bytes passed over")

    def _group(self, stream: GzipStream) -> Iterator[Record]:
        """All records of one stream; a checksum error costs the record it is found in."""
        ordinal = 0
        try:
            while True:
                _after_newlines(stream)
                if not stream.peek_within(1):
                    return
                stream.release()
                if (record := self._record(stream, self.position, ordinal)) is not None:
                    yield record
                ordinal += 1
        except BrokenStreamError as error:
            lines = stream.held().rpartition(b"\n")[0]
            url = self.url or target_uri(fields(lines))
            yield Lost(self.position, ordinal, url, error.cause, str(error))

    def _record(self, stream: RecordStream, position: int, ordinal: int) -> Record | None:
        """The record at the stream's offset, which moves past it; None if only counted."""
        self.url = ""
        start = stream.tell()
        line = stream.peek(64)
        try:
            if not VERSION.match(line):
                raise BadHeaderError(f"begins with {text(line[:16])!r}")
            header = parse_warc_header(take_header(stream))
        except BadHeaderError as error:
            stream.seek(start + 1)
            stream.scan()
            cause = "bad_record_header" if line.startswith(b"WARC") else "garbage"
            return Lost(position, ordinal, "", cause, str(error))
        self.url = header.url
        return self._whole(stream, header, position, ordinal)

    def _whole(
        self, stream: RecordStream, header: WarcHeader, position: int, ordinal: int
    ) -> Record | None:
        """The record whose block lies at the stream's offset, if it ends as its header says."""
        start = stream.tell()
        wanted = header.kind == "response" and header.length <= self.max_record
        block = stream.peek(header.length) if wanted else b""
        held = stream.skip(header.length)
        if held < header.length or not closes(stream):
            stream.seek(start)
            stream.scan()
            cause = "bad_length" if stream.peek(1) or held == header.length else "truncated"
            detail = f"Content-Length {header.length} does not lead to the end of the record"
            return Lost(position, ordinal, header.url, cause, detail)
        return self._fate(header, block, position, ordinal)

    def _fate(self, header: WarcHeader, block: bytes, position: int, ordinal: int) -> Record | None:
        """What becomes of a record that is read; `block` counts only if it may be a page."""
        if header.kind != "response":
            kind = header.kind if header.kind in OTHER_TYPES else "other"
            self.skipped[f"warc_{kind}"] += 1
            return None
        if header.url[:4].lower() == "dns:":
            self.skipped["warc_dns"] += 1
            return None
        return self._page(header, block, position, ordinal)

    def _page(self, header: WarcHeader, block: bytes, position: int, ordinal: int) -> Record:
        url = header.url
        if header.length > self.max_record:
            return Lost(position, ordinal, url, "too_large", f"record of {header.length} bytes")
        if not url:
            return Lost(position, ordinal, url, "bad_record_header", "no WARC-Target-URI")
        if header.segmented:
            return Lost(position, ordinal, url, "segmented", "the record is cut in segments")
        try:
            body, charset = html_body(block, self.max_body)
        except NotAPageError as reason:
            return Lost(position, ordinal, url, reason.cause, str(reason))
        return Page(position, ordinal, url, header.record_id, header.date, charset, body)


def _lone_record(member: Member, whole: bytes) -> tuple[WarcHeader, bytes] | None:
    """Header and block of a member known to be whole that holds one record, neither more nor less.

    A shortcut past `GzipStream` for nearly all members there are; reads the same.
    """
    blank = HEADER_END.search(whole, 0, MAX_HEADER)
    if member.end < 0 or blank is None or not VERSION.match(whole):
        return None
    try:
        header = parse_warc_header(whole[: blank.start()])
    except BadHeaderError:
        return None
    stop = blank.end() + header.length
    if whole[stop:] != TERMINATOR:
        return None
    return header, whole[blank.end() : stop] if header.kind == "response" else b""


def _after_newlines(stream: RecordStream) -> int:
    """Skip line ends between records, in this member; the offset reached."""
    while tail := stream.peek_within(64):
        rest = len(tail.lstrip(b"\r\n"))
        stream.skip(len(tail) - rest)
        if rest:
            break
    return stream.tell()
