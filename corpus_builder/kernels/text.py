"""Sizes of documents: characters, words, lines, bytes.

Invariant: row i of `text_counts` is `len(t), len(t.split()), len(t.splitlines()), len(bytes)`.
"""

from __future__ import annotations

from numba import njit, types

from corpus_builder.kernels.unicode import BREAK, SPACE
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

N_COLUMNS = 4


@njit(types.void(BYTES, OFFSETS, FLAGS, COUNTS), cache=True, nogil=True)
def text_counts(data: Bytes, offsets: Offsets, flags: Flags, out: Counts) -> None:
    """Fill `out` int64[rows, 4] with n_chars, n_words, n_lines, n_bytes."""
    for row in range(offsets.size - 1):
        start, end = offsets[row], offsets[row + 1]
        chars = words = lines = 0
        in_word, in_line = False, False
        at = start
        while at < end:
            point, length = decode(data, at, end)
            at += length
            chars += 1
            bits = flags[point]
            if bits & SPACE:
                in_word = False
            else:
                words += not in_word
                in_word = True
            lines += not in_line
            in_line = True
            if bits & BREAK:
                in_line = False
                if point == 13 and at < end and data[at] == 10:
                    at += 1
                    chars += 1
        out[row, 0], out[row, 1], out[row, 2], out[row, 3] = chars, words, lines, end - start
