"""Megatron's indexed dataset: `.bin` raw tokens, `.idx` lengths, byte pointers, document ends.

Invariant: one sequence a document, so documents are 0..n; documents of a corpus go to
`<corpus>.bin`, the mix to `mix.bin`, where a document is a sequence of the mix. Tokens are uint16
below a vocabulary of 65500, else int32 (Megatron's own rule).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..store.errors import DataError
from .content import Content
from .folder import writer
from .parts import Part, documents, sequences

MAGIC = b"MMIDIDX\0\0"
CODES = {"<u2": 8, "<i4": 4}
LARGEST_16_BIT_VOCAB = 65499
STEP = 1 << 20


def write(content: Content, what: str, folder: Path) -> dict[str, Any]:
    """Fill `folder`; returns the counts."""
    dtype = np.dtype(token_dtype(content.vocabulary[0]))
    if what == "mix":
        _write(folder / "mix", dtype, sequences(content), content.mix_counts()["sequences"])
        return content.mix_counts()
    for corpus in content.corpora:
        shards = content.document_shards(corpus)
        rows = sum(shard.rows for shard in shards)
        _write(folder / corpus, dtype, documents(content, shards), rows)
    return content.document_counts()


def token_dtype(vocab: int) -> str:
    """Type of a token by size of the vocabulary."""
    return "<u2" if vocab <= LARGEST_16_BIT_VOCAB else "<i4"


def _write(prefix: Path, dtype: np.dtype[Any], parts: Iterator[Part], rows: int) -> None:
    """Write tokens and index; lengths lie in the index file, so nothing grows with the rows."""
    index = prefix.with_name(f"{prefix.name}.idx")
    header = MAGIC + struct.pack("<QBQQ", 1, CODES[dtype.str], rows, rows + 1)
    with writer(prefix.with_name(f"{prefix.name}.bin")) as put, index.open("wb") as file:
        file.write(header)
        for tokens, lengths in parts:
            if len(lengths) and int(lengths.max()) >= 1 << 31:
                raise DataError(
                    str(prefix.name), "has a document of 2^31 tokens or more",
                    do="megatron cannot hold it: filter such documents",
                )  # fmt: skip
            put(tokens.astype(dtype))
            file.write(lengths.astype("<i4").tobytes())
    with index.open("r+b") as file:
        _pointers(file, len(header), rows, dtype.itemsize)


def _pointers(file: Any, start: int, rows: int, width: int) -> None:
    """Append byte pointers, from the lengths at `start`, then the document numbers 0..rows."""
    at = 0
    for first in range(0, rows, STEP):
        count = min(STEP, rows - first)
        file.seek(start + 4 * first)
        sizes = np.frombuffer(file.read(4 * count), "<i4").astype(np.int64) * width
        ends = at + np.cumsum(sizes)
        file.seek(start + 4 * rows + 8 * first)
        file.write((ends - sizes).astype("<i8").tobytes())
        at = int(ends[-1])
    file.seek(start + 12 * rows)
    for first in range(0, rows + 1, STEP):
        file.write(np.arange(first, min(first + STEP, rows + 1), dtype="<i8").tobytes())
