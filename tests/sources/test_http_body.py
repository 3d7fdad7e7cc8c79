"""What an HTTP response must be to give a page, and how its body is decoded."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
import zstandard
from archives_of import PAGE, http
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_builder.sources.http_body import NotAPageError, dechunk, html_body

LIMIT = 1 << 20
HTML = "Content-Type: text/html"


def raw_deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush()


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:]),
    "GZip": lambda data: gzip.compress(data) + b"trailing bytes",
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
    "identity": bytes,
    "utf-8": bytes,
}


def cause(block: bytes, limit: int = LIMIT) -> str:
    with pytest.raises(NotAPageError) as caught:
        html_body(block, limit)
    return caught.value.cause


@pytest.mark.parametrize("name", ENCODERS)
def test_content_encodings_are_undone(name: str) -> None:
    block = http(ENCODERS[name](PAGE), HTML, f"Content-Encoding: {name}")
    assert html_body(block, LIMIT) == (PAGE, None)


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_a_body_decoded_by_the_writer_already_is_taken_as_it_is(name: str) -> None:
    block = http(PAGE, HTML, f"Content-Encoding: {name}")
    assert html_body(block, LIMIT)[0] == PAGE


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_a_cut_body_is_no_page(name: str) -> None:
    body = ENCODERS[name](PAGE)
    assert cause(http(body[:-5], HTML, f"Content-Encoding: {name}")) == "body_decode_error"


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_stops_at_the_limit(name: str) -> None:
    bomb = ENCODERS[name](b"<html>" + b" " * (8 * LIMIT))
    assert cause(http(bomb, HTML, f"Content-Encoding: {name}")) == "too_large"


def test_a_plain_body_over_the_limit_is_too_large() -> None:
    assert cause(http(PAGE), limit=10) == "too_large"


@settings(deadline=None)
@given(st.binary(), st.lists(st.integers(1, 50)))
def test_dechunking_undoes_chunking(body: bytes, sizes: list[int]) -> None:
    chunked, rest = b"", body
    for size in sizes:
        if chunk := rest[:size]:
            chunked += b"%X;name=value\r\n%b\r\n" % (len(chunk), chunk)
        rest = rest[size:]
    chunked += (b"%x\r\n%b\r\n" % (len(rest), rest) if rest else b"") + b"0\r\n\r\n"
    assert dechunk(chunked) == body


def test_chunks_that_are_none_are_left_alone() -> None:
    block = http(PAGE, HTML, "Transfer-Encoding: chunked")
    assert html_body(block, LIMIT)[0] == PAGE


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"5\r\n<html\r\nzz\r\n", "body_decode_error"),
        (b"5\r\n<html\r\n", "truncated"),
        (b"5\r\n<html\r\n50\r\n<p>cut", "truncated"),
    ],
)
def test_broken_chunks_are_lost(body: bytes, expected: str) -> None:
    assert cause(http(body, HTML, "Transfer-Encoding: chunked")) == expected


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("text/html; charset=UTF-8", PAGE, "utf-8"),
        ('TEXT/HTML;Charset="ISO-8859-1"', PAGE, "iso-8859-1"),
        ("application/xhtml+xml", PAGE, None),
        ("", PAGE, None),
        ("unknown/unknown", b"\xef\xbb\xbf <HTML>", None),
        ("text/html", "grün\0".encode("utf-16"), None),
        ("text/html", b"no tag at all", None),
    ],
)
def test_pages_and_their_charset(content_type: str, body: bytes, expected: str | None) -> None:
    block = http(body, f"Content-Type: {content_type}")
    assert html_body(block, LIMIT) == (body, expected)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("image/jpeg", PAGE),
        ("text/plain", PAGE),
        ("application/octet-stream", PAGE),
        ("", b"just words"),
        ("", b'{"json": "<html>"}'),
        ("text/html", b"%PDF-1.4"),
        ("text/html", b"\x89PNG\r\n"),
        ("text/html", bytes(range(256)) * 4),
    ],
)
def test_what_is_not_html(content_type: str, body: bytes) -> None:
    assert cause(http(body, f"Content-Type: {content_type}")) == "not_html"


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"", "http_broken"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", "http_broken"),
        (b"HTTP/1.1\r\n\r\nx", "http_broken"),
        (b"HTTP/1.1 abc\r\n\r\nx", "http_broken"),
        (b"HTTP/1.1 2000 OK\r\n\r\nx", "http_broken"),
        (b"<html>\n\n</html>", "http_broken"),
        (http(status="404 Not Found"), "http_status"),
        (http(status="206 Partial Content"), "http_status"),
        (http(b""), "empty_body"),
    ],
)
def test_responses_that_give_no_page(block: bytes, expected: str) -> None:
    assert cause(block) == expected


def test_bare_line_feeds_end_a_head_too() -> None:
    assert html_body(b"HTTP/1.0 200\nContent-Type: text/html\n\n" + PAGE, LIMIT)[0] == PAGE
