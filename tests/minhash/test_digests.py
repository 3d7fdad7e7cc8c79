"""Digests are BLAKE2b-128 of the bytes of the text."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_builder.minhash.digests import text_digests


@settings(deadline=None)
@given(st.lists(st.text()), st.integers(0, 3))
def test_digests_are_blake2b(texts: list[str], skipped: int) -> None:
    found = text_digests(pa.array(texts, pa.large_string())[skipped:])
    expected = [blake2b(text.encode(), digest_size=16).digest() for text in texts[skipped:]]
    assert found.shape == (len(expected), 2)
    assert [row.astype("<u8").tobytes() for row in found] == expected


def test_neither_case_nor_space_is_folded() -> None:
    texts = pa.array(["a b", "A b", "a  b", "a b "], pa.large_string())
    assert len(np.unique(text_digests(texts), axis=0)) == 4


def test_a_string_array_of_short_offsets_is_refused() -> None:
    with pytest.raises(TypeError, match="large_string"):
        text_digests(pa.array(["a"], pa.string()))
