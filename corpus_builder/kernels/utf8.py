"""Decoding, trimming and matching inside UTF-8 bytes: what every text kernel is made of.

Invariant: nothing reads at or beyond `end`. A byte that starts no complete sequence counts as one
character, U+FFFD, of one byte (or of what is left of the row).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from corpus_builder.kernels.unicode import ALNUM, BREAK, SPACE

# Arrow's memory is read-only; arrays of ours, which are not, convert.
BYTES = types.Array(types.uint8, 1, "C", readonly=True)
OFFSETS = types.Array(types.int64, 1, "C", readonly=True)
FLAGS = types.Array(types.uint16, 1, "C", readonly=True)
COUNTS = types.int64[:, ::1]

Bytes = NDArray[np.uint8]
Offsets = NDArray[np.int64]
Flags = NDArray[np.uint16]
Counts = NDArray[np.int64]


@njit(types.UniTuple(types.int64, 2)(BYTES, types.int64, types.int64), cache=True, nogil=True)
def decode(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Code point at byte `at` and its length in bytes."""
    lead: Any = np.int64(data[at])
    if lead < 0x80:
        return lead, 1
    if lead < 0xC0:
        return 0xFFFD, 1
    length = 2 if lead < 0xE0 else (3 if lead < 0xF0 else 4)
    if at + length > end:
        return 0xFFFD, end - at
    point = lead & (0x7F >> length)
    for k in range(1, length):
        point = point << 6 | (np.int64(data[at + k]) & 0x3F)
    return point, length


@njit(types.int64(BYTES, types.int64, types.int64), cache=True, nogil=True)
def step_back(data: Bytes, start: int, at: int) -> int:
    """Where the character that ends before byte `at > start` begins."""
    at -= 1
    while at > start and data[at] & 0xC0 == 0x80:
        at -= 1
    return at


@njit(types.int64(BYTES, types.int64, types.int64), cache=True, nogil=True)
def count_chars(data: Bytes, start: int, end: int) -> int:
    """`len` of the text in valid UTF-8 bytes `[start, end)`."""
    chars = 0
    for i in range(start, end):
        chars += data[i] & 0xC0 != 0x80
    return chars


@njit(types.int64(BYTES, FLAGS, types.int64, types.int64), cache=True, nogil=True)
def skip_space(data: Bytes, flags: Flags, start: int, end: int) -> int:
    """Where `lstrip` would cut."""
    while start < end:
        point, length = decode(data, start, end)
        if not flags[point] & SPACE:
            break
        start += length
    return start


@njit(types.int64(BYTES, FLAGS, types.int64, types.int64), cache=True, nogil=True)
def trim_space(data: Bytes, flags: Flags, start: int, end: int) -> int:
    """Where `rstrip` would cut."""
    while end > start:
        at = step_back(data, start, end)
        point, _ = decode(data, at, end)
        if not flags[point] & SPACE:
            break
        end = at
    return end


@njit(types.int64(BYTES, FLAGS, types.int64, types.int64), cache=True, nogil=True)
def line_end(data: Bytes, flags: Flags, start: int, end: int) -> int:
    """End of the line of `str.splitlines` that begins at `start`, before what breaks it."""
    while start < end:
        point, length = decode(data, start, end)
        if flags[point] & BREAK:
            break
        start += length
    return start


@njit(types.int64(BYTES, types.int64, types.int64), cache=True, nogil=True)
def next_line(data: Bytes, at: int, end: int) -> int:
    """Where the line after the one that ends at `at` begins."""
    if at >= end:
        return end
    if data[at] == 13 and at + 1 < end and data[at + 1] == 10:
        return at + 2
    _, length = decode(data, at, end)
    return at + int(length)


@njit(types.boolean(BYTES, types.int64, types.int64, BYTES), cache=True, nogil=True)
def matches(data: Bytes, at: int, end: int, needle: Bytes) -> bool:
    """Whether the bytes at `at` are `needle`."""
    if at + needle.size > end:
        return False
    k = 0
    while k < needle.size and data[at + k] == needle[k]:
        k += 1
    return k == needle.size


@njit(types.boolean(BYTES, types.int64, types.int64, BYTES), cache=True, nogil=True)
def matches_lower(data: Bytes, at: int, end: int, needle: Bytes) -> bool:
    """Whether `text.lower()` has `needle` (lower-case ASCII) at `at`.

    Outside ASCII, only the Kelvin sign becomes an ASCII character when lowered; U+0130 becomes
    "i" and a combining dot, which matters only to a needle that ends in "i".
    """
    for k in range(needle.size):
        if at >= end:
            return False
        byte = np.int64(data[at])
        if 65 <= byte <= 90:
            byte += 32
        if byte != needle[k]:
            if needle[k] != 107 or at + 3 > end:
                return False
            if not (data[at] == 0xE2 and data[at + 1] == 0x84 and data[at + 2] == 0xAA):
                return False
            at += 2
        at += 1
    return True


@njit(types.boolean(BYTES, types.int64, types.int64, BYTES), cache=True, nogil=True)
def contains_lower(data: Bytes, start: int, end: int, needle: Bytes) -> bool:
    """`needle in text.lower()` for a lower-case ASCII needle that begins with a letter but k."""
    for at in range(start, end - needle.size + 1):
        if data[at] | 0x20 == needle[0] and matches_lower(data, at, end, needle):
            return True
    return False


@njit(types.boolean(BYTES, FLAGS, types.int64, types.int64), cache=True, nogil=True)
def is_word_char(data: Bytes, flags: Flags, at: int, end: int) -> bool:
    r"""Whether `\w` matches at `at`; false at `end`."""
    if at >= end:
        return False
    point, _ = decode(data, at, end)
    return bool(point == 95 or flags[point] & ALNUM != 0)
