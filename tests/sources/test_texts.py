"""A user's own texts: every text is taken, or the file is refused with the place."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus_builder.sources.texts import check_texts, list_texts, read_texts
from corpus_builder.store.errors import SourceError


def texts(*patterns: str) -> list[str]:
    return [row.text for file in list_texts(patterns) for row in read_texts(file)]


def test_plain_files_hold_one_text_each_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# Two\n")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfOne, without its mark.\n")
    (tmp_path / "c.log").write_text("no text of ours")
    assert texts(str(tmp_path)) == ["One, without its mark.\n", "# Two\n"]


def test_jsonl_and_parquet_hold_a_column_of_texts(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"text": text}) + "\n" for text in ("one", "two"))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    pq.write_table(pa.table({"text": ["three"], "other": [1]}), tmp_path / "b.parquet")
    assert texts(str(tmp_path / "*")) == ["one", "two", "three"]


def test_the_column_of_the_texts_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"body": "one"}) + "\n")
    pq.write_table(pa.table({"body": ["two"], "text": ["not this"]}), tmp_path / "b.parquet")
    (tmp_path / "c.txt").write_text("three")
    files = list_texts([str(tmp_path)], "body")
    assert [row.text for file in files for row in read_texts(file)] == ["one", "two", "three"]
    assert [file.column for file in files] == ["body", "body", ""]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"good \xff bad", "byte 5 is not UTF-8"),
        ("a.jsonl", b'{"text": "fine"}\n{"text": 3}\n', "text_not_string"),
        ("a.md", b" \n", "holds no text"),
        ("a.csv", b"text\none\n", "no known format"),
    ],
)
def test_what_cannot_be_read_whole_is_refused_with_the_place(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=said) as caught:
        texts(str(tmp_path / name))
    assert name in str(caught.value)


def test_a_column_that_is_not_there_is_told_at_a_glance(tmp_path: Path) -> None:
    lines, table, plain = (tmp_path / name for name in ("a.jsonl", "b.parquet", "c.txt"))
    lines.write_text(json.dumps({"question": "why?"}) + "\n")
    pq.write_table(pa.table({"question": ["why?"]}), table)
    plain.write_text("because")
    check_texts("heldout.texts.own", list_texts([str(tmp_path / "*")], "question"))
    for path in (lines, table):
        with pytest.raises(SourceError, match=r"'questions'.*did you mean 'question'\?"):
            check_texts("heldout.texts.own", list_texts([str(path)], "questions"))


def test_a_file_that_changed_since_it_was_listed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    (listed,) = list_texts([str(path)])
    path.write_text("two")
    with pytest.raises(SourceError, match="changed"):
        next(read_texts(listed))
