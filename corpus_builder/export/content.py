"""What there is to export: the sequences of the mix, tokenised documents, held-out documents, text.

Invariant: read from sealed stages, batch by batch; a file is hashed before it is read, and one
that is not what its record says is an IntegrityError, as are other rows or tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..stages.base import Context, Stage, data_file
from ..stages.buckets import BucketStage
from ..stages.encoder import load_tokenizer
from ..stages.heldout import HeldoutStage
from ..stages.mix import MixStage
from ..stages.tokens import EncodeStage, token_type
from ..store.arrow_streams import open_stream
from ..store.atomic import sha256_file
from ..store.errors import DataError, IntegrityError, RecipeError
from ..store.manifest import read_manifest
from ..store.tables import read_batches

Tokens = npt.NDArray[np.unsignedinteger]
SLICE_TOKENS = 1 << 22


@dataclass(frozen=True)
class Shard:
    """A file of a stage, and what its record says it holds (`tokens` with ends of documents).

    Attributes:
        rows: in all; of a bucket's text, those of the bucket, which the file holds among others.
        corpus: what its rows are called in the mix; empty for the mix itself.
        unit: of the stage.
    """

    path: Path
    rows: int
    tokens: int
    sha256: str
    corpus: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Batch:
    """Documents, each followed by the end-of-document token.

    Attributes:
        tokens: all of them, end to end.
        lengths: `int64[documents]`, ends counted; never 0.
        doc_ids: `binary(16)[documents]`.
    """

    tokens: Tokens
    lengths: npt.NDArray[np.int64]
    doc_ids: pa.Array


class Content:
    """Everything an exporter may read of a run.

    Attributes:
        corpora: names in the mix: of corpora, and of the buckets that are read of others.

    Raises:
        RecipeError: the recipe has no mix.
        DataError: what it needs is not built yet.
    """

    def __init__(self, context: Context) -> None:
        self.context, self._sound = context, set[Path]()
        found = [stage for stage in context.stages.values() if isinstance(stage, MixStage)]
        if not found:
            raise RecipeError("export", "the recipe has no mix", do="add mix:")
        self.mix = found[0]
        self.sequence_length = self.mix.mix.sequence_length
        self.corpora = tuple(self.mix.stores)
        sealed(context, self.mix)

    @cached_property
    def encoders(self) -> dict[str, EncodeStage]:
        """The encode stage of every corpus and bucket in the mix."""
        return {corpus: store.encode for corpus, store in self.mix.stores.items()}

    @property
    def tokenizer(self) -> Path:
        """Path of tokenizer.json."""
        (path,) = self.files(self._encoder.tokenizer, "data", "tokenizer")
        return path

    @cached_property
    def _encoder(self) -> EncodeStage:
        return next(iter(self.encoders.values()))

    @cached_property
    def vocabulary(self) -> tuple[int, str, int]:
        """(size, end-of-document token, its id)."""
        size, end = self._encoder.vocabulary(self.context)
        return size, end, int(load_tokenizer(self.tokenizer).token_to_id(end))

    @property
    def eos(self) -> int:
        """Id of the end-of-document token; documents hold it at their end alone."""
        return self.vocabulary[2]

    @cached_property
    def type(self) -> pa.DataType:
        """uint16 where the vocabulary fits, else uint32."""
        return token_type(self.vocabulary[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The same for numpy, little-endian."""
        return np.dtype("<u2" if self.type == pa.uint16() else "<u4")

    @property
    def weights(self) -> dict[str, float]:
        """Weights over the whole mix, summing to 1: as requested, or realised where caps bind."""
        parts = self.mix.allocation(self.context)
        bound = any(part.capped for part in parts)
        return {part.name: float(part.realised if bound else part.requested) for part in parts}

    @property
    def heldout(self) -> HeldoutStage:
        """The held-out documents' stage.

        Raises:
            RecipeError: the recipe holds none out.
        """
        for stage in self.context.stages.values():
            if isinstance(stage, HeldoutStage):
                return stage
        raise RecipeError(
            "export",
            "nanogpt and parquet's text have a validation part of held-out documents, and the "
            "recipe holds none out",
            do="add heldout: (the run is then made anew from there on), or take another format",
        )

    def mix_shards(self) -> tuple[Shard, ...]:
        """Shards of the mix, in order."""
        folder = self.context.folder(self.mix)
        return tuple(
            Shard(folder / file.path, file.rows, file.rows * self.sequence_length, file.sha256)
            for record in self.context.records(self.mix)
            for file in record.files
        )

    def sequences(self, shard: Shard) -> Iterator[Tokens]:
        """The sequences of a shard in order, as arrays [rows, T] of at most 4 million tokens."""
        self._hash(shard.path, shard.sha256)
        rows = 0
        step = max(1, SLICE_TOKENS // self.sequence_length)
        for batch in open_stream(shard.path):
            table = batch.column(0).flatten().to_numpy().reshape(-1, self.sequence_length)
            rows += len(table)
            for start in range(0, len(table), step):
                yield table[start : start + step].astype(self.dtype, copy=False)
        _check(shard, rows, rows * self.sequence_length)

    def document_shards(self, corpus: str) -> tuple[Shard, ...]:
        """Shards of a corpus' tokenised documents; those without documents are left out."""
        stage = self.encoders[corpus]
        return tuple(
            Shard(
                self.context.folder(stage) / record.files[0].path,
                record.rows_out,
                record.facts["tokens"] + record.rows_out,
                record.files[0].sha256,
                corpus,
            )
            for record in self.context.records(stage)
            if record.rows_out
        )

    def documents(self, shard: Shard) -> Iterator[Batch]:
        """The documents of a shard, in the order of their keys."""
        self._hash(shard.path, shard.sha256)
        rows = tokens = 0
        for found in open_stream(shard.path):
            lists = found.column("tokens")
            offsets = lists.offsets.to_numpy()
            flat = lists.values.to_numpy()[offsets[0] : offsets[-1]]
            batch = self._ended(flat, np.diff(offsets), found.column("doc_id"))
            rows, tokens = rows + len(batch.lengths), tokens + len(batch.tokens)
            yield batch
        _check(shard, rows, tokens)

    def heldout_documents(self) -> Iterator[Batch]:
        """Held-out documents of the corpora in the mix, tokenised as training documents are."""
        tokenizer = load_tokenizer(self.tokenizer)
        for table in self.heldout_text():
            texts = table.column("text").to_pylist()
            found = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            ids = [np.array(item.ids, self.dtype) for item in found]
            lengths = np.array([len(part) for part in ids], np.int64)
            flat = np.concatenate([np.empty(0, self.dtype), *ids])
            yield self._ended(flat, lengths, table.column("doc_id"))

    def heldout_text(self) -> Iterator[pa.RecordBatch]:
        """Held-out documents (corpus, doc_id, url, text) of the corpora in the mix.

        Raises:
            DataError: there is none.
        """
        rows = 0
        folder = self.context.folder(self.heldout)
        path = data_file(folder, "heldout")
        files = (file for record in self.context.records(self.heldout) for file in record.files)
        self._hash(path, next(file.sha256 for file in files if folder / file.path == path))
        for batch in read_batches(path, ["corpus", "doc_id", "url", "text"]):
            known = {stage.corpus for stage in self.encoders.values()}
            mixed = [corpus in known for corpus in batch.column("corpus").to_pylist()]
            kept = batch.filter(pa.array(mixed, pa.bool_()))
            rows += len(kept)
            yield kept
        if not rows:
            raise DataError(
                self.heldout.id, "no document was held out", do="raise heldout.share and run again"
            )

    def text_shards(self, corpus: str) -> tuple[Shard, ...]:
        """Shards of a corpus' kept text (`tokens` is 0)."""
        encode, context = self.encoders[corpus], self.context
        stage = encode.documents
        found = []
        for unit in context.shard_names(encode.corpus):
            file = context.record(stage, "data", unit).files[0]
            rows = context.record(encode, "data", unit).rows_out
            if rows:
                path = context.folder(stage) / file.path
                found.append(Shard(path, rows, 0, file.sha256, corpus, unit))
        return tuple(found)

    def text(self, shard: Shard, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows of a shard of kept text."""
        self._hash(shard.path, shard.sha256)
        encode, start = self.encoders[shard.corpus], 0
        if isinstance(encode, BucketStage):
            self.files(encode.buckets, "data", shard.unit)
        members = encode.members(self.context, shard.unit)
        for batch in read_batches(shard.path, columns):
            stop = start + len(batch)
            yield batch if members is None else batch.filter(pa.array(members[start:stop]))
            start = stop

    def files(self, stage: Stage, phase: str, unit: str) -> tuple[Path, ...]:
        """Paths of a unit's files, which are what its record says.

        Raises:
            IntegrityError: one is not.
        """
        folder, found = self.context.folder(stage), self.context.record(stage, phase, unit).files
        for file in found:
            self._hash(folder / file.path, file.sha256)
        return tuple(folder / file.path for file in found)

    def _hash(self, path: Path, sha256: str) -> None:
        """Once a file; buckets share theirs."""
        if path not in self._sound:
            check_file(path, path, sha256)
            self._sound.add(path)

    def mix_counts(self) -> dict[str, Any]:
        """Sequences and tokens of the mix, and sequences by corpus."""
        shards = self.mix_shards()
        parts = self.mix.allocation(self.context)
        return {
            "sequences": sum(shard.rows for shard in shards),
            "tokens": sum(shard.tokens for shard in shards),
            "corpora": {part.name: {"sequences": part.sequences} for part in parts},
        }

    def document_counts(self) -> dict[str, Any]:
        """Documents and tokens, ends counted, by corpus."""
        shards = {corpus: self.document_shards(corpus) for corpus in self.corpora}
        return {
            "corpora": {
                corpus: {
                    "documents": sum(shard.rows for shard in found),
                    "tokens": sum(shard.tokens for shard in found),
                }
                for corpus, found in shards.items()
            }
        }

    def _ended(self, flat: Tokens, lengths: npt.NDArray[np.int64], doc_ids: pa.Array) -> Batch:
        ends = np.cumsum(lengths + 1)
        tokens = np.full(len(flat) + len(lengths), self.eos, self.dtype)
        inside = np.ones(len(tokens), bool)
        inside[ends - 1] = False
        tokens[inside] = flat
        return Batch(tokens, lengths + 1, doc_ids)


def sealed(context: Context, stage: Stage) -> None:
    """Refuse a stage that is not built.

    Raises:
        DataError: it is not.
    """
    if read_manifest(context.folder(stage)) is None:
        raise DataError(stage.id, "is not built yet", do="corpus run the recipe, then export it")


def check_file(path: Path, source: Path, sha256: str) -> None:
    """Refuse a file, or a copy of it, that is not what a record says.

    Args:
        source: the stage's own file.

    Raises:
        IntegrityError: it is not.
    """
    if sha256_file(path) != sha256:
        what = "is not what its record says (sha256 differs)"
        raise IntegrityError(str(source), what, do="delete the stage's folder and run again")


def _check(shard: Shard, rows: int, tokens: int) -> None:
    if (rows, tokens) != (shard.rows, shard.tokens):
        raise IntegrityError(
            str(shard.path),
            f"holds {rows:,} rows and {tokens:,} tokens; its record says {shard.rows:,} and "
            f"{shard.tokens:,}",
            do="delete the stage's folder and run again",
        )
