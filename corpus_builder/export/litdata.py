"""litdata chunks for TokensLoader: `index.json`, and chunks of a header of offsets and raw tokens.

Invariant: a chunk of the mix holds whole sequences, so at block_size = T an item of the reader is
a sequence of the mix, in its order. Documents go to a folder a corpus.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..store.atomic import json_bytes
from ..store.errors import DataError
from .content import Content, Tokens
from .folder import writer
from .parts import Part, documents, sequences

CHUNK_BYTES = 64 << 20
# Places in litdata's list of numpy types.
CODES = {"<u2": 5, "<u4": 6}


def write(content: Content, what: str, folder: Path) -> dict[str, Any]:
    """Fill `folder`; returns the counts."""
    if what == "mix":
        _write(folder, content.dtype, sequences(content))
        return content.mix_counts()
    for corpus in content.corpora:
        _write(folder / corpus, content.dtype, documents(content, content.document_shards(corpus)))
    return content.document_counts()


def _write(folder: Path, dtype: np.dtype[Any], parts: Iterator[Part]) -> None:
    folder.mkdir(exist_ok=True)
    chunks = [
        _chunk(folder, number, tokens, lengths)
        for number, (tokens, lengths) in enumerate(_cut(parts, dtype.itemsize))
    ]
    config = {
        "chunk_bytes": CHUNK_BYTES,
        "chunk_size": None,
        "compression": None,
        "data_format": [f"no_header_numpy:{CODES[dtype.str]}"],
        "data_spec": None,
        "encryption": None,
        "item_loader": "TokensLoader",
    }
    (folder / "index.json").write_bytes(json_bytes({"chunks": chunks, "config": config}))


def _cut(parts: Iterator[Part], width: int) -> Iterator[Part]:
    """Whole items in groups of at most CHUNK_BYTES; a longer item is a group of its own."""
    waiting: list[Part] = []
    size = 0
    for tokens, lengths in parts:
        ends = np.cumsum(lengths)
        start = 0
        while start < len(lengths):
            done = int(ends[start - 1]) if start else 0
            stop = int(np.searchsorted(ends, done + (CHUNK_BYTES - size) // width, "right"))
            if stop == start and not size:
                stop = start + 1
            if stop > start:
                last = int(ends[stop - 1])
                waiting.append((tokens[done:last], lengths[start:stop]))
                size += (last - done) * width
            if stop < len(lengths):
                yield _joined(waiting)
                waiting, size = [], 0
            start = stop
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[Part]) -> Part:
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _chunk(
    folder: Path, number: int, tokens: Tokens, lengths: npt.NDArray[np.int64]
) -> dict[str, Any]:
    header = 4 * (len(lengths) + 2)
    offsets = header + np.cumsum([0, *lengths.tolist()]) * tokens.itemsize
    if int(offsets[-1]) >= 1 << 32:
        raise DataError(
            folder.name, "has a document of 4 GiB of tokens",
            do="litdata cannot hold it: filter such documents",
        )  # fmt: skip
    name = f"chunk-0-{number}.bin"
    with writer(folder / name) as put:
        put(np.array([len(lengths)], "<u4"))
        put(offsets.astype("<u4"))
        put(tokens)
    return {
        "chunk_bytes": int(offsets[-1]),
        "chunk_size": len(lengths),
        "dim": len(tokens),
        "filename": name,
    }
