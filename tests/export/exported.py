"""A small finished run, and what it holds: read without the code under test."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer

import corpus_builder as cb
from corpus_builder.export.run import ExportReport, export
from corpus_builder.stages.base import Context

LENGTH = 64
CORPORA = ("docs", "code-x")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        sequences: the mix, int64 [n, T].
        documents: token ids of each document with its end, by corpus, in shard and key order.
        heldout: the same for held-out documents.
    """

    context: Context
    folder: Path
    vocab: int
    eos: int
    sequences: np.ndarray
    documents: dict[str, list[np.ndarray]]
    heldout: list[np.ndarray]

    @property
    def width(self) -> str:
        """numpy's name of the token type by the house's rule."""
        return "<u2" if self.vocab <= 65_536 else "<u4"

    def export(self, to: str, target: Path, what: str | None = None) -> ExportReport:
        """Export this run."""
        return export(self.context, "tiny", to, target, what)


def _corpora(folder: Path, word: Callable[[random.Random], str]) -> None:
    dice = random.Random(7)
    for name, count in zip(CORPORA, (120, 80), strict=True):
        with (folder / f"{name}.jsonl").open("w") as file:
            for number in range(count):
                text = " ".join(word(dice) for _ in range(dice.randint(5, 200)))
                file.write(json.dumps({"text": text, "url": f"u/{name}/{number}"}) + "\n")


def build(folder: Path, tokenizer: object, word: Callable[[random.Random], str]) -> Run:
    _corpora(folder, word)
    source = {
        name: {"source": {"jsonl": str(folder / f"{name}.jsonl"), "split_size": "30KB"}}
        for name in CORPORA
    }
    recipe = {
        "name": "tiny",
        "corpora": source,
        "heldout": {"share": "10%", "max_documents": 10},
        "tokenizer": tokenizer,
        "mix": {
            "tokens": 1000 * LENGTH,
            "sequence_length": LENGTH,
            "weights": {"docs": 0.5, "code-x": 0.5},
            "max_epochs": 20,
        },
    }
    path = folder / "tiny.yaml"
    path.write_text(json.dumps(recipe))
    plan = cb.load(path).plan(out=folder / "run")
    plan.run(workers=1)
    return _read(plan.definition.context, folder / "run")


def _read(context: Context, folder: Path) -> Run:
    """Read the products without the code under test: Arrow files, Parquet text, the tokenizer."""
    stages = {path.name.rsplit("-", 1)[0]: path for path in (folder / "stages").iterdir()}
    tokenizer = Tokenizer.from_file(str(stages["tokenizer"] / "data" / "tokenizer.json"))
    eos = tokenizer.token_to_id("<|endoftext|>")
    mix = sorted((folder / "mix").glob("*.arrow"))
    rows = [row for path in mix for row in pa.ipc.open_stream(path).read_all()["input_ids"]]
    documents = {}
    for corpus in CORPORA:
        found: list[np.ndarray] = []
        for path in sorted((folder / "documents" / corpus).glob("*.parquet")):
            texts = pq.read_table(path).to_pylist()
            order = stages[f"{corpus}.encode"] / "data" / f"{path.stem}.arrow"
            names = pa.ipc.open_stream(order).read_all()["doc_id"].to_pylist()
            by_id = {row["doc_id"]: row["text"] for row in texts}
            assert sorted(by_id) == sorted(names)
            found += [np.array([*tokenizer.encode(by_id[name]).ids, eos]) for name in names]
        documents[corpus] = found
    held = pq.read_table(stages["heldout"] / "data" / "heldout.parquet")["text"].to_pylist()
    return Run(
        context,
        folder,
        tokenizer.get_vocab_size(),
        eos,
        np.array([row.as_py() for row in rows], np.int64),
        documents,
        [np.array([*tokenizer.encode(text).ids, eos]) for text in held],
    )


def segment_ends(sequences: np.ndarray, eos: int) -> list[int]:
    """Exclusive ends in the flattened tokens: after every end token, and after every sequence."""
    length = sequences.shape[1]
    return [
        place + 1
        for place, token in enumerate(sequences.reshape(-1).tolist())
        if token == eos or place % length == length - 1
    ]
