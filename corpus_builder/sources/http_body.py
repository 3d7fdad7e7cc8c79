"""The HTML body of an HTTP response as archived: decoded, bounded, or refused with a cause.

Invariant: `html_body` returns the body freed of transfer and content encoding alone, or raises
`NotAPageError`; it never holds more than the block, the limit and one piece. Encodings that are
declared but were undone by the archive's writer are recognised; a body that is cut is no page.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable, Iterator

import zstandard
from fastwarc.stream_io import BrotliReader

from corpus_builder.sources.sniff import BINARY, GZIP_MAGIC, HTML_PAGE, describe, is_binary
from corpus_builder.sources.warc_header import HEADER_END, MAX_HEADER, fields, text

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
UNTYPED = frozenset({"", "unknown/unknown", "application/unknown", "*/*"})
"""Types that say nothing (WHATWG MIME Sniffing, section 7.1): the body decides."""

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)", re.I)
_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.I)
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
_PIECE = 1 << 16
_ZSTD_INPUT = 1 << 10


class NotAPageError(Exception):
    """A response that gives no page.

    Attributes:
        cause: `http_broken`, `http_status`, `not_html`, `body_decode_error`, `truncated`,
            `too_large` or `empty_body`.
    """

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause


def html_body(block: bytes, limit: int) -> tuple[bytes, str | None]:
    """Body and charset parameter of a response block with status 200 and HTML in it.

    Raises:
        NotAPageError: it is no HTTP response, has another status or type, or cannot be decoded
            whole within `limit` bytes.
    """
    head, body = _split(block)
    status = _STATUS.match(head)
    if status is None:
        raise NotAPageError("http_broken", f"begins with {text(head[:40])!r}")
    if status[1] != b"200":
        raise NotAPageError("http_status", text(status[1]))
    found = fields(head)
    content_type = text(found.get(b"content-type", b""))
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in HTML_TYPES and "/" in media_type and media_type not in UNTYPED:
        raise NotAPageError("not_html", media_type)
    body = _decode(body, found, limit)
    _require_html(body, media_type)
    charset = _CHARSET.search(content_type)
    return body, charset[1].lower() if charset else None


def _split(block: bytes) -> tuple[bytes, bytes]:
    end = HEADER_END.search(block, 0, MAX_HEADER)
    if end is None:
        what = "no blank line ends the HTTP head" if block else "the block is empty"
        raise NotAPageError("http_broken", what)
    return block[: end.start()], block[end.end() :]


def _require_html(body: bytes, media_type: str) -> None:
    """Trust a declared HTML type unless the bytes are evidently something else."""
    head = body[:1024]
    if not head:
        raise NotAPageError("empty_body", media_type or "no type")
    if media_type in HTML_TYPES:
        if head.startswith(BINARY) or is_binary(head):
            raise NotAPageError(
                "not_html", f"{media_type} is declared, seems to be {describe(head)}"
            )
    elif (kind := describe(head)) != HTML_PAGE:
        raise NotAPageError("not_html", f"no type, seems to be {kind}")


def _decode(body: bytes, found: dict[bytes, bytes], limit: int) -> bytes:
    if b"chunked" in found.get(b"transfer-encoding", b"").lower():
        body = dechunk(body)
    names = text(found.get(b"content-encoding", b"")).lower().split(",")
    for name in reversed([name.strip() for name in names]):
        if decoder := _DECODERS.get(name):
            body = _decompress(body, name, decoder, limit)
    if len(body) > limit:
        raise NotAPageError("too_large", f"body of {len(body)} bytes")
    return body


def dechunk(body: bytes) -> bytes:
    """Undo chunked transfer coding (RFC 9112, section 7.1); a body not in chunks is returned as is.

    Raises:
        NotAPageError: it begins with a chunk and goes on with none, or ends before the last chunk.
    """
    chunks: list[bytes] = []
    at = 0
    while size := _CHUNK_SIZE.match(body, at):
        length = int(size[1], 16)
        if length == 0:
            return b"".join(chunks)
        at = size.end() + length
        if at > len(body):
            break
        chunks.append(body[size.end() : at])
        at += 2 if body.startswith(b"\r\n", at) else body.startswith(b"\n", at)
    if not chunks and not (size and at > len(body)):
        return body
    if at >= len(body):
        raise NotAPageError("truncated", "the body ends before its last chunk")
    raise NotAPageError("body_decode_error", f"no chunk at byte {at} of the body")


def _decompress(
    body: bytes, name: str, decoder: Callable[[bytes], Iterator[bytes]], limit: int
) -> bytes:
    """All that `decoder` yields, if that is at most `limit` bytes."""
    pieces: list[bytes] = []
    total = 0
    try:
        for piece in decoder(body):
            pieces.append(piece)
            total += len(piece)
            if total > limit:
                raise NotAPageError("too_large", f"{name} body of over {limit} bytes")
    except (zlib.error, zstandard.ZstdError, OSError) as error:
        if describe(body[:1024]) == HTML_PAGE:
            return body
        raise NotAPageError("body_decode_error", f"{name}: {error}") from error
    return b"".join(pieces)


def _gunzip(body: bytes) -> Iterator[bytes]:
    """Members one after the other; what follows the last one is ignored, as browsers do."""
    while True:
        inflater = zlib.decompressobj(31)
        yield from _inflate(inflater, body)
        body = inflater.unused_data
        if not body.startswith(GZIP_MAGIC):
            return


def _undeflate(body: bytes) -> Iterator[bytes]:
    """`deflate` is zlib data (RFC 9110, section 8.4.1.2), and raw deflate from some servers."""
    try:
        zlib.decompressobj().decompress(body[:_PIECE], 1)
        window_bits = 15
    except zlib.error:
        window_bits = -15
    yield from _inflate(zlib.decompressobj(window_bits), body)


def _inflate(inflater: zlib._Decompress, body: bytes) -> Iterator[bytes]:
    source = body
    while not inflater.eof:
        piece = inflater.decompress(source, _PIECE)
        source = inflater.unconsumed_tail
        if piece:
            yield piece
        elif not source and not inflater.eof:
            raise zlib.error("the data ends early")


def _unbrotli(body: bytes) -> Iterator[bytes]:
    reader = BrotliReader(io.BytesIO(body))
    while piece := reader.read(_PIECE):
        yield piece


def _unzstd(body: bytes) -> Iterator[bytes]:
    """Fed a little at a time: a frame can hold 128 KiB in 4 bytes."""
    inflater = zstandard.ZstdDecompressor().decompressobj()
    for start in range(0, len(body), _ZSTD_INPUT):
        yield inflater.decompress(body[start : start + _ZSTD_INPUT])
        if inflater.eof:
            return
    raise zstandard.ZstdError("the data ends early")


_DECODERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _undeflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
"""Other names (`identity`, `utf-8`, `none`) are no encodings: the body stays as it is."""
