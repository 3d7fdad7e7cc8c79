"""The base table: every record read is a document, a row of the lost table, or a counted skip."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path

import pytest
from spine import Built, built, notes_recipe, prose, tree, write_jsonl

from corpus_builder.store.errors import SourceError


def test_lost_records_keep_url_position_cause_and_detail(small: Built) -> None:
    rows = small.table("web.extract", "lost").to_pylist()
    found = {row["cause"]: row for row in rows}
    assert {cause: row["url"].rpartition("/")[2] for cause, row in found.items()} == {
        "http_status": "gone", "not_html": "picture", "no_text": "empty",
    }  # fmt: skip
    assert "404" in found["http_status"]["detail"] and "image/png" in found["not_html"]["detail"]
    assert len({row["position"] for row in rows}) == 3, "where each lies in its file"
    assert len(rows) == sum(small.lost("web.extract").values())


def test_rows_that_are_no_documents_are_lost_by_cause(tmp_path: Path) -> None:
    path = tmp_path / "in" / "x.jsonl"
    write_jsonl(path, [{"text": prose(n), "url": f"u{n}"} for n in range(5)])
    bad = ['{"text": null}', '{"no": 1}', '{"text": 3}', '{"text": " "}', "[1]", "{", ""]
    path.write_text(path.read_text() + "\n".join(bad) + "\n")
    run = built(notes_recipe(path), tmp_path / "out")
    assert run.lost("notes.read") == {
        "bad_json": 1, "blank_line": 1, "not_an_object": 1, "text_empty": 1, "text_missing": 1,
        "text_not_string": 1, "text_null": 1,
    }  # fmt: skip
    lost = run.table("notes.read", "lost").to_pylist()
    assert len(lost) == 6, "blank lines are counted only"
    lines = path.read_bytes()
    for row in lost:
        line = lines[row["position"] :].split(b"\n", 1)[0].decode()
        assert line in bad
    assert run.manifests["notes.read"].counts.records_in == 12


def test_the_identity_of_a_document_is_its_files_name_and_size_and_its_place(
    small: Built, inputs: Path
) -> None:
    sizes = {path.name: path.stat().st_size for path in (inputs / "notes").iterdir()}
    for row in small.rows("notes.read"):
        key = f"{row['file']}\0{sizes[row['file']]}\0{row['position']}\0{row['ordinal']}"
        assert row["doc_id"] == blake2b(key.encode(), digest_size=16).digest()
        with (inputs / "notes" / row["file"]).open("rb") as file:
            file.seek(row["position"])
            assert json.loads(file.readline())["id"] == row["source_id"]


@pytest.mark.parametrize("size", ["4KB", "30KB", "1MB"])
def test_splits_show_in_shards_only(inputs: Path, small: Built, tmp_path: Path, size: str) -> None:
    content = notes_recipe(inputs / "notes" / "*.jsonl")
    content["corpora"]["notes"]["source"]["split_size"] = size
    run = built(content, tmp_path, until="notes.read")
    assert run.rows("notes.read") == small.rows("notes.read")
    count = len(run.plan.splits["notes"])
    assert {"4KB": count > 40, "30KB": 4 < count < 10, "1MB": count == 2}[size]


def test_the_same_files_elsewhere_give_the_same_documents(
    inputs: Path, small: Built, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(inputs / "notes", tmp_path / "elsewhere")
    run = built(notes_recipe(tmp_path / "elsewhere" / "*.jsonl"), tmp_path / "out")
    ours = [(row["doc_id"], row["text"]) for row in run.rows("notes.read")]
    assert ours == [(row["doc_id"], row["text"]) for row in small.rows("notes.read")]


def test_a_record_that_is_too_large_is_lost_not_read(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "x.jsonl", [{"text": prose(n, 10 if n else 400)} for n in range(4)])
    content = notes_recipe(tmp_path / "x.jsonl")
    content["corpora"]["notes"]["source"]["max_record_bytes"] = "4KB"
    run = built(content, tmp_path / "out")
    assert run.lost("notes.read") == {"too_large": 1}
    assert run.manifests["notes.read"].counts.records_out == 3


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_a_file_that_is_no_such_file_stops_or_is_counted(tmp_path: Path, policy: str) -> None:
    write_jsonl(tmp_path / "in" / "a.jsonl", [{"text": prose(1)}])
    (tmp_path / "in" / "b.jsonl").write_text('[{"text": "one array, not lines"}]')
    content = notes_recipe(tmp_path / "in" / "*.jsonl")
    content["corpora"]["notes"]["source"]["on_bad_file"] = policy
    if policy == "error":
        with pytest.raises(SourceError, match=r"b\.jsonl"):
            built(content, tmp_path / "out")
    else:
        run = built(content, tmp_path / "out")
        assert run.lost("notes.read") == {"unreadable_file": 1}
        assert run.manifests["notes.read"].counts.records_out == 1


def test_an_empty_file_is_a_shard_without_rows(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "in" / "a.jsonl", [{"text": prose(1)}])
    (tmp_path / "in" / "b.jsonl").touch()
    run = built(notes_recipe(tmp_path / "in" / "*.jsonl", "dedup"), tmp_path / "out")
    sizes = [unit.rows_in for unit in run.manifests["notes.read"].units]
    assert sizes == [1, 0]
    assert run.table("notes.documents").num_rows == 1
    assert tree(tmp_path / "out" / "stages")
