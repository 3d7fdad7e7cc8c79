"""Runs of tokens with the lengths of what lies in them, for formats of raw tokens and an index.

Invariant: a run's lengths add up to its tokens, and none is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from .content import Content, Shard, Tokens

Part = tuple[Tokens, npt.NDArray[np.int64]]


def sequences(content: Content) -> Iterator[Part]:
    """The mix; an item is a sequence."""
    for shard in content.mix_shards():
        for rows in content.sequences(shard):
            yield rows.reshape(-1), np.full(len(rows), rows.shape[1], np.int64)


def segments(content: Content, shards: Iterable[Shard]) -> Iterator[Part]:
    """Shards of the mix; an item is the part of a document that lies in one sequence."""
    for shard in shards:
        for rows in content.sequences(shard):
            yield rows.reshape(-1), segment_lengths(rows, content.eos)


def documents(content: Content, shards: Iterable[Shard]) -> Iterator[Part]:
    """Shards of a corpus; an item is a document with its end-of-document token."""
    for shard in shards:
        for batch in content.documents(shard):
            yield batch.tokens, batch.lengths


def segment_lengths(rows: Tokens, eos: int) -> npt.NDArray[np.int64]:
    """Lengths of the parts of documents in sequences [n, T].

    A part ends with its document or with its sequence: what follows is from elsewhere.
    """
    last = rows == eos
    last[:, -1] = True
    return np.diff(np.flatnonzero(last), prepend=-1).astype(np.int64)
