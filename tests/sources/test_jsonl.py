"""JSON Lines: every line is a row, a named loss or blank; the same in any number of splits."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from archives_of import OPTIONS, read_file
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_builder.sources.options import Columns, ReadOptions
from corpus_builder.sources.records import Lost
from corpus_builder.store.errors import SourceError

TABLE = {
    "j01_invalid_utf8.jsonl": (10, {"bad_utf8": 1}, 0),
    "j02_truncated_last_line.jsonl": (9, {"truncated": 1}, 0),
    "j03_mixed_types.jsonl": (
        11,
        {"text_not_string": 2, "text_null": 1, "text_missing": 2, "not_an_object": 3},
        0,
    ),
    "j04_blank_bom_crlf.jsonl": (10, {}, 3),
    "j06_duplicate_ids.jsonl": (6, {}, 0),
    "j09_long_line_20MB.jsonl.gz": (1, {"too_large": 1}, 0),
}


def write(path: Path, data: bytes, form: str) -> Path:
    packed = {"plain": bytes, "gz": gzip.compress, "zst": zstandard.compress}[form](data)
    path.write_bytes(packed)
    return path


def lines_of(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.mark.parametrize("name", TABLE)
def test_broken_files_as_a_specification(shared_data: Path, name: str) -> None:
    reading = read_file(shared_data / "malformed" / name, "jsonl")
    rows, lost, blank = TABLE[name]
    assert (len(reading.rows), dict(reading.lost)) == (rows, lost)
    assert reading.skipped["blank_line"] == blank


def test_a_json_array_is_refused_with_what_to_do(shared_data: Path) -> None:
    with pytest.raises(SourceError, match=r"JSON array.*jq"):
        read_file(shared_data / "malformed" / "j08_json_array_not_lines.jsonl", "jsonl")


@pytest.mark.parametrize("form", ["plain", "gz", "zst"])
def test_fields_come_as_text_and_rows_where_they_lie(tmp_path: Path, form: str) -> None:
    rows = [
        {"text": "one", "id": 7, "url": "http://a", "title": None, "date": "2024"},
        {"text": "two\u2028", "id": "x", "url": ["a"], "title": "T\ud800"},
    ]
    data = lines_of(*rows)
    one, two = read_file(write(tmp_path / "x.jsonl", data, form), "jsonl").rows
    assert (one.source_id, one.url, one.title, one.date) == ("7", "http://a", "", "2024")
    assert (two.source_id, two.url, two.title, two.date) == ("x", '["a"]', "T?", "")
    assert (one.text, two.text) == ("one", "two\u2028")
    where = (0, len(lines_of(rows[0]))) if form == "plain" else (0, 0)
    assert (one.position, two.position) == where
    assert (one.ordinal, two.ordinal) == ((0, 0) if form == "plain" else (0, 1))


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", lines_of({"body": "b", "k": 3, "id": 4}), "plain")
    options = ReadOptions(columns=Columns(text="body", id="k"))
    (row,) = read_file(path, "jsonl", options=options).rows
    assert (row.text, row.source_id) == ("b", "3")


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (b'{"text": ""}', "text_empty"),
        (b'{"text": " \\n\\t"}', "text_empty"),
        (b'{"text": null}', "text_null"),
        (b'{"text": 5}', "text_not_string"),
        (b'{"x": 5}', "text_missing"),
        (b'{"text": "\\ud800"}', "bad_utf8"),
        (b'{"text": "\xff"}', "bad_utf8"),
        (b'{"text": "a"', "bad_json"),
        (b'{"text": "a"} {}', "bad_json"),
        (b'{"n": %s}' % (b"9" * 5000), "bad_json"),
        (b'{"d": %s' % (b"[" * 100_000), "bad_json"),
        (b'"text"', "not_an_object"),
        (b'{"text": "%s"}' % (b"a" * (9 << 20)), "too_large"),
    ],
)
def test_a_bad_line_costs_itself_only(tmp_path: Path, line: bytes, cause: str) -> None:
    good = lines_of({"text": "good"})
    path = write(tmp_path / "x.jsonl", good + line + b"\n" + good, "plain")
    reading = read_file(path, "jsonl", 3)
    assert [row.text for row in reading.rows] == ["good", "good"]
    assert reading.lost == {cause: 1}
    assert reading.chains()


LINES = st.lists(
    st.sampled_from(
        [b"", b" ", b"{", b'{"text": "a"}', b'{"text": "\xc3\xa9"}\r', b"[]", b"\xff", b"x" * 300]
    ),
    max_size=30,
)


@settings(deadline=None)
@given(lines=LINES, ended=st.booleans(), count=st.integers(1, 40), bom=st.booleans())
def test_any_number_of_splits_reads_every_line_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], ended: bool, count: int, bom: bool
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    data = b'{"text": "first"}\n' + b"\n".join(lines) + b"\n" * ended
    data = b"\xef\xbb\xbf" * bom + data
    path = write(folder / "x.jsonl", data, "plain")
    whole = read_file(path, "jsonl")
    parts = read_file(path, "jsonl", count)
    assert parts.content() == whole.content()
    assert parts.skipped == whole.skipped
    assert parts.chains()
    assert parts.spans[-1].next == len(data)
    starts = data.split(b"\n")
    units = len(whole.records) + sum(whole.skipped.values())
    assert units == len(starts) - (not starts[-1])
    for form in ("gz", "zst"):
        packed = read_file(write(folder / f"x.{form}", data, form), "jsonl", count)
        assert [r.text for r in packed.rows] == [r.text for r in whole.rows]
        assert packed.lost == whole.lost
        assert packed.chains()


@pytest.mark.parametrize("form", ["gz", "zst"])
def test_a_cut_file_keeps_the_lines_before_the_cut(tmp_path: Path, form: str) -> None:
    data = b"".join(lines_of({"text": f"{n} {n * n * 7919}"}) for n in range(20_000))
    path = write(tmp_path / "x.jsonl", data, form)
    path.write_bytes(path.read_bytes()[:-30_000])
    reading = read_file(path, "jsonl")
    assert 0 < len(reading.rows) < 20_000
    assert [row.ordinal for row in reading.rows] == list(range(len(reading.rows)))
    (lost,) = [record for record in reading.records if isinstance(record, Lost)]
    assert (lost.cause, lost.ordinal) == ("truncated", len(reading.rows))


@pytest.mark.parametrize(
    ("form", "cause"), [("gz", "corrupt_gzip_member"), ("zst", "corrupt_zstd_frame")]
)
def test_a_corrupt_file_says_so_once(tmp_path: Path, form: str, cause: str) -> None:
    path = write(tmp_path / "x.jsonl", lines_of({"text": "a"}), form)
    path.write_bytes(path.read_bytes() + b"no member, no frame")
    reading = read_file(path, "jsonl")
    assert [row.text for row in reading.rows] == ["a"]
    assert reading.lost == {cause: 1}


@pytest.mark.parametrize("form", ["gz", "zst"])
def test_several_members_are_one_file(tmp_path: Path, form: str) -> None:
    path = write(tmp_path / "x.jsonl", b'{"text": "sp', form)
    first = path.read_bytes()
    path.write_bytes(first + write(path, b'lit"}\n', form).read_bytes())
    assert [row.text for row in read_file(path, "jsonl").rows] == ["split"]


@pytest.mark.parametrize("form", ["gz", "zst"])
def test_a_long_line_is_never_held(tmp_path: Path, form: str) -> None:
    data = b'{"text": "' + b"a" * (64 << 20) + b'"}\n' + lines_of({"text": "short"})
    path = write(tmp_path / "x.jsonl", data, form)
    del data
    tracemalloc.start()
    try:
        reading = read_file(path, "jsonl")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [row.text for row in reading.rows] == ["short"]
    assert reading.lost == {"too_large": 1}
    assert peak < OPTIONS.max_record_bytes + (40 << 20)


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"PAR1....", "a Parquet file"),
        (b"<html><body>", "an HTML page"),
        ('{"text": "x"}'.encode("utf-16"), "UTF-16 text"),
        (b'[{"text": "x"}]', "one JSON array"),
        (bytes(range(1, 200)), "binary data"),
    ],
)
def test_other_files_are_named_for_what_they_seem(tmp_path: Path, head: bytes, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        read_file(write(tmp_path / "x.jsonl", head, "plain"), "jsonl")
