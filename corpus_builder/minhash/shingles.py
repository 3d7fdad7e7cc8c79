r"""Shingles of documents: the set of 64-bit hashes of n consecutive words.

Invariant: two documents' hash sets have the Jaccard similarity of their shingle sets, where
words are `re.findall(r"\w+", text.lower())` (see `words`) and a document of fewer than n words
has one shingle of all its words. Equal shingles always have equal hashes; unequal ones collide
with probability about 2**-64. `HASH_VERSION` names the function: hashes lie on disk.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpus_builder.kernels.buffers import text_buffers
from corpus_builder.minhash.words import BREAK, HASH_VERSION, fold_table

__all__ = ["HASH_VERSION", "shingle_hashes", "word_hashes"]

UInt64s = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]

_BYTES_IN = nb.types.Array(nb.uint8, 1, "C", readonly=True)
_INTS_IN = nb.types.Array(nb.int64, 1, "C", readonly=True)
_FOLD_IN = nb.types.Array(nb.uint32, 1, "C", readonly=True)
_HASHES = nb.uint64[::1]
_INTS = nb.int64[::1]

_WORD_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHINGLE_MULTIPLIER = np.uint64(0x00000100000001B3)
_BREAK = np.uint32(BREAK)
_CODE_POINT = np.uint32(BREAK - 1)


@njit(nb.uint64(nb.uint64), cache=True)
def _fmix64(h: np.uint64) -> np.uint64:
    """The 64-bit finaliser of MurmurHash3 (Appleby, 2011): a bijection."""
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xFF51AFD7ED558CCD)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xC4CEB9FE1A85EC53)
    return h ^ (h >> np.uint64(33))


@njit(nb.uint64(nb.uint64, nb.uint64), cache=True)
def _absorb(h: np.uint64, block: np.uint64) -> np.uint64:
    h = (h ^ block) * _WORD_MULTIPLIER
    return h ^ (h >> np.uint64(32))


@njit(nb.uint64(nb.uint64), cache=True)
def _three_bytes(char: np.uint64) -> np.uint64:
    """A code point as three bytes of 7 bits, the top bit of each set."""
    high = (char >> np.uint64(14)) << np.uint64(16)
    middle = ((char >> np.uint64(7)) & np.uint64(0x7F)) << np.uint64(8)
    return high | middle | (char & np.uint64(0x7F)) | np.uint64(0x808080)


@njit(nb.types.UniTuple(nb.int64, 2)(_BYTES_IN, nb.int64, nb.int64), cache=True)
def _decode(data: npt.NDArray[np.uint8], at: int, end: int) -> tuple[int, int]:
    """Code point at a non-ASCII byte, and where the next starts; malformed bytes give U+FFFD."""
    lead = int(data[at])
    extra = 1 if 0xC2 <= lead < 0xE0 else 2 if 0xE0 <= lead < 0xF0 else 3
    if lead < 0xC2 or lead > 0xF4 or at + extra >= end:
        return 0xFFFD, at + 1
    code = lead & (0x3F >> extra)
    for k in range(1, extra + 1):
        byte = int(data[at + k])
        if byte & 0xC0 != 0x80:
            return 0xFFFD, at + 1
        code = (code << 6) | (byte & 0x3F)
    return (code if code < 0x110000 else 0xFFFD), at + extra + 1


@njit(
    nb.int64(_BYTES_IN, nb.int64, nb.int64, _FOLD_IN, _HASHES, nb.int64),
    cache=True,
)
def _hash_words(
    data: npt.NDArray[np.uint8],
    at: int,
    end: int,
    fold: npt.NDArray[np.uint32],
    out: UInt64s,
    first: int,
) -> int:
    """Write the hash of each word of data[at:end] to out[first:]; return how many.

    A word is absorbed in blocks of up to 8 bytes, each folded character being one byte (ASCII)
    or three of 7 bits with the top bit set; a block never splits a character. No byte is 0, so
    blocks tell words apart, and words of one block are hashed injectively.
    """
    count = first
    h, block, room = np.uint64(0), np.uint64(0), 8
    while at < end:
        byte = data[at]
        if byte < 0x80:
            code, at = int(byte), at + 1
        else:
            code, at = _decode(data, at, end)
        folded = fold[code]
        if folded != 0:
            char = np.uint64(folded & _CODE_POINT)
            if char < np.uint64(0x80):
                if room == 0:
                    h, block, room = _absorb(h, block), np.uint64(0), 8
                block, room = (block << np.uint64(8)) | char, room - 1
            else:
                if room < 3:
                    h, block, room = _absorb(h, block), np.uint64(0), 8
                block, room = (block << np.uint64(24)) | _three_bytes(char), room - 3
        if (folded == 0 or folded & _BREAK != 0) and room < 8:
            out[count] = _absorb(h, block)
            count += 1
            h, block, room = np.uint64(0), np.uint64(0), 8
    if room < 8:
        out[count] = _absorb(h, block)
        count += 1
    return count - first


@njit(nb.int64(_HASHES, nb.int64, nb.int64, nb.int64), cache=True)
def _roll(hashes: UInt64s, first: int, words: int, ngram: int) -> int:
    """Turn word hashes into shingle hashes in place; return how many.

    A shingle is fmix64 of the polynomial of its word hashes mod 2**64, rolled along the text.
    """
    if words == 0:
        return 0
    size = min(words, ngram)
    top = np.uint64(1)
    for _ in range(size):
        top *= _SHINGLE_MULTIPLIER
    rolling, leaving = np.uint64(0), np.uint64(0)
    for j in range(words):
        rolling = rolling * _SHINGLE_MULTIPLIER + hashes[first + j]
        if j >= size:
            rolling -= top * leaving
        if j >= size - 1:
            start = first + j - size + 1
            leaving = hashes[start]
            hashes[start] = _fmix64(rolling)
    return words - size + 1


@njit(
    nb.void(_BYTES_IN, _INTS_IN, _FOLD_IN, nb.int64, _HASHES, _INTS),
    cache=True,
)
def _hash_all(
    data: npt.NDArray[np.uint8],
    bounds: Int64s,
    fold: npt.NDArray[np.uint32],
    ngram: int,
    out: UInt64s,
    offsets: Int64s,
) -> None:
    """Words (ngram 0) or shingles of every document, one behind the other, into `out`."""
    offsets[0] = 0
    for d in range(len(bounds) - 1):
        first = offsets[d]
        words = _hash_words(data, bounds[d], bounds[d + 1], fold, out, first)
        offsets[d + 1] = first + (words if ngram == 0 else _roll(out, first, words, ngram))


@njit(nb.int64(_HASHES, _INTS), cache=True)
def _squeeze(hashes: UInt64s, offsets: Int64s) -> int:
    """Drop repeats within each document's sorted hashes, in place; return what is left."""
    written, start = 0, 0
    for d in range(len(offsets) - 1):
        end = offsets[d + 1]
        for j in range(start, end):
            if j == start or hashes[j] != hashes[j - 1]:
                hashes[written] = hashes[j]
                written += 1
        start = end
        offsets[d + 1] = written
    return written


def _hash_texts(texts: pa.LargeStringArray, ngram: int) -> tuple[UInt64s, Int64s]:
    data, bounds = text_buffers(texts)
    # Two bytes a word: its own and a separator's, or one that ends it itself (BREAK); only the
    # last word of a document may have one. Room never touched costs addresses, not memory.
    room = (int(bounds[-1]) - int(bounds[0])) // 2 + len(texts)
    out = np.empty(room, np.uint64)
    offsets = np.empty(len(texts) + 1, np.int64)
    _hash_all(data, bounds, fold_table(), ngram, out, offsets)
    return out, offsets


def word_hashes(texts: pa.LargeStringArray) -> tuple[UInt64s, Int64s]:
    """Hash of every word of every document, in reading order.

    Returns:
        hashes uint64[w] and offsets int64[n + 1]: document d has hashes[offsets[d]:offsets[d+1]].
    """
    out, offsets = _hash_texts(texts, 0)
    return out[: offsets[-1]].copy(), offsets


def shingle_hashes(texts: pa.LargeStringArray, ngram: int) -> tuple[UInt64s, Int64s]:
    """The shingle set of every document, as sorted unique hashes.

    Args:
        texts: n documents without nulls; the scratch is about 4 bytes per byte of text.
        ngram: words a shingle, at least 1.

    Returns:
        hashes uint64[s] and offsets int64[n + 1]: document d has hashes[offsets[d]:offsets[d+1]],
        ascending. A document of 0 words has none.
    """
    if ngram < 1:
        raise ValueError(f"ngram is {ngram}; a shingle has at least one word")
    out, offsets = _hash_texts(texts, ngram)
    for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        out[start:end].sort()
    return out[: _squeeze(out, offsets)].copy(), offsets
