"""Arrow arrays of every shape give their own rows, without a copy."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.kernels.buffers import text_array, text_buffers
from corpus_builder.store.errors import DataError


def rows(array: pa.LargeStringArray) -> list[str]:
    data, offsets = text_buffers(array)
    return [data[a:b].tobytes().decode() for a, b in itertools.pairwise(offsets)]


@given(st.lists(st.text(max_size=9), max_size=9), st.integers(0, 9), st.integers(0, 9))
def test_any_slice_gives_its_rows(texts: list[str], start: int, length: int) -> None:
    array = pa.array(texts, pa.large_string())
    assert rows(array.slice(start, length)) == texts[start : start + length]


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_arrays_without_data(texts: list[str]) -> None:
    assert rows(pa.array(texts, pa.large_string())) == texts


def test_misaligned_offsets_are_realigned() -> None:
    offsets = np.array([0, 1, 3], np.int64).tobytes()
    shifted = pa.py_buffer(b"x" + offsets).slice(1)
    array = pa.LargeStringArray.from_buffers(2, shifted, pa.py_buffer(b"abc"))
    assert rows(array) == ["a", "bc"]
    assert text_buffers(array)[1].flags.aligned


def test_bytes_are_shared_not_copied() -> None:
    array = pa.array(["one", "two"], pa.large_string())
    assert text_buffers(array)[0].ctypes.data == array.buffers()[2].address


def test_text_array_is_the_inverse() -> None:
    array = pa.array(["é", "", "two"], pa.large_string())
    assert text_array(*text_buffers(array)).equals(array)


def test_null_is_an_error_that_counts() -> None:
    with pytest.raises(DataError, match="1 of 2 documents have no text"):
        text_buffers(pa.array(["a", None], pa.large_string()))


@pytest.mark.parametrize("array", [pa.array(["a"]), pa.array([1]), ["a"]])
def test_other_types_are_refused(array: object) -> None:
    with pytest.raises(TypeError, match="large_string"):
        text_buffers(array)
