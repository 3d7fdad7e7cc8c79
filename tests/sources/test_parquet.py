"""Parquet: every row of every row group once, whatever the column types; bad files named."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archives_of import OPTIONS, input_file, ranges, read_file
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_builder.sources.options import Columns, ReadOptions
from corpus_builder.sources.parquet import SCHEMA, read_text_batches
from corpus_builder.sources.reading import read
from corpus_builder.sources.records import InputFile, Lost, Split
from corpus_builder.store.errors import SourceError

TABLE = {
    "p03_nulls.parquet": (2, {"text_null": 1}),
    "p04_zero_rows.parquet": (0, {}),
    "p05_large_string_dict.parquet": (3, {}),
    "p07_extra_nested.parquet": (1, {}),
    "p08_duplicate_ids.parquet": (4, {}),
    "p13_schema_drift/0.parquet": (3, {}),
    "p13_schema_drift/1.parquet": (3, {}),
}
REFUSED = {
    "p01_no_text_column.parquet": "no column 'text' of text; it has id (string), url (string)",
    "p02_text_is_int.parquet": "column 'text' is int64, not a string; string columns: id, url",
    "p09_truncated.parquet": "is a broken Parquet file",
    "p11_empty_file.parquet": "is an empty file",
    "p12_csv_named_parquet.parquet": "is no Parquet file, seems to be plain text",
}


def save(path: Path, columns: dict[str, object], group: int = 1 << 20) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return path


@pytest.mark.parametrize("name", TABLE)
def test_odd_files_as_a_specification(shared_data: Path, name: str) -> None:
    reading = read_file(shared_data / "malformed" / name, "parquet")
    assert (len(reading.rows), dict(reading.lost)) == TABLE[name]


@pytest.mark.parametrize("name", REFUSED)
def test_files_without_text_are_refused_by_name(shared_data: Path, name: str) -> None:
    path = shared_data / "malformed" / name
    with pytest.raises(SourceError) as caught:
        read_file(path, "parquet")
    assert f"{path}: {REFUSED[name]}" in str(caught.value)


def test_ids_are_strings_whatever_each_file_has(shared_data: Path) -> None:
    for name in ("0", "1"):
        path = shared_data / "malformed" / "p13_schema_drift" / f"{name}.parquet"
        ids = [row.source_id for row in read_file(path, "parquet").rows]
        assert all(ids)
        assert ids == [str(value) for value in pq.read_table(path)["id"].to_pylist()]


def test_real_data_in_any_number_of_splits(shared_data: Path) -> None:
    path = shared_data / "domains" / "encyclopedia.parquet"
    table = pq.read_table(path, columns=["id", "url", "text"])
    whole = read_file(path, "parquet")
    assert [row.text for row in whole.rows] == table["text"].to_pylist()
    assert [row.source_id for row in whole.rows] == table["id"].to_pylist()
    assert [row.position for row in whole.rows] == list(range(table.num_rows))
    parts = read_file(path, "parquet", 7)
    assert parts.content() == whole.content()
    assert parts.chains()
    assert parts.spans[-1].next == table.num_rows


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.large_string()),
    ],
    ids=str,
)
def test_any_string_type_is_text(tmp_path: Path, kind: pa.DataType) -> None:
    texts = ["one", None, "", " \n", "grün", "one"]
    path = save(tmp_path / "x.parquet", {"text": pa.array(texts).cast(kind)})
    reading = read_file(path, "parquet")
    assert [(row.position, row.text) for row in reading.rows] == [
        (0, "one"),
        (4, "grün"),
        (5, "one"),
    ]
    assert reading.lost == {"text_null": 1, "text_empty": 2}


@pytest.mark.parametrize(
    "text", [pa.array([b"x"]), pa.array([{"a": "x"}]), pa.array([1.5])], ids=lambda a: str(a.type)
)
def test_other_types_are_no_text(tmp_path: Path, text: pa.Array) -> None:
    path = save(tmp_path / "x.parquet", {"text": text, "body": ["b"]})
    with pytest.raises(SourceError) as caught:
        read_file(path, "parquet")
    assert f"column 'text' is {text.type}, not a string; string columns: body" in str(caught.value)


def test_other_columns_become_text_where_they_have_one_form(tmp_path: Path) -> None:
    columns = {
        "text": ["t", "u"],
        "id": pa.array([7, None], pa.int64()),
        "date": pa.array([0, None], pa.timestamp("ms")),
        "url": pa.array([["a"], None]),
        "title": pa.array(["a", "a"]).dictionary_encode(),
    }
    one, two = read_file(save(tmp_path / "x.parquet", columns), "parquet").rows
    assert (one.source_id, one.date, one.url, one.title) == (
        "7",
        "1970-01-01 00:00:00.000",
        "",
        "a",
    )
    assert (two.source_id, two.date, two.url, two.title) == ("", "", "", "a")


def test_a_column_that_is_named_must_be_there(tmp_path: Path) -> None:
    path = save(tmp_path / "x.parquet", {"text": ["t"], "link": ["l"]})
    named = ReadOptions(columns=Columns(url="link"))
    assert [row.url for row in read_file(path, "parquet", options=named).rows] == ["l"]
    with pytest.raises(SourceError, match=r"no column 'links'.*did you mean 'link'"):
        read_file(path, "parquet", options=ReadOptions(columns=Columns(url="links")))


def test_bytes_that_are_not_utf8_cost_their_row_only(tmp_path: Path) -> None:
    raw = pa.array([b"good", b"\xff\xfe", b"fine"], pa.binary())
    broken = pa.StringArray.from_buffers(3, *raw.buffers()[1:])
    path = save(tmp_path / "x.parquet", {"text": broken, "title": broken})
    reading = read_file(path, "parquet")
    assert [row.text for row in reading.rows] == ["good", "fine"]
    assert reading.lost == {"bad_utf8": 1}


def test_texts_over_the_limit_are_lost_alone(tmp_path: Path) -> None:
    texts = ["a", "b" * (OPTIONS.max_record_bytes + 1), "c"]
    reading = read_file(save(tmp_path / "x.parquet", {"text": texts}), "parquet")
    assert [row.text for row in reading.rows] == ["a", "c"]
    assert reading.lost == {"too_large": 1}


@settings(deadline=None, max_examples=50)
@given(
    texts=st.lists(st.sampled_from(["", "a", None, "b c"]), max_size=40),
    group=st.integers(1, 9),
    count=st.integers(1, 30),
)
def test_row_groups_fall_to_exactly_one_split(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str | None], group: int, count: int
) -> None:
    path = tmp_path_factory.mktemp("groups") / "x.parquet"
    save(path, {"text": pa.array(texts, pa.string())}, group)
    reading = read_file(path, "parquet", count)
    assert sorted(r.position for r in reading.records) == list(range(len(texts)))
    assert [row.text for row in reading.rows] == [text for text in texts if text]
    assert reading.chains()
    assert (reading.spans[0].first, reading.spans[-1].next) == (0, len(texts))


def test_batches_hold_what_rows_say(tmp_path: Path) -> None:
    path = save(tmp_path / "x.parquet", {"text": ["a", None, "b"], "id": [1, 2, 3]})
    (split,) = ranges(input_file(path), 1)
    lost, batch, _ = read_text_batches(split, Columns(), max_record_bytes=100)
    assert isinstance(lost, Lost)
    assert batch.schema == SCHEMA
    assert batch.to_pydict() == {
        "position": [0, 2],
        "ordinal": [0, 0],
        "url": ["", ""],
        "source_id": ["1", "3"],
        "title": ["", ""],
        "date": ["", ""],
        "text": ["a", "b"],
    }


def test_a_damaged_page_stops_with_the_file_and_row(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table({"text": [f"text {n}" for n in range(5000)]})
    pq.write_table(table, path, compression="zstd", use_dictionary=False, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 255
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"x\.parquet: cannot be decoded past row"):
        read_file(path, "parquet")


def test_an_unknown_format_names_the_known_ones() -> None:
    split = Split(InputFile("x", "x", 0, ""), 0, 1, 0, 0)
    with pytest.raises(SourceError, match="jsonl, parquet, warc"):
        read(split, "parqet", ReadOptions())
