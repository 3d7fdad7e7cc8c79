"""Messages between a worker and its extraction child: length-prefixed fields, nothing executable.

Invariant: a message is the `u32` size of what follows, then each field as its `u32` length and
its bytes; what does not parse is refused, never guessed at.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

_U32 = struct.Struct("<I")
MAX_SIZE = 1 << 30  # bytes

READY, EXTRACTED, LOST, FAILED = b"ready", b"extracted", b"lost", b"failed"


class BadMessageError(Exception):
    """The stream holds no message: it ended inside one, or a size is absurd."""


def pack(*fields: bytes) -> bytes:
    """One message."""
    parts = [_U32.pack(sum(_U32.size + len(field) for field in fields))]
    for field in fields:
        parts += (_U32.pack(len(field)), field)
    return b"".join(parts)


def unpack(read: Callable[[int], bytes]) -> list[bytes] | None:
    """The fields of the next message; None at the end of the stream.

    Args:
        read: returns exactly the bytes asked for, fewer only at the end of the stream.
    """
    head = read(_U32.size)
    if not head:
        return None
    size = _number(head, 0)
    if size > MAX_SIZE:
        raise BadMessageError(f"a message of {size} bytes")
    data, fields, at = read(size), [], 0
    if len(data) < size:
        raise BadMessageError("the stream ended inside a message")
    while at < size:
        start = at + _U32.size
        at = start + _number(data, at)
        fields.append(data[start:at])
    if at > size:
        raise BadMessageError("a field longer than its message")
    return fields


def _number(data: bytes, at: int) -> int:
    if len(data) < at + _U32.size:
        raise BadMessageError("the stream ended inside a message")
    number: int = _U32.unpack_from(data, at)[0]
    return number
