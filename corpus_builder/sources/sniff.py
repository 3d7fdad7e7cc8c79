"""What a file seems to be, from its first bytes: for messages, and to trust content over names."""

from __future__ import annotations

import re

GZIP_MAGIC = b"\x1f\x8b\x08"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

_SIGNATURES = (
    (GZIP_MAGIC, "gzip data"),
    (ZSTD_MAGIC, "zstd data"),
    (b"\x04\x22\x4d\x18", "lz4 data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ\0", "xz data"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"%PDF-", "a PDF"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"filedesc:", "an ARC file"),
    (b"WARC/", "a WARC file"),
)
HTML_PAGE = "an HTML page"
BINARY = (b"%PDF-", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"PK\x03\x04", GZIP_MAGIC)
"""First bytes that no text has, of what servers often call text."""

_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|title)\b", re.I)
_CONTROLS = bytes(b for b in range(1, 32) if b not in b"\t\n\f\r\x1b")


def describe(head: bytes) -> str:
    """A guess at what starts with these bytes, as a noun phrase ("an ARC file")."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if not head:
        return "empty"
    if _HTML.match(head):
        return HTML_PAGE
    if head.lstrip()[:1] in (b"{", b"["):
        return "JSON text"
    return "binary data" if is_binary(head) else "plain text"


def is_binary(head: bytes) -> bool:
    """Whether more than 5 % of the first 1,024 bytes are control characters no text has.

    NUL does not count (broken pages hold some, UTF-16 is full of it), nor does ESC (ISO-2022).
    Random bytes are at 10 %.
    """
    head = head[:1024]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return False
    return (len(head) - len(head.translate(None, _CONTROLS))) * 20 > len(head)
