"""Buckets through the pipeline: every document in one, each read as often as the recipe says."""

from __future__ import annotations

import copy
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from spine import Built, Row, built, notes_recipe, planned, recipe, write_jsonl
from test_tokens_stage import encoded, keys_of, stream, tokenizer_of

from corpus_builder.export.run import export
from corpus_builder.report.funnel import as_json, render
from corpus_builder.report.sequence import show
from corpus_builder.report.verify import verify
from corpus_builder.signals import FAMILIES, family_of
from corpus_builder.stages.mix import MixStage
from corpus_builder.store.errors import DataError

LENGTH = 64
SIGNAL = "n_non_symbol_words"
CUT = {
    "notes": {"by": SIGNAL, "quantiles": [0.3, 0.7], "times": [0, 1, 3]},
    "code": {"by": "mean_line_length", "edges": [20.6], "times": [1, 0.5]},
}


def with_buckets(inputs: Path, small: Built, out: Path, **mix: Any) -> Built:
    """The standard run with buckets; all it has in common with the plain one is taken over."""
    content = copy.deepcopy(recipe(inputs))
    content["mix"] |= {"buckets": CUT} | mix
    shutil.copytree(small.out, out, symlinks=True, ignore=shutil.ignore_patterns("mix-*"))
    return built(content, out)


@pytest.fixture(scope="module")
def cut(inputs: Path, small: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return with_buckets(inputs, small, tmp_path_factory.mktemp("cut") / "out")


def values(run: Built, corpus: str, signal: str) -> dict[bytes, float]:
    """doc_id -> the signal of each kept document, computed here and now."""
    table = run.table(f"{corpus}.documents").combine_chunks()
    text = pa.concat_arrays(table.column("text").chunks)
    found = family_of(signal).compute(text).column(signal).to_pylist()
    return dict(zip(table.column("doc_id").to_pylist(), found, strict=True))


def members(run: Built, corpus: str, signal: str) -> list[set[bytes]]:
    """Documents of each bucket, by the edges on record."""
    edges = run.manifests["mix"].facts["buckets"][corpus]["edges"]
    found: list[set[bytes]] = [set() for _ in range(len(edges) + 1)]
    for identity, value in values(run, corpus, signal).items():
        found[sum(value >= edge for edge in edges)].add(identity)
    return found


def test_every_kept_document_is_in_one_bucket_and_all_are_counted(cut: Built) -> None:
    ranked = sorted(values(cut, "notes", SIGNAL).values())
    facts = cut.manifests["mix"].facts["buckets"]
    n = len(ranked)
    assert facts["notes"]["edges"] == [ranked[n * 3 // 10], ranked[n * 7 // 10]]
    assert facts["code"]["edges"] == [20.6]
    for corpus, signal in (("notes", SIGNAL), ("code", "mean_line_length")):
        counts = [len(part) for part in members(cut, corpus, signal)]
        assert min(counts) > 5
        assert list(facts[corpus]["documents"].values()) == counts
        assert sum(counts) == cut.manifests[f"{corpus}.documents"].counts.records_out
        assert facts[corpus]["times"] == CUT[corpus]["times"]
    assert "web" not in facts


def test_the_store_of_a_bucket_is_its_documents_in_hash_order(cut: Built) -> None:
    whole, parts = encoded(cut, "notes"), members(cut, "notes", SIGNAL)
    end = tokenizer_of(cut).token_to_id("<|endoftext|>")
    for bucket in (1, 2):
        name = f"notes.b{bucket}"
        assert encoded(cut, name) == {d: t for d, t in whole.items() if d in parts[bucket]}
        ids = sorted(parts[bucket], key=lambda identity: (int(keys_of([identity])[0]), identity))
        flat = [token for identity in ids for token in [*whole[identity], end]]
        sequences = len(flat) // LENGTH
        found = stream(cut, name)
        assert found.tolist() == np.array(flat[: sequences * LENGTH]).reshape(-1, LENGTH).tolist()
        facts = cut.manifests[f"{name}.tokens"].facts
        assert facts["documents"] == len(ids)
        assert facts["tokens"] + facts["tail_tokens"] == len(flat)


def test_a_bucket_that_is_read_no_times_has_no_store(cut: Built) -> None:
    assert {"notes.b1.tokens", "notes.b2.tokens", "web.tokens"} <= set(cut.plan.stages)
    assert not {"notes.b0.encode", "notes.b0.tokens", "notes.tokens"} & set(cut.plan.stages)


def test_buckets_are_read_at_their_rates_and_the_corpus_keeps_its_count(
    inputs: Path, small: Built, tmp_path: Path
) -> None:
    weights = {"web": 0, "notes": 0.9, "code": 0.1}
    mix = {"tokens": 320_000, "weights": weights, "max_epochs": 20}
    run = with_buckets(inputs, small, tmp_path / "out", **mix)
    facts = run.manifests["mix"].facts["corpora"]
    total = 320_000 // LENGTH
    assert facts["notes.b1"]["sequences"] + facts["notes.b2"]["sequences"] == total * 9 // 10
    assert facts["code.b0"]["sequences"] + facts["code.b1"]["sequences"] == total // 10
    assert facts["notes.b2"]["epochs"] == pytest.approx(3 * facts["notes.b1"]["epochs"], rel=0.01)
    assert facts["code.b0"]["epochs"] == pytest.approx(2 * facts["code.b1"]["epochs"], rel=0.02)
    rows = datasets.load_from_disk(str(run.out / "mix")).with_format("numpy")["input_ids"][:]
    seen = Counter(row.tobytes() for row in np.asarray(rows))
    for name in ("notes.b1", "notes.b2", "code.b0", "code.b1"):
        epochs = facts[name]["epochs"]
        uses = {seen[row.tobytes()] for row in stream(run, name).astype(rows.dtype)}
        assert uses <= {int(epochs), int(epochs) + 1}, name
    assert facts["notes.b2"]["epochs"] > 3


def test_only_what_must_is_built_anew(
    inputs: Path, small: Built, cut: Built, tmp_path: Path
) -> None:
    def done(run: Built) -> set[str]:
        return {name for name, count in run.report.done.items() if count}

    parts = {
        f"{part}.{stage}" for stage in ("encode", "tokens") for part in ("notes.b1", "notes.b2")
    }
    code = {"code.buckets", "code.b0.encode", "code.b0.tokens", "code.b1.encode", "code.b1.tokens"}
    notes = {"notes.buckets.signals", "notes.buckets", *parts}
    # The filters of both corpora read the signal, or its family: nothing is computed again.
    assert done(cut) == (notes - {"notes.buckets.signals"}) | code | {"mix"}
    times = copy.deepcopy(CUT) | {"notes": CUT["notes"] | {"times": [0, 2, 3]}}
    again = with_buckets(inputs, cut, tmp_path / "times", buckets=times)
    assert done(again) == {"mix"}
    edges = copy.deepcopy(CUT) | {"notes": CUT["notes"] | {"quantiles": [0.3, 0.6]}}
    again = with_buckets(inputs, cut, tmp_path / "edges", buckets=edges)
    assert done(again) == {"notes.buckets", *parts, "mix"}
    other = copy.deepcopy(CUT) | {"notes": CUT["notes"] | {"by": "n_bytes"}}
    again = with_buckets(inputs, cut, tmp_path / "by", buckets=other)
    assert done(again) == notes | {"mix"}


def test_what_looks_at_a_run_knows_buckets(cut: Built) -> None:
    mix = cut.plan.stages["mix"]
    assert isinstance(mix, MixStage)
    order = mix.order(cut.plan.context)
    parts, corpora = members(cut, "notes", SIGNAL), set[str]()
    for number in range(40):
        view = show(cut.plan.context, mix, number)
        corpora.add(view.corpus)
        assert view.corpus == order.names[order.sequence_at(number)[0]]
        if view.corpus.startswith("notes."):
            bucket = int(view.corpus[-1])
            assert {bytes.fromhex(piece.doc_id) for piece in view.pieces} <= parts[bucket]
    assert corpora == {"web", "notes.b1", "notes.b2", "code.b0", "code.b1"}
    checks = list(verify(cut.out / "stages", cut.plan.manifests()))
    assert [check.finding for check in checks if check.finding] == []
    assert set(as_json(cut.plan.manifests())["tokens"]) == corpora
    assert len(render(cut.plan.manifests())) == 3 + 1 + 2, "corpora, mix, and both cuts"
    assert all(units == done for done, units in cut.plan.progress().values())


def test_exports_hold_each_bucket_that_is_read_with_its_weight(cut: Built, tmp_path: Path) -> None:
    report = export(cut.plan.context, "small", "parquet", tmp_path / "text", "text")
    rows: list[Row] = [
        row
        for path in sorted((tmp_path / "text" / "data").glob("train-*"))
        for row in pq.read_table(path).to_pylist()
    ]
    parts = members(cut, "notes", SIGNAL)
    texts = {row["doc_id"].hex(): row["text"] for row in cut.rows("notes.documents")}
    for bucket in (1, 2):
        found = {row["doc_id"]: row["text"] for row in rows if row["corpus"] == f"notes.b{bucket}"}
        assert found == {identity.hex(): texts[identity.hex()] for identity in parts[bucket]}
    assert not {identity.hex() for identity in parts[0]} & {row["doc_id"] for row in rows}
    assert {row["corpus"] for row in rows} == set(report.manifest.weights)
    facts = cut.manifests["mix"].facts["corpora"]
    assert report.manifest.weights == {n: part["requested_weight"] for n, part in facts.items()}
    assert report.manifest.counts["heldout"]["documents"] == len(cut.rows("heldout"))
    report = export(cut.plan.context, "small", "megatron", tmp_path / "megatron", "documents")
    counts = report.manifest.counts["corpora"]
    assert {part["documents"] for part in counts.values()} == {
        cut.manifests[f"{name}.tokens"].facts["documents"] for name in counts
    }
    assert (tmp_path / "megatron" / "notes.b2.bin").exists()


# --- values that are missing or equal ------------------------------------------------------------


def of_lengths(folder: Path, lengths: list[int], cut: dict[str, Any]) -> dict[str, Any]:
    rows = [{"text": f"w{n} " * (length - 1) + "end"} for n, length in enumerate(lengths)]
    write_jsonl(folder / "in.jsonl", rows)
    mix = {"tokens": 64, "sequence_length": 8, "weights": {"notes": 1}, "buckets": {"notes": cut}}
    return notes_recipe(folder / "in.jsonl", mix=mix, tokenizer={"train": {"vocab": 300}})


def test_quantiles_that_equal_values_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    cut = {"by": "n_words", "quantiles": [0.2, 0.5], "times": [1, 1, 1]}
    with pytest.raises(DataError, match=r"bucket 1 is empty: .*'n_words'.* are 50\.0, 50\.0"):
        built(of_lengths(tmp_path, [40, 50, 50, 50, 50, 90], cut), tmp_path / "out")


def test_an_empty_bucket_between_edges_is_on_record(tmp_path: Path) -> None:
    cut = {"by": "n_words", "edges": [45, 60, 80], "times": [1, 1, 1, 2]}
    run = built(of_lengths(tmp_path, [40, 50, 50, 90], cut), tmp_path / "out")
    facts = run.manifests["mix"].facts
    assert facts["buckets"]["notes"]["documents"] == {"0": 1, "1": 2, "2": 0, "3": 1}
    assert facts["corpora"]["notes.b2"]["sequences"] == 0
    assert run.manifests["notes.b2.tokens"].facts["sequences"] == 0


def sometimes_null(text: pa.Array) -> pa.RecordBatch:
    """The `text` family, but texts of 50 words have no `n_words`."""
    found = FAMILIES["text"].compute(text)
    words = found.column("n_words")
    place = found.schema.get_field_index("n_words")
    return found.set_column(place, "n_words", pc.if_else(pc.equal(words, 50), None, words))


def test_a_document_without_a_value_stops_the_run_or_goes_where_the_recipe_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patched = dict(FAMILIES) | {"text": replace(FAMILIES["text"], compute=sometimes_null)}
    monkeypatch.setattr("corpus_builder.stages.tag.FAMILIES", patched)
    cut: dict[str, Any] = {"by": "n_words", "quantiles": [0.5], "times": [1, 2]}
    lengths = [40, 50, 50, 80, 90]
    with pytest.raises(DataError, match=r"2 documents have no 'n_words'.*on_null") as raised:
        built(of_lengths(tmp_path, lengths, cut), tmp_path / "out")
    assert raised.value.exit_code == 4
    run = built(of_lengths(tmp_path, lengths, cut | {"on_null": 1}), tmp_path / "out")
    found = run.manifests["mix"].facts["buckets"]["notes"]
    assert found["edges"] == [80.0], "of those that have a value"
    assert (found["documents"], found["nulls"]) == ({"0": 1, "1": 4}, 2)


def test_a_sampler_sees_a_corpus_as_large_as_its_buckets_together(
    inputs: Path, tmp_path: Path
) -> None:
    content = recipe(inputs)
    del content["mix"]["weights"]
    content["mix"] |= {"sampler": "proportional", "buckets": CUT}
    stage = planned(content, tmp_path).stages["mix"]
    assert isinstance(stage, MixStage)
    available = {"web": 20, "notes.b1": 10, "notes.b2": 30, "code.b0": 8, "code.b1": 12}
    (phase,) = stage.mix.phases(available)
    weights = {name: float(weight) for name, weight in phase.weights.items()}
    assert weights == {
        "web": 0.25, "notes.b1": 0.05, "notes.b2": 0.45,
        "code.b0": 0.25 * 8 / 14, "code.b1": 0.25 * 6 / 14,
    }  # fmt: skip
