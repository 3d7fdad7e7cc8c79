"""The tokenizer of a recipe: a file the user names, or a byte-level BPE trained on the kept text.

Invariant: training reads kept documents only (held-out ones never), chosen by a hash of their
identity up to a bound in bytes; the same documents give the same file, whatever the workers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..store.atomic import atomic_path, sha256_file
from ..store.errors import DataError, RecipeError, did_you_mean
from ..store.records import UnitRecord
from ..store.tables import FileInfo, read_batches
from .base import Context, Phase, Stage, data_file
from .encoder import choose_library, load_tokenizer
from .keys import ORDER_SALT, below, keyed_hash, share_threshold

END_OF_TEXT = "<|endoftext|>"
KNOWN_ENDS = (END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>", "<|im_end|>", "[SEP]")


class TokenizerStage(Stage):
    """Holds `data/tokenizer.json`.

    Args:
        above: the documents stages it may train on (none when a file is given).
        path: a tokenizer.json to copy; its content's hash is in the fingerprint.
        vocab, max_bytes: of training, when there is no path.
        eos: the token that ends a document; found by its usual names when None.
        library: version of `tokenizers`.
    """

    verb = "tokenizer"

    def __init__(
        self, name: str, *, above: tuple[Stage, ...], path: Path | None, vocab: int,
        max_bytes: int, eos: str | None, library: str, shards: tuple[str, ...],
    ) -> None:  # fmt: skip
        config = (
            {"file": sha256_file(path), "eos": eos}
            if path
            else {"vocab": vocab, "max_bytes": max_bytes, "tokenizers": library}
        )
        identity = {"trained_on": list(shards)} if path is None else {}
        super().__init__(
            name, corpus=None, upstream=() if path else above, config=config | identity
        )
        self.path, self.vocab, self.max_bytes, self.eos = path, vocab, max_bytes, eos

    def phases(self, context: Context) -> tuple[Phase, ...]:
        return (Phase("data", ("tokenizer",)),)

    def file(self, context: Context) -> Path:
        """Where tokenizer.json lies."""
        return context.folder(self) / "data" / "tokenizer.json"

    def run_unit(self, context: Context, phase: str, unit: str) -> UnitRecord:
        facts: dict[str, Any] = {}
        with atomic_path(self.file(context)) as temp:
            if self.path:
                temp.write_bytes(self.path.read_bytes())
            else:
                facts = self._train(context, temp)
        sha = sha256_file(self.file(context))
        size = self.file(context).stat().st_size
        vocab, end = describe(self.file(context), self.eos)
        facts["encoder"] = choose_library(self.file(context), [])
        return UnitRecord(
            unit=f"{phase}/{unit}",
            inputs=self.inputs(context, phase, unit),
            rows_in=0,
            rows_out=0,
            lost={},
            facts={**facts, "vocab": vocab, "eos": end},
            files=(FileInfo("data/tokenizer.json", size, 0, sha, sha),),
        )

    def _train(self, context: Context, target: Path) -> dict[str, Any]:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        # Workers encode on one thread each; training has the machine to itself.
        os.environ["TOKENIZERS_PARALLELISM"] = "true"
        os.environ["RAYON_NUM_THREADS"] = str(len(os.sched_getaffinity(0)))
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab,
            special_tokens=[END_OF_TEXT],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        chosen = _Chosen(context, self.upstream, self.max_bytes)
        tokenizer.train_from_iterator(chosen.texts(), trainer)
        if not chosen.documents:
            raise DataError(
                self.name, "no document is left to train on", do="loosen the filters, see `funnel`"
            )
        tokenizer.save(str(target), pretty=False)
        return {"trained_on": {"documents": chosen.documents, "bytes": chosen.bytes}}


class _Chosen:
    """Documents for training: below a hash limit that meets the bound on average, hard-capped."""

    def __init__(self, context: Context, stages: tuple[Stage, ...], max_bytes: int) -> None:
        self.context, self.stages, self.max_bytes = context, stages, max_bytes
        self.documents = self.bytes = 0

    def texts(self) -> Iterator[str]:
        total = sum(
            record.facts["text_bytes"]
            for stage in self.stages
            for record in self.context.records(stage)
        )
        limit = share_threshold(Fraction(self.max_bytes, max(total, 1)), 1, 1)
        for stage in self.stages:
            for shard in self.context.shard_names(stage.corpus):
                path = data_file(self.context.folder(stage), shard)
                for batch in read_batches(path, ["doc_id", "text"]):
                    rows = np.flatnonzero(
                        below(keyed_hash(batch.column("doc_id"), ORDER_SALT), limit)
                    )
                    for text in batch.column("text").take(pa.array(rows)).to_pylist():
                        size = len(text.encode())
                        if self.bytes + size > self.max_bytes:
                            continue
                        self.documents += 1
                        self.bytes += size
                        self.context.progress(1, size)
                        yield text


def describe(path: Path, eos: str | None) -> tuple[int, str]:
    """Vocabulary size and end-of-document token of a tokenizer.json.

    Raises:
        RecipeError: it cannot be loaded, or has no such token.
    """
    tokenizer = load_tokenizer(path)
    vocab = tokenizer.get_vocab(with_added_tokens=True)
    names = (eos,) if eos else KNOWN_ENDS
    end = next((name for name in names if name in vocab), None)
    if end is None:
        known = did_you_mean(
            eos or END_OF_TEXT, [t.content for t in tokenizer.get_added_tokens_decoder().values()]
        )
        raise RecipeError(
            str(path), f"has no end-of-document token {' or '.join(names)}", allowed=known,
            do="name it: tokenizer: {path: ..., eos: TOKEN}",
        )  # fmt: skip
    return max(vocab.values()) + 1, str(end)
