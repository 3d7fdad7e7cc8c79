"""Misspelt keys of JSON Lines are found before a run."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from corpus_builder.sources.keys import FILES, LINES, check_keys
from corpus_builder.sources.listing import SUFFIXES, list_inputs
from corpus_builder.store.errors import SourceError


def written(folder: Path, *files: list[dict]) -> list:
    for n, rows in enumerate(files):
        path = folder / f"{n:02}.jsonl.gz"
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    return list_inputs([str(folder)], SUFFIXES["jsonl"])


def test_a_key_that_no_first_object_has_is_refused_with_those_there(tmp_path: Path) -> None:
    files = written(tmp_path, [{"text": "a", "published": 1}], [{"text": "b", "score": 2}])
    check_keys("corpora.a.source", files, {"text": "text", "date": "published"}, 1000)
    with pytest.raises(SourceError, match="no object has the key 'publishd'") as caught:
        check_keys("corpora.a.source", files, {"text": "text", "date": "publishd"}, 1000)
    assert caught.value.where == "corpora.a.source"
    assert "did you mean 'published'" in caught.value.allowed
    assert "leave it out" in caught.value.do


def test_text_cannot_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="'body', to be read as `text`") as caught:
        check_keys("here", written(tmp_path, [{"text": "a"}]), {"text": "body"}, 1000)
    assert "leave" not in caught.value.do


def test_null_is_a_value(tmp_path: Path) -> None:
    check_keys("here", written(tmp_path, [{"date": None}]), {"date": "date"}, 1000)


def test_a_key_that_comes_later_counts_up_to_a_line(tmp_path: Path) -> None:
    rows = [{"text": "a"}] * (LINES - 1)
    check_keys("here", written(tmp_path, [*rows, {"date": 1}]), {"date": "date"}, 1000)
    with pytest.raises(SourceError, match=f"first {LINES} lines"):
        check_keys("here", written(tmp_path, [*rows, {}, {"date": 1}]), {"date": "date"}, 1000)


def test_files_are_looked_into_evenly(tmp_path: Path) -> None:
    files = written(tmp_path, *[[{"n": 1}]] * (4 * FILES), [{"date": 1}])
    check_keys("here", files[-1:], {"date": "date"}, 1000)
    with pytest.raises(SourceError, match=f"each of {FILES - 1} files"):
        check_keys("here", files, {"date": "date"}, 1000)


@pytest.mark.parametrize("content", [b"", b"no json\n", b"[]", b"\x1f\x8bno gzip"])
def test_what_cannot_be_read_is_left_to_the_reader(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    files = list_inputs([str(tmp_path)], SUFFIXES["jsonl"])
    check_keys("here", files, {"text": "body"}, 1000)
