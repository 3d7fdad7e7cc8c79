"""What Gopher's repetition rules count (arXiv 2112.11446, Table A1), exactly.

Invariant: counts equal those of datatrove 0.10.1 with `str.split` words. Its 2- to 4-grams are
equal when their words are; its 5- to 10-grams when their words *joined without spaces* are, so
those are compared as slices of the squeezed text (the row without whitespace).
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from corpus_builder.kernels.hashing import (
    HASHES,
    INDICES,
    SLOTS,
    Hashes,
    Indices,
    count_duplicates,
    equal_bytes,
    group_keys,
    mix,
    slot_mask,
)
from corpus_builder.kernels.unicode import SPACE
from corpus_builder.kernels.utf8 import (
    BYTES,
    COUNTS,
    FLAGS,
    OFFSETS,
    Bytes,
    Counts,
    Flags,
    Offsets,
    count_chars,
    decode,
    skip_space,
    trim_space,
)

# Columns of `repetition_counts`; TOP is the 2-gram's, DUPLICATE the 5-gram's, the others follow.
CHARS, LINES, DUPLICATE_LINES, DUPLICATE_LINE_CHARS = range(4)
PARAGRAPHS, DUPLICATE_PARAGRAPHS, DUPLICATE_PARAGRAPH_CHARS = range(4, 7)
TOP, DUPLICATE = 7, 10
N_COLUMNS = 16

# Rows of the int64 scratch: line spans, groups of lines or words, n-gram groups and their counts,
# and, at each word's start, characters of words and bytes of squeezed text before it.
_STARTS, _ENDS, _GROUP, _GRAM, _COUNT, _WORD_CHARS, _SQUEEZED = range(7)
# Rows of the uint64 scratch: hashes or keys; rolling hash before each word; _BASE ** -bytes there.
_HASH, _ROLLING, _INVERSE = range(3)

_BASE = np.uint64(0x9E3779B97F4A7C15)
_BASE_INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))

_INTS = types.int64[:, ::1]
_KEYS = types.uint64[:, ::1]
_COUNTS_ROW = types.int64[::1]


@njit(
    types.int64(BYTES, types.int64, types.int64, types.int64, INDICES, INDICES),
    cache=True,
    nogil=True,
)
def _split(data: Bytes, start: int, end: int, least: int, starts: Indices, ends: Indices) -> int:
    """Record the pieces between runs of at least `least` newlines, empty ones too; how many."""
    n, piece, at = 0, start, start
    while at < end:
        run = at
        while at < end and data[at] == 10:
            at += 1
        if at - run >= least:
            starts[n], ends[n] = piece, run
            n += 1
            piece = at
        while at < end and data[at] != 10:
            at += 1
    starts[n], ends[n] = piece, end
    return n + 1


@njit(
    types.void(
        BYTES, types.int64, types.int64, FLAGS, _INTS, HASHES, SLOTS, types.int64, _COUNTS_ROW
    ),
    cache=True,
    nogil=True,
)
def _count_pieces(
    data: Bytes,
    start: int,
    end: int,
    flags: Flags,
    ints: Indices,
    hashes: Hashes,
    slots: Indices,
    generation: int,
    out: Counts,
) -> None:
    """Lines of the text, paragraphs of the trimmed text, and those that repeat an earlier one."""
    starts, ends, group = ints[_STARTS], ints[_ENDS], ints[_GROUP]
    out[LINES] = _split(data, start, end, 1, starts, ends)
    out[DUPLICATE_LINES], out[DUPLICATE_LINE_CHARS] = count_duplicates(
        data, starts, ends, out[LINES], slots, generation, hashes, group
    )
    start = skip_space(data, flags, start, end)
    end = trim_space(data, flags, start, end)
    out[PARAGRAPHS] = _split(data, start, end, 2, starts, ends)
    out[DUPLICATE_PARAGRAPHS], out[DUPLICATE_PARAGRAPH_CHARS] = count_duplicates(
        data, starts, ends, out[PARAGRAPHS], slots, generation + 1, hashes, group
    )


@njit(
    types.int64(BYTES, types.int64, types.int64, FLAGS, types.uint8[::1], _INTS, _KEYS),
    cache=True,
    nogil=True,
)
def _squeeze(
    data: Bytes,
    start: int,
    end: int,
    flags: Flags,
    squeezed: Bytes,
    ints: Indices,
    keys: Hashes,
) -> int:
    """Copy the text without whitespace and record what lies before each word; how many words.

    Rolling hash before byte k of the squeezed text: sum of (byte + 1) * base ** position, mod
    2**64; a slice's hash is a difference times an inverse power.
    """
    before, position = ints[_WORD_CHARS], ints[_SQUEEZED]
    rolling, inverses = keys[_ROLLING], keys[_INVERSE]
    n = chars = size = 0
    total, power, inverse = np.uint64(0), np.uint64(1), np.uint64(1)
    in_word = False
    at = start
    while at < end:
        point, length = decode(data, at, end)
        if flags[point] & SPACE:
            in_word = False
            at += length
            continue
        if not in_word:
            before[n], position[n] = chars, size
            rolling[n], inverses[n] = total, inverse
            n += 1
            in_word = True
        chars += 1
        for k in range(at, at + length):
            squeezed[size] = data[k]
            size += 1
            total += (np.uint64(data[k]) + np.uint64(1)) * power
            power *= _BASE
            inverse *= _BASE_INVERSE
        at += length
    before[n], position[n], rolling[n] = chars, size, total
    return n


@njit(inline="always")
def _seen_before(
    squeezed: Bytes,
    at: int,
    size: int,
    mask: int,
    position: Indices,
    hashes: Hashes,
    rolling: Hashes,
    inverses: Hashes,
    slots: Indices,
    generation: int,
) -> int:
    """First of the entered n-grams that equals the one at word `at`; else enter it, answer `at`.

    Inlined into its callers, for a call costs as much as its work.
    """
    value = mix((rolling[at + size] - rolling[at]) * inverses[at])
    hashes[at] = value
    slot = np.int64(value & np.uint64(mask))
    while slots[slot] >> 32 == generation:
        other = slots[slot] & 0xFFFFFFFF
        if hashes[other] == value and equal_bytes(
            squeezed, position[at], position[at + size], position[other], position[other + size]
        ):
            return int(other)
        slot = (slot + 1) & mask
    slots[slot] = generation << 32 | at
    return at


@njit(
    types.void(BYTES, types.int64, _INTS, _KEYS, SLOTS, types.int64, _COUNTS_ROW),
    cache=True,
    nogil=True,
)
def _count_top(
    squeezed: Bytes,
    n: int,
    ints: Indices,
    keys: Hashes,
    slots: Indices,
    generation: int,
    out: Counts,
) -> None:
    """Characters of the most frequent n-gram times its count; of equals, the first counts.

    The group of an n-gram is that of (its first n - 1 words, its last word): no text is compared.
    """
    words, gram, count, before = ints[_GROUP], ints[_GRAM], ints[_COUNT], ints[_WORD_CHARS]
    pairs, rolling, inverses = keys[_HASH], keys[_ROLLING], keys[_INVERSE]
    position, mask = ints[_SQUEEZED], slot_mask(n)
    for k in range(n):
        words[k] = _seen_before(
            squeezed, k, 1, mask, position, pairs, rolling, inverses, slots, generation
        )
    gram[:n] = words[:n]
    for size in range(2, 5):
        n_grams = n - size + 1
        for k in range(n_grams):
            pairs[k] = np.uint64(gram[k]) << np.uint64(32) | np.uint64(words[k + size - 1])
        group_keys(pairs, n_grams, slots, generation + size - 1, gram)
        best = -1
        for k in range(n_grams):
            count[k] = 0
            count[gram[k]] += 1
        for k in range(n_grams):
            if best < 0 or count[k] > count[best]:
                best = k
        if best >= 0:
            chars = before[best + size] - before[best] + size - 1
            out[TOP + size - 2] = chars * count[best]


@njit(
    types.int64(BYTES, types.int64, types.int64, _INTS, _KEYS, SLOTS, types.int64),
    cache=True,
    nogil=True,
)
def _repeated_chars(
    squeezed: Bytes,
    n: int,
    size: int,
    ints: Indices,
    keys: Hashes,
    slots: Indices,
    generation: int,
) -> int:
    """Characters of words in n-grams seen before, left to right, no word counted twice."""
    before, position, mask = ints[_WORD_CHARS], ints[_SQUEEZED], slot_mask(n)
    hashes, rolling, inverses = keys[_HASH], keys[_ROLLING], keys[_INVERSE]
    chars = at = 0
    while at + size <= n:
        first = _seen_before(
            squeezed, at, size, mask, position, hashes, rolling, inverses, slots, generation
        )
        if first != at:
            chars += before[at + size] - before[at]
            at += size
        else:
            at += 1
    return chars


@njit(types.void(BYTES, OFFSETS, FLAGS, COUNTS), cache=True, nogil=True)
def repetition_counts(data: Bytes, offsets: Offsets, flags: Flags, out: Counts) -> None:
    """Fill the zeroed `out` int64[rows, 16], columns as named in this module."""
    longest = 0
    for row in range(offsets.size - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    most = longest // 2 + 2  # words, lines or paragraphs: something separates any two
    ints, keys = np.empty((7, most), np.int64), np.empty((3, most), np.uint64)
    slots, squeezed = np.zeros(slot_mask(most) + 1, np.int64), np.empty(longest, np.uint8)
    for row in range(offsets.size - 1):
        start, end = offsets[row], offsets[row + 1]
        # 11 groupings a row, each a generation of `slots`
        generation = 16 * row + 1
        counts = out[row]
        counts[CHARS] = count_chars(data, start, end)
        if start == end:
            continue
        _count_pieces(data, start, end, flags, ints, keys[_HASH], slots, generation, counts)
        n = _squeeze(data, start, end, flags, squeezed, ints, keys)
        _count_top(squeezed, n, ints, keys, slots, generation + 2, counts)
        for k in range(6):
            counts[DUPLICATE + k] = _repeated_chars(
                squeezed, n, 5 + k, ints, keys, slots, generation + 6 + k
            )
