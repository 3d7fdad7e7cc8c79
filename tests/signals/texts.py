"""Texts to try signals on: real documents, and strategies for strings meant to break them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

# Every character of these matters to some definition: all kinds of whitespace and line breaks,
# letters of 1 to 4 bytes, marks of several scripts, the phrases rules look for.
PIECES = (
    *" \n\r\t\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2007\u2028\u2029\u3000\u200b\ufeff\0",
    *"aZ9é中ßİſK𐐷𝒳😀\u0301٣²Ⅷ",
    *".!?\"'#-•…。！？।՞܀﹒．”»)]>{}[,;:%",
    "\r\n", "\n\n", "\n\n\n", "...", "....", "the ", "of ", "with", "The", "word ", "a b a b ",
    "lorem ipsum", "Lorem  Ipsum", "LOREM IPSUM", "javascript", "JaVaScript", "javascrİpt",
    "privacy policy", "cooKie policy", "uses cooKies", "[1]", "[]", "[edit]", "[citation needed]",
    "[٣]", "[[1]]", "[1", "auto-generated", "Automatically Generated", "// ", "<!--", "* ",
    "0x1F,", "\\x41", "AB ", "ab\n", "0x", "\\u00e9", "A" * 63, "+/=",
)  # fmt: skip

pieces = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
repeats = st.lists(st.sampled_from(("a", "b", "ab", "\n", "\n\n", " ", "é")), max_size=80).map(
    "".join
)
encoded = st.lists(
    st.sampled_from(("0x1F,", "\\x41", "AB ", "ab", ",", " ", "\u2003", "\\u00e9", "\\u12", "é")),
    max_size=40,
).map("".join)
nasty = pieces | repeats | encoded | st.text(max_size=60)


def array(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def real_texts(shared_data: Path, per_file: int) -> list[str]:
    """The same documents of every domain and language each time, at most 20,000 characters each."""
    files = [
        *sorted((shared_data / "domains").glob("*.parquet")),
        shared_data / "dedup/docs.parquet",
    ]
    texts: list[str] = []
    for file in files:
        column = pq.read_table(file, columns=["text"])["text"]
        chosen = np.random.default_rng(0).permutation(len(column))[:per_file]
        texts += [text[:20_000] for text in column.take(pa.array(chosen)).to_pylist()]
    return texts
