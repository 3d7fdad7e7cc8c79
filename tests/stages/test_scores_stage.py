"""Scores through the pipeline: read with the text, then signals of their rows like any other."""

from __future__ import annotations

import copy
import math
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from spine import (
    Built,
    Row,
    built,
    nearly,
    planned,
    prose,
    tree,
    write_jsonl,
    write_parquet,
    write_recipe,
)

from corpus_builder.recipe import load_recipe
from corpus_builder.report.verify import verify
from corpus_builder.stages.filter import FilterStage
from corpus_builder.stages.read import BASE_SCHEMA
from corpus_builder.store.errors import DataError, SourceError
from corpus_builder.trial.arms import plan_arms

LEAST = 3.0
RULES = """\
name: educational
version: 1
cite: none
on_null: {on_null}
rules:
  score:
    keep: "edu_score >= min"
    min: {least}
"""


def web_rows() -> list[Row]:
    """Parquet rows: a score each, one null, one NaN, a row without text, a near-duplicate."""
    dice = random.Random(5)
    rows = [
        {"text": prose(f"web {n}"), "id": f"w{n}", "score": dice.uniform(1, 5), "int_score": n % 6}
        for n in range(120)
    ]
    rows[4]["score"], rows[5]["score"], rows[6]["text"] = None, math.nan, None
    rows[8]["score"] = rows[9]["score"] = 4.5
    rows[9]["text"] = nearly(str(rows[8]["text"]), 9)
    return rows


def notes_rows() -> list[Row]:
    """JSONL rows: whole and other numbers, flags; one null, one absent, one no number."""
    rows: list[Row] = [{"text": prose(f"note {n}"), "id": f"n{n}", "q": n / 7} for n in range(60)]
    rows[1]["q"], rows[2]["q"], rows[3]["q"], rows[4]["q"] = 3, True, None, "7"
    del rows[5]["q"]
    return rows


def rules(folder: Path, on_null: str = "drop", least: float = LEAST) -> str:
    path = folder / "educational.yaml"
    path.write_text(RULES.format(on_null=on_null, least=least))
    return str(path)


def recipe(folder: Path, rule_set: str) -> dict[str, Any]:
    """A filter below a transform, buckets and documents read the scores of two corpora."""
    return {
        "name": "scored",
        "corpora": {
            "web": {
                "source": {
                    "parquet": str(folder / "web" / "*.parquet"), "split_size": "4KB",
                    "scores": {"edu_score": "score", "whole": "int_score"},
                },
                "stages": [
                    {"transform": [{"c4-lines": {"min_words_per_line": 9}}]},
                    {"filter": [rule_set, {"gopher": {"n_words.min": 30}}]},
                    {"dedup": {"keep": "first"}},
                ],
                "documents": {"columns": ["n_words", "edu_score"]},
            },
            "notes": {
                "source": {"jsonl": str(folder / "notes.jsonl"), "scores": {"quality": "q"}},
                "documents": {"columns": ["quality"]},
            },
        },
        "heldout": {"share": "5%", "max_documents": 4},
        "tokenizer": {"train": {"vocab": 300, "max_bytes": "100KB"}},
        "mix": {
            "tokens": 6_000,
            "sequence_length": 64,
            "weights": {"web": 0.6, "notes": 0.4},
            "buckets": {
                "web": {"by": "edu_score", "quantiles": ["50%"], "times": [1, 3]},
                "notes": {"by": "quality", "edges": [4], "times": [1, 2], "on_null": 0},
            },
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("scored")
    write_parquet(found / "web" / "a.parquet", web_rows()[:70])
    write_parquet(found / "web" / "b.parquet", web_rows()[70:])
    write_jsonl(found / "notes.jsonl", notes_rows())
    return found


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return built(recipe(folder, rules(folder)), tmp_path_factory.mktemp("run"))


def given(rows: list[Row], key: str) -> dict[str, float | None]:
    """id -> the number of the input as a score."""
    numbers = {row["id"]: row.get(key) for row in rows}
    return {
        name: None if n is None or n != n else round(float(n), 6) for name, n in numbers.items()
    }


def done(run: Built) -> set[str]:
    return {name for name, count in run.report.done.items() if count}


def test_scores_stand_in_the_base_table_after_its_columns(run: Built) -> None:
    table = run.table("web.read")
    added = [("edu_score", pa.float64()), ("whole", pa.float64())]
    assert table.schema == pa.schema([*BASE_SCHEMA, *added])
    for name, key in (("edu_score", "score"), ("whole", "int_score")):
        found = dict(zip(table["source_id"].to_pylist(), table[name].to_pylist(), strict=True))
        expected = given(web_rows(), key)
        del expected["w6"]
        assert found == expected


def test_what_has_no_score_or_none_that_is_a_number_is_counted(run: Built) -> None:
    web, notes = run.manifests["web.read"], run.manifests["notes.read"]
    assert web.facts["without_score"] == {"edu_score": 2, "whole": 0}
    assert web.counts.lost == {"text_null": 1}
    assert notes.facts["without_score"] == {"quality": 2}
    assert notes.counts.lost == {"score_not_number": 1}
    (lost,) = run.rows("notes.read", "lost")
    assert (lost["cause"], lost["detail"]) == ("score_not_number", "q is a str")
    assert notes.counts.records_in == 60


def test_a_rule_keeps_by_the_score_and_puts_it_on_record(run: Built) -> None:
    scores = given(web_rows(), "score")
    base = [row["source_id"] for row in run.rows("web.read")]
    verdicts = run.rows("web.filter")
    for name, verdict in zip(base, verdicts, strict=True):
        score = scores[name]
        if score is None or score < LEAST:
            assert (verdict["dropped_by"], verdict["value"]) == ("educational.score", score)
        else:
            assert verdict["dropped_by"] != "educational.score"
    found = [scores[name] for name in base]
    dropped = sum(score is None or score < LEAST for score in found)
    assert run.lost("web.filter")["educational.score"] == dropped


def test_documents_carry_the_scores_of_their_rows(run: Built) -> None:
    rows, scores = run.rows("web.documents"), given(web_rows(), "score")
    assert len(rows) > 30
    assert list(rows[0])[-2:] == ["n_words", "edu_score"]
    assert {row["source_id"]: row["edu_score"] for row in rows} == {
        row["source_id"]: scores[row["source_id"]] for row in rows
    }
    assert "w9" not in {row["source_id"] for row in rows}, "the stages between still do their work"
    quality = given(notes_rows(), "q")
    notes = run.rows("notes.documents")
    assert {row["source_id"]: row["quality"] for row in notes} == {
        row["source_id"]: quality[row["source_id"]] for row in notes
    }
    assert None in {row["quality"] for row in notes}


def test_buckets_cut_by_scores(run: Built) -> None:
    ranked = sorted(row["edu_score"] for row in run.rows("web.documents"))
    facts = run.manifests["mix"].facts["buckets"]
    edge = ranked[len(ranked) // 2]
    assert facts["web"]["edges"] == [edge]
    high = sum(score >= edge for score in ranked)
    assert facts["web"]["documents"] == {"0": len(ranked) - high, "1": high}
    notes = [row["quality"] for row in run.rows("notes.documents")]
    high = sum(value is not None and value >= 4 for value in notes)
    assert facts["notes"]["documents"] == {"0": len(notes) - high, "1": high}
    assert facts["notes"]["nulls"] == notes.count(None)
    epochs = {name: part["epochs"] for name, part in run.manifests["mix"].facts["corpora"].items()}
    assert epochs["web.b1"] > 2 * epochs["web.b0"]


def test_nothing_is_computed_for_scores_and_the_run_verifies(run: Built) -> None:
    assert "web.buckets.signals" not in run.plan.stages
    assert "notes.documents.signals" not in run.plan.stages
    stage = run.plan.stages["web.filter"]
    assert isinstance(stage, FilterStage)
    assert stage.reads == ("edu_score",), "of the base table; n_words has its sidecar"
    checks = list(verify(run.out / "stages", run.plan.manifests()))
    assert [check.finding for check in checks if check.finding] == []


def test_the_split_and_a_resumed_run_change_no_score(
    folder: Path, run: Built, tmp_path: Path
) -> None:
    content = recipe(folder, rules(folder))
    content["corpora"]["web"]["source"]["split_size"] = "1MB"
    whole = built(content, tmp_path, until="web.documents")
    assert len(whole.plan.splits["web"]) < len(run.plan.splits["web"])
    assert whole.rows("web.documents") == run.rows("web.documents")
    before = tree(tmp_path / "stages")
    for record in (tmp_path / "stages").glob("web.filter-*/records/data/*"):
        record.unlink()
    for manifest in (tmp_path / "stages").glob("web.filter-*/manifest.json"):
        manifest.unlink()
    again = built(content, tmp_path, until="web.documents")
    assert done(again) == {"web.filter", "web.dedup.bands"}, "the pass from there on"
    assert tree(tmp_path / "stages") == before


# --- what is read anew -------------------------------------------------------------------------


def test_the_mapping_is_what_the_first_stage_reads_and_a_threshold_is_not(
    folder: Path, tmp_path: Path
) -> None:
    first = recipe(folder, rules(folder))
    source = first["corpora"]["web"]["source"]
    ran = built(first, tmp_path, until="web.filter")
    assert "web.read" in done(ran)

    stricter = copy.deepcopy(first)
    stricter["corpora"]["web"]["stages"][1]["filter"][0] = {
        rules(folder): {"score.min": 4.0, "on_null": "keep"}
    }
    ran = built(stricter, tmp_path, until="web.filter")
    assert "web.filter" in done(ran)
    assert not done(ran) & {"web.read", "web.transform", "web.filter.signals"}

    for scores in (
        {"edu_score": "int_score", "whole": "int_score"},
        {"edu_score": "score", "entire": "int_score"},
        {"edu_score": "score"},
    ):
        other = copy.deepcopy(first)
        other["corpora"]["web"]["source"] = source | {"scores": scores}
        assert "web.read" in done(built(other, tmp_path, until="web.filter"))

    turned = copy.deepcopy(first)
    turned["corpora"]["web"]["source"] = source | {
        "scores": dict(reversed(source["scores"].items()))
    }
    assert done(built(turned, tmp_path, until="web.filter")) == set(), "order says nothing"


def test_a_recipe_without_scores_keeps_its_identity(folder: Path, tmp_path: Path) -> None:
    source = {"parquet": str(folder / "web" / "*.parquet")}
    content = {"name": "plain", "corpora": {"web": {"source": source}}}
    stage = planned(content, tmp_path).stages["web.read"]
    assert stage.identity["config"] == {
        "kind": "parquet",
        "options": {
            "max_record_bytes": 16_000_000, "on_bad_file": "error", "columns": {"text": "text"},
        },
    }  # fmt: skip
    pinned = "6384710ddc1e668b046c4bb267145e93f3a125b0e7d0b5dfe39bc9440bfc9d85"
    assert stage.fingerprint == pinned


def test_an_arm_can_read_another_column(folder: Path, tmp_path: Path) -> None:
    content = recipe(folder, rules(folder))
    content["trial"] = {
        "model": "1M",
        "target": {"web": 1},
        "arms": {"whole": {"corpora.web.source.scores": {"edu_score": "int_score"}}},
    }
    base, arm = plan_arms(load_recipe(write_recipe(tmp_path / "r.yaml", content)), tmp_path)
    for name, same in (("web.read", False), ("web.filter", False), ("notes.read", True)):
        assert (base.plan.stages[name].fingerprint == arm.plan.stages[name].fingerprint) == same


# --- what only data can tell -------------------------------------------------------------------


def test_a_null_score_stops_drops_or_keeps_as_the_rule_set_says(
    folder: Path, run: Built, tmp_path: Path
) -> None:
    ids = [row["source_id"] for row in run.rows("web.read")]
    for on_null, kept in (("drop", False), ("keep", True)):
        content = recipe(folder, rules(tmp_path, on_null))
        found = built(content, tmp_path / "out", until="web.filter").rows("web.filter")
        assert (found[ids.index("w4")]["dropped_by"] is None) == kept
    with pytest.raises(DataError, match=r"educational\.score: no answer for .*null: edu_score"):
        built(recipe(folder, rules(tmp_path, "error")), tmp_path / "out", until="web.filter")


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_a_file_without_the_column_is_refused_or_counted(tmp_path: Path, policy: str) -> None:
    write_parquet(tmp_path / "a.parquet", [{"text": prose(1), "score": 1.5}])
    write_parquet(tmp_path / "b.parquet", [{"text": prose(2), "scores": 1.5}])
    source = {
        "parquet": str(tmp_path / "*.parquet"), "scores": {"edu": "score"}, "on_bad_file": policy,
    }  # fmt: skip
    content = {"name": "files", "corpora": {"web": {"source": source}}}
    if policy == "error":
        with pytest.raises(SourceError, match=r"b\.parquet: no column 'score' .*mean 'scores'"):
            built(content, tmp_path / "out")
    else:
        run = built(content, tmp_path / "out")
        assert run.lost("web.read") == {"unreadable_file": 1}
        assert [row["edu"] for row in run.rows("web.read")] == [1.5]


def test_a_quantile_of_infinite_scores_is_refused(tmp_path: Path) -> None:
    rows = [{"text": prose(n), "ppl": math.inf if n > 2 else n} for n in range(12)]
    write_parquet(tmp_path / "a.parquet", rows)
    cut: dict[str, Any] = {"by": "ppl", "quantiles": ["50%"], "times": [2, 1]}
    content = {
        "name": "infinite",
        "corpora": {
            "web": {"source": {"parquet": str(tmp_path / "*.parquet"), "scores": {"ppl": "ppl"}}}
        },
        "tokenizer": {"train": {"vocab": 300}},
        "mix": {
            "tokens": 64, "sequence_length": 8, "weights": {"web": 1}, "buckets": {"web": cut},
        },
    }  # fmt: skip
    with pytest.raises(DataError, match=r"a quantile of 'ppl' is infinite; use other quantiles"):
        built(content, tmp_path / "out")
    del cut["quantiles"]
    cut["edges"] = [100]
    facts = built(content, tmp_path / "out").manifests["mix"].facts
    assert facts["buckets"]["web"]["documents"] == {"0": 3, "1": 9}
