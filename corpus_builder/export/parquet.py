"""Parquet rows: sequences, tokenised documents, or text with a validation file.

Invariant: files are `data/train-NNNNN-of-MMMMM.parquet`, in order; with text, held-out documents
are `data/validation-...`, which sorts last (nanochat takes the last file for validation). Shards of
text and documents of several corpora are interleaved by their place in their corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..store.errors import IntegrityError
from ..store.tables import write_table
from .content import Content, Shard
from .hf import document_rows, documents_schema

TEXT_SCHEMA = pa.schema(
    [
        ("text", pa.large_string()),
        ("corpus", pa.string()),
        ("doc_id", pa.string()),
        ("url", pa.string()),
    ]
)


def write(content: Content, what: str, folder: Path) -> dict[str, Any]:
    """Fill `folder`; returns the counts."""
    if what == "mix":
        return _mix(content, folder)
    if what == "documents":
        return _documents(content, folder)
    return _text(content, folder)


def _mix(content: Content, folder: Path) -> dict[str, Any]:
    length = content.sequence_length
    schema = pa.schema([("input_ids", pa.list_(content.type, length))])

    def batches(shard: Shard) -> Iterator[pa.RecordBatch]:
        for rows in content.sequences(shard):
            ids = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), length)
            yield pa.RecordBatch.from_arrays([ids], schema=schema)

    _write_all(folder, schema, content.mix_shards(), batches)
    return content.mix_counts()


def _documents(content: Content, folder: Path) -> dict[str, Any]:
    columns = documents_schema(content)
    schema = pa.schema([("corpus", pa.string()), *columns])
    shards = interleave([content.document_shards(name) for name in content.corpora])

    def batches(shard: Shard) -> Iterator[pa.RecordBatch]:
        for batch in content.documents(shard):
            rows = document_rows(batch, columns)
            name = pa.array([shard.corpus] * len(rows), pa.string())
            yield pa.RecordBatch.from_arrays([name, *rows.columns], schema=schema)

    _write_all(folder, schema, shards, batches)
    return content.document_counts()


def _text(content: Content, folder: Path) -> dict[str, Any]:
    shards = interleave([content.text_shards(name) for name in content.corpora])

    def batches(shard: Shard) -> Iterator[pa.RecordBatch]:
        return _text_rows(content.text(shard, ["text", "doc_id", "url"]), shard.corpus)

    _write_all(folder, TEXT_SCHEMA, shards, batches)
    held = write_table(
        folder, "data/validation-00000-of-00001.parquet", TEXT_SCHEMA,
        _text_rows(content.heldout_text(), None),
    )  # fmt: skip
    documents = dict.fromkeys(content.corpora, 0)
    for shard in shards:
        documents[shard.corpus] += shard.rows
    return {
        "corpora": {corpus: {"documents": rows} for corpus, rows in documents.items()},
        "heldout": {"documents": held.rows},
    }


def _text_rows(batches: Iterable[pa.RecordBatch], corpus: str | None) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        names = batch.column("corpus") if corpus is None else pa.array([corpus] * len(batch))
        ids = pa.array([name.hex() for name in batch.column("doc_id").to_pylist()], pa.string())
        columns = [batch.column("text"), names.cast(pa.string()), ids, batch.column("url")]
        yield pa.RecordBatch.from_arrays(columns, schema=TEXT_SCHEMA)


def _write_all(
    folder: Path, schema: pa.Schema, shards: Iterable[Shard],
    batches: Callable[[Shard], Iterator[pa.RecordBatch]],
) -> None:  # fmt: skip
    found = list(shards)
    for number, shard in enumerate(found):
        name = f"data/train-{number:05d}-of-{len(found):05d}.parquet"
        rows = write_table(folder, name, schema, batches(shard)).rows
        if rows != shard.rows:
            raise IntegrityError(
                str(shard.path), f"holds {rows:,} rows; its record says {shard.rows:,}",
                do="delete the stage's folder and run again",
            )  # fmt: skip


def interleave(shards: Iterable[Sequence[Shard]]) -> list[Shard]:
    """Shards of all corpora, by their relative place in their corpus."""
    placed = [
        ((2 * number + 1) / (2 * len(found)), place, shard)
        for place, found in enumerate(shards)
        for number, shard in enumerate(found)
    ]
    return [shard for _, _, shard in sorted(placed, key=lambda part: part[:2])]
