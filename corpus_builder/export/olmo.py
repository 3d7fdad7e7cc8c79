"""OLMo-core: headerless little-endian `.npy`, and `.csv.gz` with a line `start,end` a document.

Invariant: a file a shard; ends are exclusive, in tokens of their own file. In the mix, a line is
the part of a document that lies in one sequence.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .content import Content
from .folder import writer
from .parts import Part, documents, segments


def write(content: Content, what: str, folder: Path) -> dict[str, Any]:
    """Fill `folder`; returns the counts."""
    if what == "mix":
        for number, shard in enumerate(content.mix_shards()):
            _write(folder / f"part-{number:05d}", segments(content, [shard]))
        return content.mix_counts()
    for corpus in content.corpora:
        for number, shard in enumerate(content.document_shards(corpus)):
            _write(folder / corpus / f"part-{number:05d}", documents(content, [shard]))
    return content.document_counts()


def _write(prefix: Path, parts: Iterator[Part]) -> None:
    total = 0
    with (
        writer(prefix.with_suffix(".npy")) as put,
        prefix.with_suffix(".csv.gz").open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as ends_file,
    ):
        for tokens, lengths in parts:
            put(tokens)
            ends = total + np.cumsum(lengths)
            pairs = zip((ends - lengths).tolist(), ends.tolist(), strict=True)
            ends_file.write("".join(f"{start},{end}\n" for start, end in pairs).encode())
            total += len(tokens)
