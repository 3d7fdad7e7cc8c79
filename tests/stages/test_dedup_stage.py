"""Deduplication through the pipeline equals brute force, and every verdict can be checked."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from dedup_reference import greedy, jaccard, shingles
from spine import Built, Row, built, nearly, notes_recipe, prose, write_jsonl

THOROUGH = {"bands": 64, "rows": 4, "threshold": 0.8}
"""A pair at the threshold is missed with probability (1 - .8^4)^64 < 1e-14."""


def families(count: int = 24) -> list[Row]:
    """Originals with copies from equal to rather unlike, in a shuffled order."""
    rows = []
    for n in range(count):
        text = prose(f"family {n}", 16)
        rows.append({"id": f"{n}-original", "text": text})
        rows += [
            {"id": f"{n}-{changes}", "text": nearly(text, f"{n} {changes}", changes)}
            for changes in (0, 1, 2, 4, 6)[: n % 6]
        ]
    rows += [
        {"id": f"short-{n}", "text": text} for n, text in enumerate(("", "a b", "a b", "!", "!"))
    ]
    rows = [row for row in rows if row["text"]]
    random.Random(5).shuffle(rows)
    for n, row in enumerate(rows):
        row["date"] = f"2024-{1 + n * 7 % 12:02d}-{1 + n * 5 % 28:02d}" if n % 4 else ""
        row["text"] += " more." * (n % 3)
    return rows


def deduplicated(folder: Path, rows: list[Row], **options: Any) -> Built:
    write_jsonl(folder / "in" / "x.jsonl", rows)
    content = notes_recipe(folder / "in" / "*.jsonl", {"dedup": THOROUGH | options})
    return built(content, folder / "out")


def ranked(run: Built, keep: str) -> list[int]:
    """Rows in the order in which they are preferred."""
    base = run.rows("notes.read")
    keys = {
        "longest": lambda n: -len(base[n]["text"]),
        "first": lambda n: n,
        "newest": lambda n: -int(base[n]["date"].replace("-", "") or 0),
    }
    return sorted(range(len(base)), key=lambda n: (keys[keep](n), base[n]["doc_id"]))


@pytest.mark.parametrize("keep", ["longest", "first", "newest"])
def test_verdicts_are_those_of_brute_force(tmp_path: Path, keep: str) -> None:
    run = deduplicated(tmp_path, families(), keep=keep)
    base, verdicts = run.rows("notes.read"), run.rows("notes.dedup")
    texts = [row["text"] for row in base]
    expected = greedy(texts, ranked(run, keep), 0.8)
    found = {n: row["keeper"] for n, row in enumerate(verdicts) if row["dropped_by"]}
    assert set(found) == set(expected)
    assert len(expected) > 20, "the planted copies must be there"
    sets = [shingles(text) for text in texts]
    place = {row["doc_id"]: n for n, row in enumerate(base)}
    rank = {row: n for n, row in enumerate(ranked(run, keep))}
    for row, identity in found.items():
        keeper, verdict = place[identity], verdicts[row]
        assert keeper not in found, "a keeper is kept"
        assert rank[keeper] < rank[row], "the keeper is preferred"
        similarity = 1.0 if texts[keeper] == texts[row] else jaccard(sets[row], sets[keeper])
        assert verdict["jaccard"] == round(similarity, 6)
        assert similarity >= 0.8
        best = jaccard(sets[row], sets[expected[row]])
        assert similarity >= best, "the keeper is the most similar of those kept"
        if verdict["dropped_by"] == "dedup.exact":
            assert texts[keeper] == texts[row]
        else:
            assert verdict["dropped_by"] == "dedup.near"


def test_the_groups_count_what_they_found(tmp_path: Path) -> None:
    run = deduplicated(tmp_path, families())
    facts, lost = run.manifests["notes.dedup.groups"].facts, run.lost("notes.dedup")
    assert {"exact": lost["dedup.exact"], "near": lost["dedup.near"]}.items() <= facts.items()
    assert facts["unverified"] == 0 and facts["members"] > facts["components"] > 0


def test_a_component_over_its_bound_is_kept_and_counted(tmp_path: Path) -> None:
    text = prose("giant", 16)
    rows = [{"id": str(n), "text": nearly(text, n)} for n in range(40)]
    run = deduplicated(tmp_path, rows, max_comparisons=2000)
    facts = run.manifests["notes.dedup.groups"].facts
    assert facts["unverified"] > 0
    assert facts["unverified"] + facts.get("near", 0) + facts.get("exact", 0) < 40
    kept = run.manifests["notes.dedup"].counts.records_out
    assert kept == 40 - facts.get("near", 0) - facts.get("exact", 0) > facts["unverified"]


def two_corpora(folder: Path, *corpora: str) -> Built:
    """`a` and `b` with the same texts, those of `b` longer by a word; one grouping over both."""
    texts = [prose(f"both {n}", 16) for n in range(20)]
    write_jsonl(folder / "in" / "a.jsonl", [{"text": text} for text in texts])
    write_jsonl(folder / "in" / "b.jsonl", [{"text": text + " Longer."} for text in texts[5:]])
    content = {
        "name": "two",
        "corpora": {
            name: {"source": {"jsonl": str(folder / "in" / f"{name}.jsonl"), "split_size": "5KB"}}
            for name in ("a", "b")
        },
        "dedup": {"corpora": list(corpora), **THOROUGH},
    }
    return built(content, folder / "-".join(corpora))


@pytest.mark.parametrize("corpora", [("a", "b"), ("b", "a")])
def test_across_corpora_the_first_has_priority_whatever_is_longer(
    tmp_path: Path, corpora: tuple[str, str]
) -> None:
    run = two_corpora(tmp_path, *corpora)
    first, second = corpora
    assert run.lost(f"{first}.dedup-across") == {}
    assert run.lost(f"{second}.dedup-across") == {"dedup-across.near": 15}
    ids = {row["doc_id"] for row in run.rows(f"{first}.documents")}
    for row in run.rows(f"{second}.dedup-across"):
        assert row["keeper"] is None or row["keeper"] in ids


def test_corpora_not_listed_are_left_alone(tmp_path: Path) -> None:
    texts = [{"text": prose(f"three {n}", 16)} for n in range(6)]
    for name in ("a", "b", "c"):
        write_jsonl(tmp_path / "in" / f"{name}.jsonl", texts)
    content = {
        "name": "three",
        "corpora": {
            n: {"source": {"jsonl": str(tmp_path / "in" / f"{n}.jsonl")}} for n in ("a", "b", "c")
        },
        "dedup": {"corpora": ["a", "b"]},
    }
    run = built(content, tmp_path / "out")
    kept = {name: run.table(f"{name}.documents").num_rows for name in ("a", "b", "c")}
    assert kept == {"a": 6, "b": 0, "c": 6}


def test_stages_over_nothing_alive_still_close(tmp_path: Path) -> None:
    """All documents of a corpus dropped by its first filter; every stage below sees no row."""
    write_jsonl(tmp_path / "in" / "x.jsonl", [{"text": prose(n, 16)} for n in range(30)])
    content = notes_recipe(
        tmp_path / "in" / "x.jsonl", {"filter": [{"gopher": {"n_words.min": 5000}}]},
        {"transform": ["c4-lines"]}, {"filter as late": ["gopher"]}, "dedup",
        heldout={"share": "10%"},
    )  # fmt: skip
    content["corpora"]["notes"]["documents"] = {"columns": ["n_non_symbol_words"]}
    run = built(content, tmp_path / "out")
    assert run.lost("notes.filter") == {"gopher.n_words": 30}
    assert run.table("notes.documents").num_rows == 0
    assert set(run.manifests) == set(run.plan.stages)
