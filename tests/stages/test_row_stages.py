"""Row-local stages: text versions, verdicts with their values, nulls, what dead rows are spared."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spine import Built, built, notes_recipe, prose, write_jsonl

from corpus_builder.signals import FAMILIES
from corpus_builder.stages.base import RowStage
from corpus_builder.stages.frame import Frame
from corpus_builder.store.errors import DataError, IntegrityError


def rules(path: Path, keep: str, **extra: str) -> str:
    """A rule set file with one rule `x`."""
    lines = ["name: own", "version: 1", "cite: none", *(f"{k}: {v}" for k, v in extra.items())]
    path.write_text("\n".join([*lines, "rules:", f"  x: {{keep: '{keep}'}}"]) + "\n")
    return str(path)


# --- transforms --------------------------------------------------------------------------------


def test_a_transform_opens_a_text_version_that_all_below_see(small: Built) -> None:
    base, changed = small.rows("web.extract"), small.rows("web.transform")
    late, first = small.rows("web.late.signals"), small.rows("web.filter.signals")
    documents = {row["doc_id"]: row for row in small.rows("web.documents")}
    fewer = []
    for row, sidecar, before, after in zip(base, changed, first, late, strict=True):
        if sidecar["text"] is None or sidecar["dropped_by"]:
            continue
        assert sidecar["text"] != row["text"]
        words = len(re.findall(r"\S+", sidecar["text"]))
        assert after["n_non_symbol_words"] == words
        if words < before["n_non_symbol_words"]:
            fewer.append(row["url"])
        if row["doc_id"] in documents:
            assert documents[row["doc_id"]]["text"] == sidecar["text"]
            assert documents[row["doc_id"]]["n_non_symbol_words"] == words
    assert fewer == ["https://site.example/cookie"]
    cookie = next(row for row in base if row["url"] in fewer)
    assert "cookies" in cookie["text"], "the text above stays where it is"
    for row in documents.values():
        assert "cookies" not in row["text"]


def test_unchanged_texts_are_not_stored_again(tmp_path: Path) -> None:
    rows = [{"text": prose(n)} for n in range(20)]
    rows[7]["text"] += "\nThis site uses cookies."
    rows[9]["text"] = "Accept our use of cookies."
    write_jsonl(tmp_path / "in" / "x.jsonl", rows)
    run = built(
        notes_recipe(tmp_path / "in" / "x.jsonl", {"transform": ["c4-lines"]}), tmp_path / "out"
    )
    sidecar = run.rows("notes.transform")
    stored = {n: row["text"] for n, row in enumerate(sidecar) if row["text"] is not None}
    assert stored == {7: prose(7), 9: ""}
    assert sidecar[9]["dropped_by"] == "transform.empty"
    facts = run.manifests["notes.transform"].facts
    assert facts["changed"] == 2 and facts["removed"]["c4-lines"]["policy"] == 2


def test_a_text_left_empty_is_dropped_with_the_stages_cause(small: Built) -> None:
    rows = zip(small.rows("web.extract"), small.rows("web.transform"), strict=True)
    gone = [
        (row["url"], new["text"]) for row, new in rows if new["dropped_by"] == "transform.empty"
    ]
    assert gone == [("https://site.example/endless", "")]


# --- filters -----------------------------------------------------------------------------------


def test_every_drop_keeps_the_first_rule_and_the_value_that_failed(small: Built) -> None:
    verdicts, signals = small.rows("notes.filter"), small.rows("notes.filter.signals")
    dropped = [
        (verdict, signal) for verdict, signal in zip(verdicts, signals, strict=True)
        if verdict["dropped_by"]
    ]  # fmt: skip
    assert [verdict["dropped_by"] for verdict, _ in dropped] == ["gopher.n_words"] * 2
    for verdict, signal in dropped:
        assert verdict["value"] == signal["n_non_symbol_words"] < 30
        assert verdict["failed"] is not None
    facts = small.manifests["notes.filter"].facts["rules"]
    assert facts["gopher.n_words"]["first"] == 2 <= facts["gopher.n_words"]["any"]


@pytest.mark.parametrize(("on_null", "kept"), [("keep", 20), ("drop", 0), ("error", None)])
def test_a_null_is_not_a_false(tmp_path: Path, on_null: str, kept: int | None) -> None:
    """A division by zero has no answer; the rule set says what that means."""
    write_jsonl(tmp_path / "in" / "x.jsonl", [{"text": prose(n)} for n in range(20)])
    unknown = "n_non_symbol_words / (n_non_symbol_words - n_non_symbol_words) >= 1"
    path = rules(tmp_path / "own.yaml", unknown, on_null=on_null)
    content = notes_recipe(tmp_path / "in" / "x.jsonl", {"filter": [path]})
    if kept is None:
        with pytest.raises(DataError, match=r"own\.x.*on_null"):
            built(content, tmp_path / "out")
        return
    run = built(content, tmp_path / "out")
    assert run.manifests["notes.filter"].counts.records_out == kept
    assert run.lost("notes.filter") == ({"own.x": 20} if on_null == "drop" else {})


def test_signals_are_computed_for_rows_alive_and_null_elsewhere(small: Built) -> None:
    alive = [row["dropped_by"] is None for row in small.rows("web.language")]
    signals = small.rows("web.filter.signals")
    assert False in alive
    for living, row in zip(alive, signals, strict=True):
        assert all((value is not None) == living for value in row.values())


def test_languages_keep_their_label_and_score_beside_the_verdict(small: Built) -> None:
    rows = zip(small.rows("web.language.identify"), small.rows("web.language"), strict=True)
    for found, verdict in rows:
        assert (verdict["dropped_by"] == "language.other") == (found["lang"] == "la")
        assert verdict["value"] == (found["lang_score"] if verdict["dropped_by"] else None)
    assert small.manifests["web.language.identify"].facts["languages"] == {"en": 36, "la": 1}
    assert {row["lang"] for row in small.rows("web.documents")} == {"en"}


def test_tagged_families_are_used_not_computed_again(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "in" / "x.jsonl", [{"text": prose(n)} for n in range(10)])
    content = notes_recipe(
        tmp_path / "in" / "x.jsonl", {"tag": ["gopher"]}, {"filter": ["gopher"]},
        {"transform": ["c4-lines"]}, {"filter as again": ["gopher"]},
    )  # fmt: skip
    run = built(content, tmp_path / "out")
    tags = {name for name in run.plan.stages if "signals" in name or name == "notes.tag"}
    assert tags == {"notes.tag", "notes.again.signals"}, "a new text version needs new signals"
    names = {signal.name for signal in FAMILIES["gopher"].adds}
    assert names == set(run.table("notes.tag").column_names)


# --- frames ------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.booleans(), st.none() | st.integers(0, 9)), max_size=30))
def test_values_of_living_rows_find_their_places_again(rows: list[tuple[bool, int | None]]) -> None:
    values = pa.array([value for _, value in rows], pa.int64())
    frame = Frame({"n": values}, len(rows))
    frame.alive = np.array([alive for alive, _ in rows], bool)
    back = frame.spread(frame.live("n")).to_pylist()
    assert back == [value if alive else None for alive, value in rows]
    assert frame.n_alive == sum(alive for alive, _ in rows)


@given(st.lists(st.none() | st.sampled_from("abc"), max_size=30))
def test_dropping_counts_causes_and_only_what_lives(causes: list[str | None]) -> None:
    frame = Frame({}, len(causes))
    lost = frame.drop(pa.array(causes, pa.string()))
    assert sum(lost.values()) == len(causes) - frame.n_alive
    assert all(causes.count(cause) == count for cause, count in lost.items())


# --- alignment ---------------------------------------------------------------------------------


def sidecar_paths(run: Built, name: str) -> list[Path]:
    stage = run.plan.stages[name]
    return sorted((run.plan.context.folder(stage) / "data").glob("*.parquet"))


@pytest.mark.parametrize("damage", ["missing", "longer", "shorter"])
def test_a_sidecar_out_of_line_is_an_error_never_a_drop(tmp_path: Path, damage: str) -> None:
    import pyarrow.parquet as pq

    write_jsonl(tmp_path / "in" / "x.jsonl", [{"text": prose(n)} for n in range(30)])
    content: dict[str, Any] = notes_recipe(tmp_path / "in" / "x.jsonl", {"filter": ["gopher"]})
    first = built(content, tmp_path / "out")
    path = sidecar_paths(first, "notes.filter")[0]
    table = pq.read_table(path)
    if damage == "missing":
        path.unlink()
    else:
        rows = [*range(len(table)), 0] if damage == "longer" else range(len(table) - 1)
        pq.write_table(table.take(list(rows)), path)
    # Read in a pass over the shard, and read on the way out.
    for later, columns in (([{"filter as late": ["fineweb"]}], []), ([], ["n_non_symbol_words"])):
        other = notes_recipe(tmp_path / "in" / "x.jsonl", {"filter": ["gopher"]}, *later)
        other["corpora"]["notes"]["documents"] = {"columns": columns}
        with pytest.raises(IntegrityError, match=r"cannot be read|where the base table has"):
            built(other, tmp_path / "out")


def test_row_stages_say_which_columns_they_read(small: Built) -> None:
    for above, below in pairwise(stage for stage in small.plan.stages.values()):
        for stage in (above, below):
            if isinstance(stage, RowStage):
                assert set(stage.reads) <= {"text", "doc_id"}
