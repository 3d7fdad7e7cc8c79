"""datatrove and nanotron: `.ds` raw tokens, `.ds.index` ends in tokens, `.ds.metadata`.

Invariant: documents of a corpus go to `<corpus>/00000_<corpus>.ds`; of the mix, to
`mix/00000_mix.ds`, what ends in the index is a document or a sequence, so positions start again
where a text does.
"""

from __future__ import annotations

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
        _write(folder / "mix", segments(content, content.mix_shards()), content.dtype.itemsize)
        return content.mix_counts()
    for corpus in content.corpora:
        _write(
            folder / corpus,
            documents(content, content.document_shards(corpus)),
            content.dtype.itemsize,
        )
    return content.document_counts()


def _write(folder: Path, parts: Iterator[Part], width: int) -> None:
    path = folder / f"00000_{folder.name}.ds"
    total = 0
    with writer(path) as put, writer(path.with_name(f"{path.name}.index")) as put_ends:
        for tokens, lengths in parts:
            put(tokens)
            put_ends((total + np.cumsum(lengths)).astype("<u8"))
            total += len(tokens)
    lines = [f"tokenizer.json|{width}", str(total), metric(total)]
    path.with_name(f"{path.name}.metadata").write_text("\n".join(lines))


def metric(tokens: int) -> str:
    """Tokens to three digits with an SI prefix: 1.23 MT (a line that people read)."""
    value, prefixes = float(tokens), iter(("", "k", "M", "G", "T", "P", "E"))
    prefix = next(prefixes)
    while value >= 999.5:
        value, prefix = value / 1000, next(prefixes)
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {prefix}T"
