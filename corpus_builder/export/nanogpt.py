"""nanoGPT: `train.bin` and `val.bin` of raw uint16 tokens, `meta.pkl` with the vocabulary's size.

Invariant: train.bin is the mix end to end, in its order; val.bin is the held-out documents of its
corpora, each followed by the end-of-document token.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from ..store.errors import DataError
from .content import Content
from .folder import writer


def write(content: Content, what: str, folder: Path) -> dict[str, Any]:
    """Fill `folder`; returns the counts.

    Raises:
        DataError: the vocabulary does not fit 16 bits, or nothing is held out.
    """
    vocab = content.vocabulary[0]
    if vocab > 1 << 16:
        raise DataError(
            "--to nanogpt", f"a vocabulary of {vocab:,} does not fit 16 bits",
            do="choose another format, or a tokenizer of at most 65,536",
        )  # fmt: skip
    with writer(folder / "train.bin") as put:
        for shard in content.mix_shards():
            for rows in content.sequences(shard):
                put(rows)
    documents = tokens = 0
    with writer(folder / "val.bin") as put:
        for batch in content.heldout_documents():
            put(batch.tokens)
            documents, tokens = documents + len(batch.lengths), tokens + len(batch.tokens)
    (folder / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": vocab}, protocol=4))
    return {**content.mix_counts(), "heldout": {"documents": documents, "tokens": tokens}}
