"""What FineWeb's custom rules count (arXiv 2406.17557, 3.6), one pass over the lines.

Invariant: a line is a non-blank piece between "\\n"s, untrimmed, as in datatrove 0.10.1; its
ending and length are those of the untrimmed piece.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from corpus_builder.kernels.hashing import INDICES, Indices, count_duplicates, slot_mask
from corpus_builder.kernels.unicode import SPACE, TERMINAL
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

# Columns of `fineweb_counts`.
LINES, ENDED_LINES, SHORT_LINES, DUPLICATE_CHARS, CHARS, NEWLINES, WORDS = range(7)
N_COLUMNS = 7


@njit(
    types.int64(
        BYTES, types.int64, types.int64, FLAGS, types.int64, INDICES, INDICES, types.int64[::1]
    ),
    cache=True,
    nogil=True,
)
def _scan_lines(
    data: Bytes,
    start: int,
    end: int,
    flags: Flags,
    short_length: int,
    starts: Indices,
    ends: Indices,
    out: Counts,
) -> int:
    """Record the non-blank lines and count their kinds, characters and words; how many lines."""
    lines = ended = short = chars = words = 0
    at = start
    while at < end:
        first, line_chars, blank, in_word, bits = at, 0, True, False, np.uint16(0)
        while at < end and data[at] != 10:
            point, length = decode(data, at, end)
            bits = flags[point]
            at += length
            line_chars += 1
            if bits & SPACE:
                in_word = False
            else:
                blank = False
                words += not in_word
                in_word = True
        if not blank:
            starts[lines], ends[lines] = first, at
            lines += 1
            ended += bits & TERMINAL != 0
            short += line_chars <= short_length
        chars += line_chars
        at += 1
    out[LINES], out[ENDED_LINES], out[SHORT_LINES] = lines, ended, short
    out[CHARS], out[WORDS] = chars, words
    return lines


@njit(types.void(BYTES, OFFSETS, FLAGS, types.int64, COUNTS), cache=True, nogil=True)
def fineweb_counts(
    data: Bytes, offsets: Offsets, flags: Flags, short_length: int, out: Counts
) -> None:
    """Fill the zeroed `out` int64[rows, 7], columns as named in this module.

    `CHARS` leaves out newlines; a line of at most `short_length` characters is short.
    """
    most = 1
    for row in range(offsets.size - 1):
        newlines = 0
        for at in range(offsets[row], offsets[row + 1]):
            newlines += data[at] == 10
        out[row, NEWLINES] = newlines
        most = max(most, newlines + 1)
    starts, ends, first = (
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(most, np.int64),
    )
    slots, hashes = np.zeros(slot_mask(most) + 1, np.int64), np.empty(most, np.uint64)
    for row in range(offsets.size - 1):
        start, end = offsets[row], offsets[row + 1]
        n = _scan_lines(data, start, end, flags, short_length, starts, ends, out[row])
        _, out[row, DUPLICATE_CHARS] = count_duplicates(
            data, starts, ends, n, slots, row + 1, hashes, first
        )
