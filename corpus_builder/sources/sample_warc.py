"""WARC 1.1 bytes for the quick-start sample: HTML responses, one gzip member a record.

Invariant: the bytes are a pure function of the arguments and of the pinned environment: no clock,
no random ids, no file names of this machine.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from dataclasses import dataclass

import pyarrow as pa

GZIP_LEVEL = 6
_UNKNOWN_SYSTEM = b"\xff"  # byte 9 of a gzip header tells the system that wrote it


@dataclass(frozen=True, slots=True)
class Response:
    """A page as a server gave it.

    Attributes:
        date: `YYYY-MM-DD`.
        charset: parameter of Content-Type, or "" for none.
    """

    url: str
    date: str
    charset: str
    body: bytes


def warc_file(name: str, description: str, responses: list[Response]) -> bytes:
    """A whole .warc.gz: a warcinfo record, then the responses in the order given."""
    info = f"software: corpus-builder\r\nformat: WARC File Format 1.1\r\ndescription: {description}"
    date = max((response.date for response in responses), default="1970-01-01")
    head = [f"WARC-Filename: {name}", "Content-Type: application/warc-fields"]
    members = [_member("warcinfo", name, date, head, f"{info}\r\n".encode())]
    members += [_response_member(response) for response in responses]
    return b"".join(members)


def _response_member(response: Response) -> bytes:
    charset = f"; charset={response.charset}" if response.charset else ""
    http = (
        f"HTTP/1.1 200 OK\r\nContent-Type: text/html{charset}\r\n"
        f"Content-Length: {len(response.body)}\r\n\r\n"
    ).encode()
    head = [
        f"WARC-Target-URI: {response.url}",
        f"WARC-Payload-Digest: {_digest(response.body)}",
        "Content-Type: application/http; msgtype=response",
    ]
    return _member("response", response.url, response.date, head, http + response.body)


def _member(kind: str, subject: str, date: str, head: list[str], block: bytes) -> bytes:
    """One record, compressed; its id is a UUID of its kind and subject."""
    record_id = uuid.uuid5(uuid.NAMESPACE_URL, f"{kind} {subject}")
    lines = [
        "WARC/1.1",
        f"WARC-Type: {kind}",
        f"WARC-Record-ID: <urn:uuid:{record_id}>",
        f"WARC-Date: {date}T00:00:00Z",
        *head,
        f"WARC-Block-Digest: {_digest(block)}",
        f"Content-Length: {len(block)}",
    ]
    record = "\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"
    # Arrow's zlib, not Python's: the latter's implementation varies between builds of Python.
    codec = pa.Codec("gzip", compression_level=GZIP_LEVEL)
    packed: bytes = codec.compress(record, asbytes=True)
    return packed[:9] + _UNKNOWN_SYSTEM + packed[10:]


def _digest(content: bytes) -> str:
    """SHA-1 in base 32, as WARC writers label records; readers check it, nobody trusts it."""
    digest = hashlib.sha1(content, usedforsecurity=False).digest()
    return f"sha1:{base64.b32encode(digest).decode()}"
