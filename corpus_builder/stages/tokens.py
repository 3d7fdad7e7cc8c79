"""The token store of a corpus or bucket: documents encoded by shard, then packed in hash order.

Invariant: documents are ordered by a keyed hash of `doc_id` and packed in equal ranges of that
hash ("blocks"), each followed by EOS; dropping one document disturbs its block only. Tokens in =
sequences * T + the counted tails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..mixing.packing import pack
from ..store.arrow_streams import StreamWriter, open_stream
from ..store.records import UnitRecord, combine_digests
from ..store.tables import TableWriter, read_batches
from .base import Context, Phase, Stage, data_file
from .documents import DocumentsStage
from .encoder import CHECK_ONE_IN, Encoder, load_tokenizer
from .keys import ORDER_SALT, keyed_hash
from .rows import chain_above
from .tokenizer import TokenizerStage

SHARD_TEXT_BYTES = 128 << 20
BLOCK_TEXT_BYTES = 1 << 20
STREAM_ROWS = 10_000
ENCODED_ROWS = 1024
WHERE_SCHEMA = pa.schema(
    [
        ("doc_id", pa.binary(16)),
        ("first_sequence", pa.int64()),
        ("first_token", pa.int32()),
        ("tokens", pa.int64()),
        ("cut", pa.int64()),
        ("text_bytes", pa.int64()),
    ]
)


def token_type(vocab: int) -> pa.DataType:
    """uint16 where the vocabulary fits, else uint32."""
    return pa.uint16() if vocab <= 1 << 16 else pa.uint32()


class EncodeStage(Stage):
    """Encodes the documents of a corpus, an Arrow stream a shard, sorted by order key.

    Attributes:
        part: what its documents are called in the mix: the corpus, or a bucket of it.
        documents: the stage that holds their text.
    """

    verb = "encode"
    version = 2
    part: str
    documents: Stage

    def __init__(
        self, name: str, *, corpus: str, documents: DocumentsStage, tokenizer: TokenizerStage,
        library: str,
    ) -> None:  # fmt: skip
        super().__init__(
            name, corpus=corpus, upstream=(documents, tokenizer), config={"tokenizers": library}
        )
        self.tokenizer, self.part, self.documents = tokenizer, corpus, documents

    def size(self, context: Context, whole: int) -> int:
        """Of so many bytes of a corpus, about how many are its."""
        return whole

    def members(self, context: Context, unit: str) -> npt.NDArray[np.bool_] | None:
        """Which of a shard's documents are its, in their order; None for all."""
        return None

    def phases(self, context: Context) -> tuple[Phase, ...]:
        return (Phase("data", context.shard_names(self.corpus)),)

    def inputs(self, context: Context, phase: str, unit: str) -> str:
        above = context.record(self.upstream[0], "data", unit).digest
        return combine_digests([above, context.stage_digest(self.tokenizer)])

    def vocabulary(self, context: Context) -> tuple[int, str]:
        """Vocabulary size and end-of-document token."""
        facts = context.records(self.tokenizer)[0].facts
        return int(facts["vocab"]), str(facts["eos"])

    def schema(self, context: Context) -> pa.Schema:
        """Columns of an encoded shard."""
        tokens = pa.large_list(token_type(self.vocabulary(context)[0]))
        return pa.schema(
            [
                ("key", pa.uint64()),
                ("doc_id", pa.binary(16)),
                ("text_bytes", pa.int64()),
                ("tokens", tokens),
            ]
        )

    def run_unit(self, context: Context, phase: str, unit: str) -> UnitRecord:
        schema = self.schema(context)
        encoded = [*self._encode(context, unit, schema)]
        table = pa.Table.from_batches(encoded, schema).sort_by(
            [("key", "ascending"), ("doc_id", "ascending")]
        )
        batches = table.combine_chunks().to_batches(max_chunksize=ENCODED_ROWS)
        return self._written(context, phase, unit, batches)

    def _written(
        self, context: Context, phase: str, unit: str, batches: Iterable[pa.RecordBatch]
    ) -> UnitRecord:
        """Encoded documents as a stream, counted."""
        tokens, schema = 0, self.schema(context)
        path = f"data/{unit}.arrow"
        with StreamWriter(context.folder(self), path, schema, ENCODED_ROWS) as writer:
            for batch in batches:
                writer.write(batch)
                lengths = pc.list_value_length(batch.column("tokens"))
                tokens += int(pc.sum(lengths).as_py() or 0)
            file = writer.close()
        return UnitRecord(
            unit=f"{phase}/{unit}",
            inputs=self.inputs(context, phase, unit),
            rows_in=file.rows,
            rows_out=file.rows,
            lost={},
            facts={"tokens": tokens},
            files=(file,),
        )

    def _encode(self, context: Context, unit: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        library = str(context.records(self.tokenizer)[0].facts["encoder"])
        encoder = Encoder(self.tokenizer.file(context), library)
        kind = schema.field("tokens").type.value_type.to_pandas_dtype()
        path = data_file(context.folder(self.upstream[0]), unit)
        for batch in read_batches(path, ["doc_id", "text"]):
            text = batch.column("text").to_pylist()
            keys = keyed_hash(batch.column("doc_id"), ORDER_SALT)
            chosen = np.flatnonzero(keys % np.uint64(CHECK_ONE_IN) == 0).tolist()
            encoder.check([text[row] for row in chosen], f"{self.name}, {unit}")
            ids, offsets = encoder.encode(text)
            tokens = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(ids.astype(kind)))
            context.progress(len(batch), batch.nbytes)
            size = pc.binary_length(batch.column("text")).cast(pa.int64())
            columns = [pa.array(keys), batch.column("doc_id"), size, tokens]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


class TokensStage(Stage):
    """Packs the encoded documents of a corpus or bucket into sequences: what mixes read.

    Files of unit u: `data/u.arrow` (stream of `input_ids: fixed_size_list[T]`) and
    `data/u.parquet` (where each document lies).
    """

    verb = "tokens"
    covers_set = True
    version = 2

    def __init__(
        self, name: str, *, corpus: str, encode: EncodeStage, sequence_length: int,
        shards: tuple[str, ...],
    ) -> None:  # fmt: skip
        config = {"sequence_length": sequence_length}
        super().__init__(name, corpus=corpus, upstream=(encode,), config=config, shards=shards)
        self.encode, self.sequence_length = encode, sequence_length

    def _blocks(self, context: Context) -> tuple[int, int]:
        """(files, blocks a file), powers of two, from the size of the base text alone.

        Of a bucket: of its share of it.
        """
        base = chain_above(self.encode.documents.upstream[0])[0]
        whole = sum(record.facts["text_bytes"] for record in context.records(base))
        size = self.encode.size(context, whole)
        files = 1 << (size // SHARD_TEXT_BYTES).bit_length()
        least = max(BLOCK_TEXT_BYTES, 4096 * self.sequence_length)
        blocks = 1 << max(0, (size // least).bit_length() - 1)
        return files, max(1, blocks // files)

    def phases(self, context: Context) -> tuple[Phase, ...]:
        files, _ = self._blocks(context)
        return (Phase("data", tuple(f"tokens-{n:05d}-of-{files:05d}" for n in range(files))),)

    def run_unit(self, context: Context, phase: str, unit: str) -> UnitRecord:
        files, blocks = self._blocks(context)
        number = int(unit.split("-")[1])
        kind = self.encode.schema(context).field("tokens").type.value_type
        vocabulary = load_tokenizer(self.encode.tokenizer.file(context))
        eos = vocabulary.token_to_id(self.encode.vocabulary(context)[1])
        schema = pa.schema([("input_ids", pa.list_(kind, self.sequence_length))])
        packer = _Packer(self.sequence_length, int(eos), kind)
        folder = context.folder(self)
        with (
            StreamWriter(folder, f"data/{unit}.arrow", schema, STREAM_ROWS) as sequences,
            TableWriter(folder, f"data/{unit}.parquet", WHERE_SCHEMA) as where,
        ):
            table = self._gather(context, number, files)
            text_bytes = int(pc.sum(table.column("text_bytes")).as_py() or 0)
            edges = [
                (block << 64) // (files * blocks)
                for block in range(number * blocks, (number + 1) * blocks)
            ]
            places = np.searchsorted(table.column("key").to_numpy(), np.array(edges, np.uint64))
            for start, stop in pairwise([*places.tolist(), len(table)]):
                packed, where_rows = packer.add(table.slice(start, stop - start))
                sequences.write(packed)
                where.write(where_rows)
                context.progress(len(where_rows), packed.nbytes)
            written = (sequences.close(), where.close())
        return self._record(context, unit, packer, text_bytes, written)

    def _record(
        self, context: Context, unit: str, packer: _Packer, text_bytes: int, files: tuple[Any, ...]
    ) -> UnitRecord:
        return UnitRecord(
            unit=f"data/{unit}",
            inputs=self.inputs(context, "data", unit),
            rows_in=files[1].rows,
            rows_out=files[1].rows,
            lost={},
            facts={
                "documents": files[1].rows, "sequences": files[0].rows, "tokens": packer.tokens,
                "end_tokens": files[1].rows, "tail_tokens": packer.tail, "text_bytes": text_bytes,
            },
            files=files,
        )  # fmt: skip

    def _gather(self, context: Context, number: int, files: int) -> pa.Table:
        """Encoded documents of one file's range of keys from all shards, in order."""
        low, high = (number << 64) // files, ((number + 1) << 64) // files
        parts = [self.encode.schema(context).empty_table()]
        for shard in context.shard_names(self.corpus):
            path = context.folder(self.encode) / "data" / f"{shard}.arrow"
            parts += _rows_between(path, low, high)
        return pa.concat_tables(parts).sort_by([("key", "ascending"), ("doc_id", "ascending")])


def _rows_between(path: Path, low: int, high: int) -> Iterator[pa.Table]:
    """Rows with `low <= key < high` of a memory-mapped stream sorted by key."""
    for batch in open_stream(path):
        keys = batch.column("key").to_numpy()
        first = int(np.searchsorted(keys, np.uint64(low)))
        last = int(np.searchsorted(keys, np.uint64(high - 1), side="right"))
        if last > first:
            yield pa.Table.from_batches([batch.slice(first, last - first)])


class _Packer:
    """Packs blocks one after the other; sequences number on across blocks of a file."""

    def __init__(self, sequence_length: int, eos: int, kind: pa.DataType) -> None:
        self.length, self.eos, self.kind = sequence_length, eos, kind
        self.sequences = self.tokens = self.tail = 0

    def add(self, table: pa.Table) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Sequences of a block, and where its documents lie."""
        lists = pa.concat_arrays(
            [pa.array([], table.schema.field("tokens").type), *table.column("tokens").chunks]
        )
        offsets = lists.offsets.to_numpy()
        lengths = np.diff(offsets)
        packed = pack(lengths, self.length)
        stream = np.full(int(packed.starts[-1]), self.eos, self.kind.to_pandas_dtype())
        filled = np.ones(len(stream), bool)
        filled[packed.starts[1:] - 1] = False
        stream[filled] = lists.values.to_numpy()[offsets[0] : offsets[-1]]
        used = packed.sequences * self.length
        ids = pa.FixedSizeListArray.from_arrays(pa.array(stream[:used]), self.length)
        places = self._places(table, packed.starts, used)
        self.sequences += packed.sequences
        self.tokens += used
        self.tail += packed.dropped
        return pa.RecordBatch.from_arrays([ids], ["input_ids"]), places

    def _places(self, table: pa.Table, starts: npt.NDArray[np.int64], used: int) -> pa.RecordBatch:
        doc_ids = pa.concat_arrays([pa.array([], pa.binary(16)), *table.column("doc_id").chunks])
        kept = np.clip(used - starts[:-1], 0, np.diff(starts))
        columns = [
            doc_ids,
            pa.array(self.sequences + starts[:-1] // self.length),
            pa.array((starts[:-1] % self.length).astype(np.int32)),
            pa.array(kept),
            pa.array(np.diff(starts) - kept),
            pa.concat_arrays([pa.array([], pa.int64()), *table.column("text_bytes").chunks]),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=WHERE_SCHEMA)
