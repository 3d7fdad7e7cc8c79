"""What Gopher's quality rules count (arXiv 2112.11446, A.1.1), in one pass.

Invariant: counts equal those datatrove 0.10.1 takes with `str.split` words and `str.splitlines`
lines; every ratio is left to the caller as numerator and denominator.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit, types

from corpus_builder.kernels.hashing import HASHES, Hashes
from corpus_builder.kernels.unicode import ALPHA, BREAK, PUNCTUATION, SPACE
from corpus_builder.kernels.utf8 import (
    BYTES,
    COUNTS,
    FLAGS,
    OFFSETS,
    Bytes,
    Counts,
    Flags,
    Offsets,
    decode,
)

# Columns of `gopher_counts`.
WORDS, SOLID_WORDS, SOLID_CHARS, ALPHA_WORDS, STOP_WORDS, HASH_SIGNS, ELLIPSES = range(7)
LINES, BULLET_LINES, ELLIPSIS_LINES = range(7, 10)
N_COLUMNS = 10

_LONGEST_STOP_WORD = 4


def pack_words(words: Sequence[str]) -> Hashes:
    """Words of at most 4 ASCII characters as integers, uint64[n], for `gopher_counts`.

    A leading 1 keeps words that begin with NUL apart from those without.
    """
    if any(len(word) > _LONGEST_STOP_WORD for word in words):
        raise ValueError(f"stop words of at most {_LONGEST_STOP_WORD} characters, not {words}")
    keys = [int.from_bytes(b"\1" + word.encode("ascii"), "big") for word in words]
    return np.array(keys, np.uint64)


@njit(types.int64(BYTES, types.int64, types.int64, HASHES), cache=True, nogil=True)
def _stop_bit(data: Bytes, start: int, end: int, stop_words: Hashes) -> int:
    """1 << index of the word, of at most 7 bytes, among the packed stop words; or 0."""
    key = np.uint64(1)
    for i in range(start, end):
        key = key << np.uint64(8) | np.uint64(data[i])
    for k in range(stop_words.size):
        if stop_words[k] == key:
            return 1 << k
    return 0


@njit(types.int64(types.int64), cache=True, nogil=True)
def _bit_count(bits: int) -> int:
    n = 0
    while bits:
        bits &= bits - 1
        n += 1
    return n


@njit(
    types.void(BYTES, types.int64, types.int64, FLAGS, HASHES, types.int64[::1]),
    cache=True,
    nogil=True,
)
def _count_words(
    data: Bytes, start: int, end: int, flags: Flags, stop_words: Hashes, out: Counts
) -> None:
    """Words; solid ones have a character outside PUNCTUATION, alpha ones a letter."""
    words = solid_words = solid_chars = alpha_words = found = 0
    at = start
    while at < end:
        word, chars, length = at, 0, 0
        any_bits, all_bits = 0, PUNCTUATION
        while at < end:
            point, length = decode(data, at, end)
            bits = flags[point]
            if bits & SPACE:
                break
            any_bits |= bits
            all_bits &= bits
            chars += 1
            at += length
        if chars:
            solid = all_bits == 0
            words += 1
            alpha_words += any_bits & ALPHA != 0
            solid_words += solid
            solid_chars += chars * solid
            if at - word <= _LONGEST_STOP_WORD:
                found |= _stop_bit(data, word, at, stop_words)
        if at < end:
            at += length
    out[WORDS], out[SOLID_WORDS], out[SOLID_CHARS] = words, solid_words, solid_chars
    out[ALPHA_WORDS], out[STOP_WORDS] = alpha_words, _bit_count(found)


@njit(types.void(BYTES, types.int64, types.int64, FLAGS, types.int64[::1]), cache=True, nogil=True)
def _count_lines(data: Bytes, start: int, end: int, flags: Flags, out: Counts) -> None:
    """Lines, those that open with a bullet, those that end in an ellipsis; hashes and ellipses."""
    lines = bullet_lines = ellipsis_lines = hash_signs = ellipses = dots = 0
    at = start
    while at < end:
        blank, trailing, bits = True, False, np.uint16(0)
        while at < end and bits & BREAK == 0:
            point, length = decode(data, at, end)
            bits = flags[point]
            at += length
            dots = dots + 1 if point == 46 else 0
            ellipses += point == 0x2026 or (dots > 0 and dots % 3 == 0)
            hash_signs += point == 35
            if bits & SPACE == 0:
                bullet_lines += blank and (point == 0x2022 or point == 45)
                blank = False
                trailing = dots >= 3 or point == 0x2026
        if data[at - 1] == 13 and at < end and data[at] == 10:
            at += 1
        lines += 1
        ellipsis_lines += trailing
    out[LINES], out[BULLET_LINES], out[ELLIPSIS_LINES] = lines, bullet_lines, ellipsis_lines
    out[HASH_SIGNS], out[ELLIPSES] = hash_signs, ellipses


@njit(types.void(BYTES, OFFSETS, FLAGS, HASHES, COUNTS), cache=True, nogil=True)
def gopher_counts(
    data: Bytes, offsets: Offsets, flags: Flags, stop_words: Hashes, out: Counts
) -> None:
    """Fill the zeroed `out` int64[rows, 10], columns as named in this module."""
    for row in range(offsets.size - 1):
        _count_words(data, offsets[row], offsets[row + 1], flags, stop_words, out[row])
        _count_lines(data, offsets[row], offsets[row + 1], flags, out[row])
