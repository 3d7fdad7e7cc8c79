"""Helpers agree with Python's str, and malformed bytes never lead outside a row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_builder.kernels import utf8
from corpus_builder.kernels.unicode import char_flags
from corpus_builder.signals import FAMILIES
from corpus_builder.transforms import TRANSFORMS

FLAGS = char_flags()
spaced = st.text(st.sampled_from("a é𐐷\n\r\v\x85\u2028\u3000\u00a0"), max_size=12)


def buffer(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


@given(st.text(min_size=1))
def test_decode_walks_the_code_points(text: str) -> None:
    data, at, points = buffer(text), 0, []
    while at < len(data):
        point, length = utf8.decode(data, at, len(data))
        points.append(point)
        at += length
    assert points == list(map(ord, text))
    assert utf8.count_chars(data, 0, len(data)) == len(text)
    assert utf8.step_back(data, 0, len(data)) == len(text[:-1].encode())


@given(spaced)
def test_trimming_is_lstrip_and_rstrip(text: str) -> None:
    data = buffer(text)
    first = utf8.skip_space(data, FLAGS, 0, len(data))
    last = utf8.trim_space(data, FLAGS, 0, len(data))
    assert data[first:].tobytes().decode() == text.lstrip()
    assert data[:last].tobytes().decode() == text.rstrip()


@given(spaced)
def test_lines_are_splitlines(text: str) -> None:
    data, at, lines = buffer(text), 0, []
    while at < len(data):
        stop = utf8.line_end(data, FLAGS, at, len(data))
        lines.append(data[at:stop].tobytes().decode())
        at = utf8.next_line(data, stop, len(data))
    assert lines == text.splitlines()


@given(st.text(st.sampled_from("cookieCOKIEKİıſ "), max_size=20))
def test_case_is_ignored_as_lower_does(text: str) -> None:
    for needle in ("cookie", "ck", "ook", "e"):
        found = utf8.contains_lower(buffer(text), 0, len(buffer(text)), buffer(needle))
        assert found == (needle in text.lower())


malformed = st.sampled_from((b"", b"\xf4\x90", b"\xe2", b"\xff\xfe", b"\xc3", b"\x80"))


@given(st.lists(st.builds(bytes.__add__, st.binary(max_size=12), malformed), max_size=4))
@settings(deadline=None)
def test_malformed_rows_neither_crash_nor_see_their_neighbours(rows: list[bytes]) -> None:
    """A row gives the same whatever bytes lie around it, though Arrow promised UTF-8."""
    together = pa.array(rows, pa.large_binary()).view(pa.large_string())
    for family in FAMILIES.values():
        values = family.compute(together).to_pylist()
        alone = [pa.array([row], pa.large_binary()).view(pa.large_string()) for row in rows]
        assert values == [family.compute(row).to_pylist()[0] for row in alone]


@pytest.mark.parametrize("row", [b"\xe2", b"a \xf0\x9f", b"[\xd9", b"\x80\x80 \xf8\x88"])
def test_transforms_stay_inside_malformed_rows(row: bytes) -> None:
    for transform in TRANSFORMS.values():
        texts = pa.array([row, b"the end."], pa.large_binary()).view(pa.large_string())
        result = transform.apply(texts, transform.options())
        assert len(result.texts) == 2
