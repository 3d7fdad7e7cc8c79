"""Held-out is held out: chosen at the source, never trained on, nor is what resembles it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from dedup_reference import jaccard, shingles
from spine import (
    Built,
    Row,
    built,
    html,
    nearly,
    notes_recipe,
    prose,
    response,
    write_jsonl,
    write_warc,
)

from corpus_builder.stages.keys import HELDOUT_SALT, below, keyed_hash, share_threshold

HELDOUT = {"share": "20%", "max_documents": 1000}


def pairs(count: int = 60, name: str = "pair") -> list[Row]:
    """Documents in near-duplicate pairs, so that some pairs are half held out."""
    rows = []
    for n in range(count):
        text = prose(f"{name} {n}", 16)
        rows += [{"id": f"{n}a", "text": text}, {"id": f"{n}b", "text": nearly(text, n)}]
    return rows


def run_over(folder: Path, *stages: Any, out: str = "out", **blocks: Any) -> Built:
    blocks = {"heldout": HELDOUT} | blocks
    return built(notes_recipe(folder / "in" / "*.jsonl", *stages, **blocks), folder / out)


def chosen(run: Built, share: Fraction, most: int = 1000, stage: str = "notes.read") -> set[bytes]:
    """Records held out by definition: those whose keyed hash is below the share of their source."""
    ids = [row["doc_id"] for row in run.rows(stage)]
    keys = keyed_hash(pa.array(ids, pa.binary(16)), HELDOUT_SALT)
    limit = share_threshold(share, most, len(ids))
    return {ids[n] for n in np.flatnonzero(below(keys, limit))}


def reserved(run: Built, corpus: str = "notes") -> set[bytes]:
    base, guard = run.rows(f"{corpus}.read"), run.rows(f"{corpus}.guard")
    rows = zip(base, guard, strict=True)
    return {one["doc_id"] for one, verdict in rows if verdict["dropped_by"] == "heldout.reserved"}


@pytest.mark.parametrize("stages", [(), ("dedup",)], ids=["dedup off", "dedup on"])
def test_what_resembles_a_heldout_document_leaves_training(
    tmp_path: Path, stages: tuple[Any, ...]
) -> None:
    write_jsonl(tmp_path / "in" / "x.jsonl", pairs())
    run = run_over(tmp_path, *stages)
    held, base = run.rows("heldout"), run.rows("notes.read")
    sets = {row["doc_id"]: shingles(row["text"]) for row in [*base, *held]}
    training = {row["doc_id"] for row in run.rows("notes.documents")}
    assert not training & chosen(run, Fraction(1, 5)), "no record that is held out"
    for document in training:
        for row in held:
            assert jaccard(sets[document], sets[row["doc_id"]]) < 0.8
    near = [row for row in run.rows("notes.guard") if row["dropped_by"] == "heldout.near"]
    assert near, "some pairs are half held out"
    names = {row["doc_id"] for row in held}
    for row, verdict in zip(base, run.rows("notes.guard"), strict=True):
        if verdict["dropped_by"] == "heldout.near":
            assert verdict["keeper"] in names
            similarity = jaccard(sets[row["doc_id"]], sets[verdict["keeper"]])
            assert verdict["jaccard"] == round(similarity, 6) and similarity >= 0.8


def test_the_share_counts_records_of_the_source(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "in" / "x.jsonl", pairs(200))
    run = run_over(tmp_path)
    assert reserved(run) == chosen(run, Fraction(1, 5))
    assert 50 < len(reserved(run)) < 110, "about a fifth of 400"


def test_pages_that_cannot_be_extracted_are_records_of_the_source_too(tmp_path: Path) -> None:
    """Else another extractor would hold out other pages."""
    pages = [
        response(f"https://site.example/{n}", html(prose(n) if n % 2 else "")) for n in range(60)
    ]
    write_warc(tmp_path / "x.warc.gz", pages)
    content = notes_recipe("", {"extract": {"tool": "resiliparse"}})
    content["corpora"]["notes"]["source"] = {"warc": str(tmp_path / "x.warc.gz")}
    content["heldout"] = {"share": "90%", "max_documents": 20}
    run = built(content, tmp_path / "out")
    assert run.lost("notes.extract") == {"no_text": 30}
    base, guard = run.rows("notes.extract"), run.rows("notes.guard")
    keys = keyed_hash(pa.array([row["doc_id"] for row in base], pa.binary(16)), HELDOUT_SALT)
    expected = below(keys, share_threshold(Fraction(9, 10), 20, 60)).tolist()
    assert [row["dropped_by"] == "heldout.reserved" for row in guard] == expected
    assert 3 < sum(expected) < 18, "a third of them, not two"


def test_who_is_held_out_does_not_depend_on_filters(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "in" / "x.jsonl", [{"text": prose(n, 4 + n % 20)} for n in range(120)])
    loose = run_over(tmp_path, out="loose")
    hard = run_over(tmp_path, {"filter": [{"gopher": {"n_words.min": 130}}]}, "dedup", out="hard")
    alive = {
        row["doc_id"]
        for row, verdict in zip(hard.rows("notes.read"), hard.rows("notes.filter"), strict=True)
        if verdict["dropped_by"] is None
    }
    assert 20 < len(alive) < 100
    assert reserved(hard) == reserved(loose) & alive
    assert reserved(loose) == chosen(loose, Fraction(1, 5))


@pytest.mark.parametrize("most", [10, 1000])
def test_adding_files_holds_out_no_other_records_of_the_old_ones(tmp_path: Path, most: int) -> None:
    """With the cap in force fewer of the old ones, never others; without it the same."""
    heldout = {"share": "20%", "max_documents": most}
    write_jsonl(tmp_path / "in" / "a.jsonl", [{"text": prose(f"a {n}")} for n in range(100)])
    before = run_over(tmp_path, heldout=heldout, out="before")
    old = {row["doc_id"] for row in before.rows("notes.read")}
    write_jsonl(tmp_path / "in" / "b.jsonl", [{"text": prose(f"b {n}")} for n in range(150)])
    after = run_over(tmp_path, heldout=heldout, out="after")
    assert reserved(after) & old <= reserved(before)
    if most == 1000:
        assert reserved(after) & old == reserved(before)


def test_no_corpus_gives_more_than_max_documents_and_the_rest_is_counted(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "in" / "x.jsonl", [{"text": prose(n)} for n in range(150)])
    run = run_over(tmp_path, heldout={"share": "50%", "max_documents": 12})
    facts = run.manifests["heldout"].facts["heldout"]["notes"]
    assert len(run.rows("heldout")) == facts["chosen"] <= 12
    assert facts["chosen"] + facts["duplicates"] + facts["over_cap"] == len(reserved(run))


def test_heldout_documents_are_no_near_duplicates_of_each_other(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "in" / "x.jsonl", pairs())
    run = run_over(tmp_path, heldout={"share": "60%", "max_documents": 1000})
    sets = [shingles(row["text"]) for row in run.rows("heldout")]
    assert run.manifests["heldout"].facts["heldout"]["notes"]["duplicates"] > 0
    assert max(jaccard(a, b) for n, a in enumerate(sets) for b in sets[:n]) < 0.8


def test_copies_in_other_corpora_leave_too_even_without_any_dedup(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "in" / "x.jsonl", [{"text": prose(f"x {n}", 16)} for n in range(80)])
    alone = run_over(tmp_path, out="alone")
    held = {row["text"] for row in alone.rows("heldout")}
    free = [row["text"] for row in alone.rows("notes.documents")][:10]
    copies = [{"text": nearly(text, n)} for n, text in enumerate(sorted(held))]
    copies += [{"text": nearly(text, n)} for n, text in enumerate(free)]
    write_jsonl(tmp_path / "other" / "y.jsonl", copies)
    content = notes_recipe(tmp_path / "in" / "*.jsonl", heldout=HELDOUT)
    content["corpora"]["other"] = {"source": {"jsonl": str(tmp_path / "other" / "y.jsonl")}}
    run = built(content, tmp_path / "both")
    assert {row["text"] for row in run.rows("heldout")} >= held, "records of notes as before"
    base, guard = run.rows("other.read"), run.rows("other.guard")
    fates = {row["text"]: verdict["dropped_by"] for row, verdict in zip(base, guard, strict=True)}
    assert {fates[row["text"]] for row in copies[: len(held)]} <= {
        "heldout.near",
        "heldout.reserved",
    }
    assert "heldout.near" in fates.values()
    assert {fates[row["text"]] for row in copies[len(held) :]} <= {
        None,
        "heldout.reserved",
        "heldout.near",
    }
    assert None in {fates[row["text"]] for row in copies[len(held) :]}


def test_copies_of_heldout_documents_without_a_word_leave_too(tmp_path: Path) -> None:
    """They have no shingles; equal text is enough."""
    texts = ["!!! ???", "... ---", "### $$$", "*** +++"]
    rows = [{"text": text} for text in texts * 12] + [{"text": prose(n)} for n in range(40)]
    write_jsonl(tmp_path / "in" / "x.jsonl", rows)
    run = run_over(tmp_path)
    held = {row["text"] for row in run.rows("heldout")}
    assert held & set(texts)
    assert not held & {row["text"] for row in run.rows("notes.documents")}


def test_nothing_heldout_reaches_documents_tokens_or_tokenizer(small: Built) -> None:
    held = {row["doc_id"] for row in small.rows("heldout")}
    assert held
    for corpus in ("web", "notes", "code"):
        base = {"web": "web.extract"}.get(corpus, f"{corpus}.read")
        held |= chosen(small, Fraction(1, 20), 12, base)
    trained: list[Row] = []
    for corpus in ("web", "notes", "code"):
        documents = small.rows(f"{corpus}.documents")
        assert not held & {row["doc_id"] for row in documents}
        tokens = small.rows(f"{corpus}.tokens")
        assert {row["doc_id"] for row in tokens} == {row["doc_id"] for row in documents}
        trained += documents
    facts = small.manifests["tokenizer"].facts["trained_on"]
    size = sum(len(row["text"].encode()) for row in trained)
    assert facts["documents"] <= len(trained) and facts["bytes"] <= min(size, 200_000)


def test_texts_of_ones_own_are_held_out_whole_and_guarded_against(tmp_path: Path) -> None:
    """Before any cap, and first where they resemble a corpus' held-out document."""
    write_jsonl(tmp_path / "in" / "x.jsonl", [{"text": prose(n, 16)} for n in range(60)])
    own = [nearly(prose(n, 16), n) for n in range(20)]
    (tmp_path / "own").mkdir()
    for n, text in enumerate(own):
        (tmp_path / "own" / f"{n:02d}.txt").write_text(text)
    heldout = {"share": "20%", "max_documents": 5, "texts": {"mine": f"{tmp_path}/own/*.txt"}}
    run = run_over(tmp_path, heldout=heldout)
    held = run.rows("heldout")
    assert [row["text"] for row in held if row["corpus"] == "mine"] == own
    assert run.manifests["heldout"].facts["heldout"]["mine"] == {
        "chosen": 20, "duplicates": 0, "over_cap": 0,
    }  # fmt: skip
    training = [shingles(row["text"]) for row in run.rows("notes.documents")]
    assert training
    for text in own:
        assert max(jaccard(shingles(text), one) for one in training) < 0.8
    near = [row for row in run.rows("notes.guard") if row["dropped_by"] == "heldout.near"]
    assert len(near) + len(reserved(run)) >= 20


def test_other_texts_are_another_guard_and_the_same_ones_are_not(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "in" / "x.jsonl", [{"text": prose(n, 16)} for n in range(20)])
    (tmp_path / "own.md").write_text(prose("own", 16))
    heldout = HELDOUT | {"texts": {"mine": str(tmp_path / "own.md")}}
    first = run_over(tmp_path, heldout=heldout)
    (tmp_path / "own.md").touch()
    assert run_over(tmp_path, heldout=heldout).manifests["heldout"] == first.manifests["heldout"]
    (tmp_path / "own.md").write_text(prose("other", 16))
    again = run_over(tmp_path, heldout=heldout)
    assert again.manifests["heldout"] != first.manifests["heldout"]
    assert again.manifests["notes.read"] == first.manifests["notes.read"]
