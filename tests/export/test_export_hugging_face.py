"""hf and parquet, read by `datasets`: same rows in the same order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from exported import CORPORA, Run

from corpus_builder.export.content import Shard
from corpus_builder.export.parquet import interleave

datasets = pytest.importorskip("datasets", reason="needs the Hugging Face client")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def load(target: Path, cache: Path) -> dict[str, object]:
    return datasets.load_dataset(str(target), cache_dir=str(cache))


def test_hf_mix(run: Run, tmp_path: Path) -> None:
    run.export("hf", tmp_path / "x")
    found = datasets.load_from_disk(str(tmp_path / "x"))
    assert (
        found.features["input_ids"].feature.dtype == {"<u2": "uint16", "<u4": "uint32"}[run.width]
    )
    assert np.array_equal(np.array(found["input_ids"]), run.sequences)


def test_hf_documents(run: Run, tmp_path: Path) -> None:
    run.export("hf", tmp_path / "x", "documents")
    found = datasets.load_from_disk(str(tmp_path / "x"))
    assert list(found) == list(CORPORA)
    for corpus in CORPORA:
        assert [list(ids) for ids in found[corpus]["input_ids"]] == [
            ids.tolist() for ids in run.documents[corpus]
        ]
        assert len(set(found[corpus]["doc_id"])) == len(run.documents[corpus])


def test_parquet_mix(run: Run, tmp_path: Path) -> None:
    run.export("parquet", tmp_path / "x")
    found = load(tmp_path / "x", tmp_path / "cache")
    assert list(found) == ["train"]
    assert np.array_equal(np.array(found["train"]["input_ids"]), run.sequences)


def test_parquet_documents(run: Run, tmp_path: Path) -> None:
    run.export("parquet", tmp_path / "x", "documents")
    rows = list(load(tmp_path / "x", tmp_path / "cache")["train"])
    for corpus in CORPORA:
        found = [row["input_ids"] for row in rows if row["corpus"] == corpus]
        assert found == [ids.tolist() for ids in run.documents[corpus]]


def test_parquet_text(narrow: Run, tmp_path: Path) -> None:
    manifest = narrow.export("parquet", tmp_path / "x", "text").manifest
    found = load(tmp_path / "x", tmp_path / "cache")
    assert sorted(found) == ["train", "validation"]
    for corpus in CORPORA:
        kept = [
            row["text"]
            for path in sorted((narrow.folder / "documents" / corpus).glob("*.parquet"))
            for row in pq.read_table(path).to_pylist()
        ]
        assert [row["text"] for row in found["train"] if row["corpus"] == corpus] == kept
        assert manifest.counts["corpora"][corpus] == {"documents": len(kept)}
    (held,) = narrow.folder.glob("stages/heldout-*/data/heldout.parquet")
    assert found["validation"]["text"] == pq.read_table(held)["text"].to_pylist()
    assert not set(found["train"]["text"]) & set(found["validation"]["text"])


def test_parquet_text_suits_trainers_that_take_the_last_file_for_validation(
    narrow: Run, tmp_path: Path
) -> None:
    narrow.export("parquet", tmp_path / "x", "text")
    names = sorted(path.name for path in (tmp_path / "x" / "data").iterdir())
    assert len(names) > 2 and all(name.endswith(".parquet") for name in names)
    assert [name.split("-")[0] for name in names] == ["train"] * (len(names) - 1) + ["validation"]


def test_corpora_take_turns_by_their_size() -> None:
    def shards(name: str, count: int) -> tuple[Shard, ...]:
        return tuple(Shard(Path(f"{name}{n}"), 1, 1, "") for n in range(count))

    found = [shard.path.name for shard in interleave([shards("a", 4), shards("b", 2)])]
    assert found == ["a0", "b0", "a1", "a2", "b1", "a3"]
