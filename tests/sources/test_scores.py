"""Scores: the same number is the same float64 whatever file held it; nothing else is a number."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archives_of import input_file, ranges, read_file
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.signals import family
from corpus_builder.sources import scores
from corpus_builder.sources.options import Columns, ReadOptions
from corpus_builder.sources.parquet import SCHEMA, read_text_batches
from corpus_builder.sources.scores import score_of
from corpus_builder.store.errors import SourceError

EDU = ReadOptions(columns=Columns(scores={"edu": "score"}))
TWO = ReadOptions(columns=Columns(scores={"edu": "score", "whole": "int_score"}))


def save(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def lines(path: Path, *rows: object) -> Path:
    path.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    return path


# --- one number --------------------------------------------------------------------------------


def test_scores_are_rounded_as_all_float_signals() -> None:
    assert scores.DECIMALS == family.DECIMALS
    assert score_of(0.12345678) == 0.123457
    assert score_of(3) == 3.0
    assert [score_of(flag) for flag in (True, False)] == [1.0, 0.0]


@pytest.mark.parametrize("huge", [1e305, -1e305, 1.7976931348623157e308])
def test_rounding_never_overflows(huge: float) -> None:
    assert score_of(huge) == huge


def test_nan_is_none_and_an_infinity_is_itself() -> None:
    assert score_of(math.nan) is None
    assert (score_of(math.inf), score_of(-math.inf)) == (math.inf, -math.inf)


@given(st.floats(allow_nan=False))
def test_rounding_twice_changes_nothing_more(number: float) -> None:
    once = score_of(number)
    assert once is not None
    assert score_of(once) == once
    assert once == number or abs(once - number) <= 0.5e-6 + math.ulp(number)


# --- Parquet -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, None, 3], pa.int8()), (1.0, None, 3.0)),
        (pa.array([1, None, 2**60 + 1], pa.int64()), (1.0, None, float(2**60))),
        (pa.array([1, None, 2**64 - 1], pa.uint64()), (1.0, None, float(2**64))),
        (pa.array(np.array([0.5, np.nan, 2], np.float16)), (0.5, None, 2.0)),
        (pa.array([0.1, None, 2], pa.float32()), (0.1, None, 2.0)),
        (pa.array([0.12345678, math.nan, math.inf]), (0.123457, None, math.inf)),
        (pa.array([True, None, False]), (1.0, None, 0.0)),
        (pa.array([Decimal("1.25"), None, Decimal("-3.00")]), (1.25, None, -3.0)),
        (pa.array([2.5, None, 2.5]).dictionary_encode(), (2.5, None, 2.5)),
        (pa.nulls(3), (None, None, None)),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_every_type_of_number_is_a_float64(
    tmp_path: Path, column: pa.Array, expected: tuple[float | None, ...]
) -> None:
    path = save(tmp_path / "x.parquet", text=["a", "b", "c"], score=column)
    found = read_file(path, "parquet", options=EDU).rows
    assert tuple(row.scores[0] for row in found) == expected


def test_scores_stay_with_their_rows_in_any_number_of_splits(tmp_path: Path) -> None:
    texts = ["a", None, "c", "", "e", "f", "g"]
    path = save(tmp_path / "x.parquet", text=texts, score=[*range(7)], int_score=[*range(10, 17)])
    expected = [(0.0, 10.0), (2.0, 12.0), (4.0, 14.0), (5.0, 15.0), (6.0, 16.0)]
    for count in (1, 2, 5):
        assert [row.scores for row in read_file(path, "parquet", count, TWO).rows] == expected


def test_batches_have_a_column_a_score_after_the_others(tmp_path: Path) -> None:
    path = save(tmp_path / "x.parquet", text=["a", "b"], score=[0.5, None], url=["u", "v"])
    (split,) = ranges(input_file(path), 1)
    batch, _ = read_text_batches(split, EDU.columns, max_record_bytes=100)
    assert isinstance(batch, pa.RecordBatch)
    assert batch.schema == pa.schema([*SCHEMA, ("edu", pa.float64())])
    assert batch.column("edu").to_pylist() == [0.5, None]


def test_a_column_can_be_read_under_two_names_and_beside_its_use_as_id(tmp_path: Path) -> None:
    path = save(tmp_path / "x.parquet", text=["a"], id=[7])
    options = ReadOptions(columns=Columns(scores={"one": "id", "two": "id"}))
    (row,) = read_file(path, "parquet", options=options).rows
    assert (row.source_id, row.scores) == ("7", (7.0, 7.0))


def test_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    path = save(tmp_path / "x.parquet", text=["a"], scores=[1.5], n=[1], day=["x"])
    with pytest.raises(SourceError) as caught:
        read_file(path, "parquet", options=EDU)
    assert str(caught.value) == (
        f"{path}: no column 'score' for the score 'edu'; its columns of numbers are "
        "scores (double), n (int64); allowed: n, scores (did you mean 'scores'?); "
        "name another one in the source's `scores`, or take the score out"
    )


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["3.5"]),
        pa.array(["3.5"]).dictionary_encode(),
        pa.array([[3.5]], pa.list_(pa.field("element", pa.float64()))),
        pa.array([{"score": 3.5}]),
        pa.array([0], pa.timestamp("ms")),
        pa.array([b"3"]),
    ],
    ids=lambda column: str(column.type),
)
def test_a_column_of_something_else_is_refused(tmp_path: Path, column: pa.Array) -> None:
    path = save(tmp_path / "x.parquet", text=["a"], score=column)
    message = f"x.parquet: column 'score', the score 'edu', is {column.type}, not a number; its"
    with pytest.raises(SourceError) as caught:
        read_file(path, "parquet", options=EDU)
    assert message in str(caught.value)
    assert "columns of numbers are none" in str(caught.value)


# --- JSON Lines --------------------------------------------------------------------------------


def test_numbers_of_json_are_scores_and_null_and_absent_are_none(tmp_path: Path) -> None:
    values = [0.12345678, 3, True, None, math.nan, -math.inf, 2**60 + 1]
    rows = [{"text": "t", "score": value} for value in values]
    path = lines(tmp_path / "x.jsonl", *rows, {"text": "t"})
    reading = read_file(path, "jsonl", options=EDU)
    expected = [0.123457, 3.0, 1.0, None, None, -math.inf, float(2**60), None]
    assert [row.scores for row in reading.rows] == [(value,) for value in expected]
    assert not reading.lost


@pytest.mark.parametrize(
    ("value", "detail"),
    [("3.5", "score is a str"), ([3], "score is a list"), ({}, "score is a dict"),
     (10**400, "score is beyond a float64")],
)  # fmt: skip
def test_what_is_no_number_costs_its_line_only(tmp_path: Path, value: object, detail: str) -> None:
    good = {"text": "t", "score": 1}
    path = lines(tmp_path / "x.jsonl", good, {"text": "u", "score": value}, good)
    for count in (1, 3):
        reading = read_file(path, "jsonl", count, EDU)
        assert [row.scores for row in reading.rows] == [(1.0,), (1.0,)]
        (lost,) = [record for record in reading.records if record not in reading.rows]
        assert (lost.cause, lost.detail) == ("score_not_number", detail)  # type: ignore[union-attr]


def test_without_scores_a_line_may_hold_anything(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", {"text": "t", "score": "3.5"})
    assert [row.scores for row in read_file(path, "jsonl").rows] == [()]


# --- both --------------------------------------------------------------------------------------


NUMBERS = st.lists(st.none() | st.floats() | st.integers(-(2**53), 2**53), min_size=1, max_size=9)


@given(values=NUMBERS)
def test_both_formats_give_the_same_scores(
    tmp_path_factory: pytest.TempPathFactory, values: list[float | None]
) -> None:
    folder = tmp_path_factory.mktemp("both")
    numbers = [None if value is None else float(value) for value in values]
    texts = ["t"] * len(values)
    table = save(folder / "x.parquet", text=texts, score=pa.array(numbers, pa.float64()))
    text = lines(folder / "x.jsonl", *({"text": "t", "score": value} for value in values))
    found = [row.scores for row in read_file(table, "parquet", options=EDU).rows]
    assert found == [row.scores for row in read_file(text, "jsonl", options=EDU).rows]
    assert found == [(None if n is None else score_of(n),) for n in numbers]
