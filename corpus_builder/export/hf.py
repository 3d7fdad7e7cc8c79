"""Hugging Face datasets on disk: Arrow streams with `state.json` and `dataset_info.json`.

Invariant: the mix is the stage's own files, byte for byte; documents are a DatasetDict with one
dataset a corpus, rows (`doc_id` hex, `input_ids` ended by the end-of-document token).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..store.arrow_streams import StreamWriter
from ..store.atomic import json_bytes
from .content import Batch, Content, check_file


def write(content: Content, what: str, folder: Path) -> dict[str, Any]:
    """Fill `folder`; returns the counts."""
    if what == "mix":
        _copy_mix(content, folder)
        return content.mix_counts()
    for corpus in content.corpora:
        _dataset(content, corpus, folder / corpus)
    (folder / "dataset_dict.json").write_bytes(json_bytes({"splits": list(content.corpora)}))
    return content.document_counts()


def _copy_mix(content: Content, folder: Path) -> None:
    for shard in content.mix_shards():
        target = folder / shard.path.name
        shutil.copyfile(shard.path, target)
        check_file(target, shard.path, shard.sha256)
    for path in content.files(content.mix, "dataset", "dataset"):
        shutil.copyfile(path, folder / path.name)


def _dataset(content: Content, corpus: str, folder: Path) -> None:
    folder.mkdir()
    shards = content.document_shards(corpus)
    names = [f"data-{n:05d}-of-{len(shards):05d}.arrow" for n in range(len(shards))]
    schema = documents_schema(content)
    for name, shard in zip(names, shards, strict=True):
        with StreamWriter(folder, name, schema, 1024) as writer:
            for batch in content.documents(shard):
                writer.write(document_rows(batch, schema))
            writer.close()
    ids = {"feature": {"dtype": str(content.type), "_type": "Value"}, "_type": "LargeList"}
    features = {"doc_id": {"dtype": "string", "_type": "Value"}, "input_ids": ids}
    state: dict[str, Any] = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": content.encoders[corpus].fingerprint[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    (folder / "dataset_info.json").write_bytes(json_bytes({"features": features}))
    (folder / "state.json").write_bytes(json_bytes(state))


def documents_schema(content: Content) -> pa.Schema:
    """Columns of tokenised documents."""
    return pa.schema([("doc_id", pa.string()), ("input_ids", pa.large_list(content.type))])


def document_rows(batch: Batch, schema: pa.Schema) -> pa.RecordBatch:
    """Tokenised documents as rows of `documents_schema`."""
    offsets = pa.array([0, *batch.lengths.cumsum().tolist()], pa.int64())
    ids = pa.LargeListArray.from_arrays(offsets, pa.array(batch.tokens))
    names = pa.array([name.hex() for name in batch.doc_ids.to_pylist()], pa.string())
    return pa.RecordBatch.from_arrays([names, ids], schema=schema)
