"""C4's line rules and page counts (arXiv 1910.10683, 2.2) over UTF-8 bytes.

Invariant: `clean_lines` leaves the text that datatrove 0.10.1's C4QualityFilter leaves of any page
it keeps. A line for which C4 drops the page ("lorem ipsum", a curly bracket) is judged before
javascript and policy phrases, in C4's order, and stays, so that `c4_counts` sees it.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from corpus_builder.kernels.unicode import ALNUM, BREAK, CLOSE, DECIMAL, LOWER, SPACE, TERMINAL
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
    matches,
    matches_lower,
    next_line,
    skip_space,
    trim_space,
)

# Columns of `c4_counts`.
SENTENCES, LOREM_IPSUM, CURLY_BRACKET = range(3)
N_COLUMNS = 3

# What `clean_lines` counts, and what `_clean_line` answers when it rejects a line.
TOO_LONG_WORD, NO_TERMINAL_PUNCTUATION, TOO_FEW_WORDS, JAVASCRIPT, POLICY, CITATIONS = range(6)
N_CAUSES = 6
_KEPT = -1

# Settings of `clean_lines`, in order; 0 switches off.
(
    MAX_WORD_LENGTH,
    MIN_WORDS,
    TERMINAL_PUNCTUATION,
    DROP_JAVASCRIPT,
    DROP_POLICY,
    DROP_CITATIONS,
) = range(6)

_HAS_LOREM_IPSUM, _HAS_JAVASCRIPT, _HAS_POLICY = 1, 2, 4
_PHRASES = (
    b"lorem ipsum",
    b"javascript",
    b"terms of use",
    b"privacy policy",
    b"cookie policy",
    b"uses cookies",
    b"use of cookies",
    b"use cookies",
)
_KINDS = np.array([_HAS_LOREM_IPSUM, _HAS_JAVASCRIPT] + [_HAS_POLICY] * 6)
_PHRASE_BYTES = np.frombuffer(b"".join(_PHRASES), np.uint8)
_PHRASE_ENDS = np.cumsum([0] + [len(phrase) for phrase in _PHRASES])
_SHORTEST = min(map(len, _PHRASES))
# _OPENS[i, byte] has bit k if phrase k has that letter, in either case, at i: a cheap first look.
_OPENS = np.zeros((3, 256), np.uint8)
for _k, _phrase in enumerate(_PHRASES):
    for _i in range(3):
        _OPENS[_i, [_phrase[_i], _phrase[_i] - 32]] |= 1 << _k
_EDIT = np.frombuffer(b"[edit]", np.uint8)
_CITATION_NEEDED = np.frombuffer(b"[citation needed]", np.uint8)
# . ? ! " '
_ENDS_LINE = np.zeros(256, np.bool_)
_ENDS_LINE[[46, 63, 33, 34, 39]] = True

_OUT = types.uint8[::1]
_ROW = types.int64[::1]
_PAIR = types.UniTuple(types.int64, 2)
_TRIPLE = types.UniTuple(types.int64, 3)


@njit(types.int64(BYTES, types.int64, types.int64), cache=True, nogil=True)
def _find_phrases(data: Bytes, start: int, end: int) -> int:
    """Kinds of phrases in `text.lower()`, as bits."""
    found = 0
    for at in range(start, end - _SHORTEST + 1):
        candidates = _OPENS[0, data[at]] & _OPENS[1, data[at + 1]] & _OPENS[2, data[at + 2]]
        if candidates:
            for k in range(_KINDS.size):
                phrase = _PHRASE_BYTES[_PHRASE_ENDS[k] : _PHRASE_ENDS[k + 1]]
                if candidates >> k & 1 and matches_lower(data, at, end, phrase):
                    found |= _KINDS[k]
    return found


@njit(types.int64(BYTES, types.int64, types.int64, FLAGS), cache=True, nogil=True)
def _citation_end(data: Bytes, at: int, end: int, flags: Flags) -> int:
    r"""End of `\[\d*]`, `[edit]` or `[citation needed]` at the `[` at `at`; `at` if none."""
    i = at + 1
    while i < end:
        point, length = decode(data, i, end)
        if flags[point] & DECIMAL == 0:
            break
        i += length
    if i < end and data[i] == 93:
        return i + 1
    if matches(data, at, end, _EDIT):
        return at + _EDIT.size
    if matches(data, at, end, _CITATION_NEEDED):
        return at + _CITATION_NEEDED.size
    return at


@njit(_TRIPLE(BYTES, types.int64, types.int64, FLAGS), cache=True, nogil=True)
def _scan_line(data: Bytes, start: int, end: int, flags: Flags) -> tuple[int, int, int]:
    """End of the line that begins at `start`, its words, and characters of the longest."""
    words = chars = longest = 0
    at = start
    while at < end:
        point, length = decode(data, at, end)
        bits = flags[point]
        if bits & SPACE == 0:
            words += chars == 0
            chars += 1
            longest = max(longest, chars)
        elif bits & BREAK:
            break
        else:
            chars = 0
        at += length
    return at, words, longest


@njit(
    _PAIR(BYTES, types.int64, types.int64, FLAGS, types.boolean, _OUT, types.int64),
    cache=True,
    nogil=True,
)
def _copy(
    data: Bytes, start: int, end: int, flags: Flags, citations: bool, out: Bytes, size: int
) -> tuple[int, int]:
    """Append the line, without citations if asked; the new size and how many were left out."""
    removed = 0
    at = start
    while at < end:
        if citations and data[at] == 91:
            after = _citation_end(data, at, end, flags)
            if after > at:
                at = after
                removed += 1
                continue
        out[size] = data[at]
        size += 1
        at += 1
    return size, removed


@njit(
    types.int64(BYTES, types.int64, types.int64, types.int64, types.int64, _ROW),
    cache=True,
    nogil=True,
)
def _judge(line: Bytes, start: int, end: int, words: int, longest: int, options: Counts) -> int:
    """Cause to remove a trimmed line without its citations, or _KEPT; C4's order."""
    if options[MAX_WORD_LENGTH] and longest > options[MAX_WORD_LENGTH]:
        return TOO_LONG_WORD
    if options[TERMINAL_PUNCTUATION]:
        if start == end or not _ENDS_LINE[line[end - 1]]:
            return NO_TERMINAL_PUNCTUATION
        if end - start >= 3 and line[end - 1] == 46 and line[end - 2] == 46 and line[end - 3] == 46:
            return NO_TERMINAL_PUNCTUATION
    if words < options[MIN_WORDS]:
        return TOO_FEW_WORDS
    found = _find_phrases(line, start, end)
    if found & _HAS_LOREM_IPSUM:
        return _KEPT
    if options[DROP_JAVASCRIPT] and found & _HAS_JAVASCRIPT:
        return JAVASCRIPT
    if options[DROP_POLICY] and found & _HAS_POLICY:
        for at in range(start, end):
            if line[at] == 123:
                return _KEPT
        return POLICY
    return _KEPT


@njit(types.int64(_OUT, types.int64, types.int64, FLAGS), cache=True, nogil=True)
def _trim_row(out: Bytes, begin: int, size: int, flags: Flags) -> int:
    """Strip the last row in place; the new size."""
    first = skip_space(out, flags, begin, size)
    last = trim_space(out, flags, first, size)
    for k in range(last - first):
        out[begin + k] = out[first + k]
    return begin + int(last - first)


@njit(types.int64(BYTES, types.int64, types.int64, FLAGS), cache=True, nogil=True)
def _sentences(data: Bytes, start: int, end: int, flags: Flags) -> int:
    """Sentences of a text by a part of UAX #29 that needs no dictionary; none crosses lines.

    A sentence ends behind terminal marks and closing quotes or brackets, once a letter or digit
    follows: behind ASCII marks only across whitespace, behind full stops only if the letter is
    not lower-case. What is left of the line, if not blank, is a sentence.
    """
    sentences = 0
    blank = True
    ended, strong, wide, spaced = False, False, False, False
    at = start
    while at < end:
        point, length = decode(data, at, end)
        bits = flags[point]
        at += length
        if bits & BREAK:
            sentences += not blank
            blank, ended = True, False
        elif bits & SPACE:
            spaced = ended
        else:
            blank = False
            if bits & TERMINAL:
                if not ended or spaced:
                    strong = wide = spaced = False
                ended = True
                strong = strong or not (point == 46 or point == 0xFF0E or point == 0xFE52)
                wide = wide or point > 127
            elif ended and bits & ALNUM:
                sentences += (spaced or wide) and (strong or bits & LOWER == 0)
                ended = spaced = False
            elif not spaced and not wide and bits & CLOSE == 0:
                ended = False
    return sentences + (not blank)


@njit(types.void(BYTES, OFFSETS, FLAGS, _ROW, _OUT, _ROW, _ROW), cache=True, nogil=True)
def clean_lines(
    data: Bytes,
    offsets: Offsets,
    flags: Flags,
    options: Counts,
    out: Bytes,
    out_offsets: Offsets,
    removed: Counts,
) -> None:
    """Write the kept lines, joined by newlines and trimmed as a whole.

    Args:
        options: int64[6] in the order of this module's settings.
        out: uint8, as many bytes as the rows have.
        out_offsets: int64[rows + 1], `out_offsets[0]` is 0.
        removed: int64[6], added to: lines by cause, and citations (those in kept lines).
    """
    size = 0
    for row in range(offsets.size - 1):
        begin, kept = size, 0
        at, end = offsets[row], offsets[row + 1]
        while at < end:
            stop, words, longest = _scan_line(data, at, end, flags)
            first = skip_space(data, flags, at, stop)
            last = trim_space(data, flags, first, stop)
            at = next_line(data, stop, end)
            body = size
            if kept:
                out[size] = 10
                body += 1
            after, citations = _copy(
                data, first, last, flags, options[DROP_CITATIONS] != 0, out, body
            )
            cause = _judge(out, body, after, words, longest, options)
            if cause == _KEPT:
                removed[CITATIONS] += citations
                kept += 1
                size = after
            else:
                removed[cause] += 1
        size = _trim_row(out, begin, size, flags)
        out_offsets[row + 1] = size


@njit(types.void(BYTES, OFFSETS, FLAGS, COUNTS), cache=True, nogil=True)
def c4_counts(data: Bytes, offsets: Offsets, flags: Flags, out: Counts) -> None:
    """Fill the zeroed `out` int64[rows, 3]: sentences, and 1 where the page has either mark."""
    for row in range(offsets.size - 1):
        at, end = offsets[row], offsets[row + 1]
        out[row, LOREM_IPSUM] = _find_phrases(data, at, end) & _HAS_LOREM_IPSUM
        for k in range(at, end):
            if data[k] == 123:
                out[row, CURLY_BRACKET] = 1
                break
        out[row, SENTENCES] = _sentences(data, at, end, flags)
