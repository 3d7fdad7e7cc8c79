r"""Words are those of `re.findall(r"\w+", text.lower())`, for all of Unicode."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus_builder.minhash import words
from corpus_builder.minhash.shingles import word_hashes

MASK = (1 << 64) - 1
CODE_POINTS = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]


def words_by_regex(text: str) -> list[str]:
    """The definition, with both sigmas as one."""
    return re.findall(r"\w+", text.lower().replace("ς", "σ"))


def hash_of(word: str) -> int:
    """The documented word hash, in Python's integers."""
    blocks = [b""]
    for char in word:
        code = ord(char)
        wide = bytes([0x80 | code >> 14, 0x80 | (code >> 7) & 0x7F, 0x80 | code & 0x7F])
        part = wide if code >= 0x80 else bytes([code])
        if len(blocks[-1]) + len(part) > 8:
            blocks.append(b"")
        blocks[-1] += part
    h = 0
    for block in blocks:
        h = (h ^ int.from_bytes(block, "big")) * 0x9E3779B97F4A7C15 & MASK
        h ^= h >> 32
    return h


def kernel_words(texts: list[str]) -> list[list[int]]:
    hashes, offsets = word_hashes(pa.array(texts, pa.large_string()))
    return [part.tolist() for part in np.split(hashes, offsets[1:-1])]


TRICKY = st.sampled_from(
    "aAzZ09_-. \n\tßẞıİIiσςΣǅſKÅéÉ\u0301\u0307\u200d٣४²½Ⅷⓐ中文あ한𝔸𐐀𐐨😀\0\ufeff"
)
TEXTS = st.text(TRICKY) | st.text() | st.text(TRICKY, min_size=20)


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=5))
@example(["İİİ", "aİİb İ", "ΟΔΟΣ οδος οδοσ Σ", "", "\0", "x" * 9, "é" * 9, "a中" * 20])
def test_words_and_their_hashes_are_those_of_the_regex(texts: list[str]) -> None:
    assert kernel_words(texts) == [[hash_of(w) for w in words_by_regex(t)] for t in texts]


@settings(deadline=None)
@given(st.lists(TEXTS.filter(words_by_regex)))
def test_different_words_have_different_hashes(texts: list[str]) -> None:
    distinct = {word for text in texts for word in words_by_regex(text)}
    assert len({hash_of(word) for word in distinct}) == len(distinct)


def test_every_code_point_joins_or_parts_words_as_in_the_regex() -> None:
    """Each code point between two letters and doubled: 1.1 million texts."""
    texts = [f"x{chr(code)}y{chr(code)}{chr(code)}" for code in CODE_POINTS]
    found = [words_by_regex(text) for text in texts]
    hashes, offsets = word_hashes(pa.array(texts, pa.large_string()))
    assert np.array_equal(np.diff(offsets), [len(part) for part in found])
    rejoined, _ = word_hashes(pa.array([" ".join(part) for part in found], pa.large_string()))
    assert np.array_equal(hashes, rejoined)


def test_every_word_character_is_hashed_as_its_lower_case() -> None:
    table = words.fold_table()
    letters = re.findall(r"\w", "".join(map(chr, CODE_POINTS)))
    assert len(letters) > 130_000
    for letter in letters:
        lowered = words_by_regex(letter)[0]
        assert table[ord(letter)] & (words.BREAK - 1) == ord(lowered)


def test_dotted_capital_i_ends_its_word() -> None:
    assert kernel_words(["İstanbul"]) == [[hash_of("i"), hash_of("stanbul")]]


def test_both_sigmas_are_one_letter() -> None:
    (upper,), (final,), (inner,) = kernel_words(["ΟΔΟΣ", "οδος", "οδοσ"])
    assert upper == final == inner


def test_a_slice_of_an_array_has_the_words_of_its_texts() -> None:
    texts = pa.array(["a b", "c d e", "", "f"], pa.large_string())
    hashes, offsets = word_hashes(texts.slice(1, 2))
    assert hashes.tolist() == [hash_of(word) for word in "cde"]
    assert offsets.tolist() == [0, 3, 3]


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xe4\xb8", b"\xf0\x9f\x98", b"\x80", b"\xc3("])
def test_malformed_bytes_are_separators_and_nothing_beyond_the_text_is_read(bad: bytes) -> None:
    data = b"ab" + bad + b"cd"
    offsets = np.array([0, 2 + len(bad), len(data)], np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    texts = pa.Array.from_buffers(pa.large_string(), 2, buffers)
    first, second = np.split(word_hashes(texts)[0], [word_hashes(texts)[1][1]])
    assert first[0] == hash_of("ab")
    assert second.tolist() == [hash_of("cd")]


def test_a_lower_case_the_table_cannot_hold_is_refused() -> None:
    with pytest.raises(NotImplementedError, match=r"U\+0041"):
        words._fold_many(0x41, "xy")
