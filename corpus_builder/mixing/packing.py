"""Packing arithmetic of a token store: documents, each followed by EOS, cut into sequences.

Invariant: token t of the concatenation is token t % T of sequence t // T; the tail that fills no
sequence is dropped and counted, so tokens in = sequences * T + dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus_builder.store.errors import RecipeError


@dataclass(frozen=True)
class Packed:
    """Documents as sequences of `sequence_length` tokens.

    Attributes:
        sequences: whole sequences.
        dropped: tokens of the tail that fills none (EOS counted).
        starts: `int64[documents + 1]`, offset of each document in the concatenation, EOS counted.
        ends: `int32[...]`, positions in a sequence (1 to T) just after the last token of a
            document that ends there, EOS counted: the segment borders of a document mask.
        ends_offsets: `int64[sequences + 1]`; sequence s has `ends[ends_offsets[s] :
            ends_offsets[s + 1]]`, rising.
    """

    sequence_length: int
    sequences: int
    dropped: int
    starts: NDArray[np.int64]
    ends: NDArray[np.int32]
    ends_offsets: NDArray[np.int64]


def pack(lengths: NDArray[np.int64], sequence_length: int, *, eos: bool = True) -> Packed:
    """Lay documents of `lengths` tokens end to end and cut them into sequences.

    Args:
        lengths: `int64[documents]`, tokens without EOS. An empty document still gets its EOS;
            with `eos=False` it leaves no trace.
        sequence_length: T, tokens in a sequence, 1 to 2^31 - 1.
        eos: put one token after each document.

    Raises:
        RecipeError: T out of range.
    """
    if not 1 <= sequence_length < 2**31:
        raise RecipeError("sequence_length", f"{sequence_length} is not within 1..2^31 - 1")
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(np.asarray(lengths, np.int64) + int(eos), out=starts[1:])
    sequences, dropped = divmod(int(starts[-1]), sequence_length)
    stops = starts[1:][np.diff(starts) > 0]
    stops = stops[stops <= sequences * sequence_length]
    cuts = np.arange(sequences + 1, dtype=np.int64) * sequence_length
    return Packed(
        sequence_length=sequence_length,
        sequences=sequences,
        dropped=dropped,
        starts=starts,
        ends=((stops - 1) % sequence_length + 1).astype(np.int32),
        ends_offsets=np.searchsorted(stops, cuts, side="right").astype(np.int64),
    )


def bucket_of(order_keys: NDArray[np.uint64], blocks: int) -> NDArray[np.int64]:
    """Block (0 to blocks - 1) of each 64-bit order key, by its high bits.

    Blocks are equal ranges of keys, so sorting by key sorts by block.

    Raises:
        RecipeError: blocks not within 1..2^32.
    """
    if not 1 <= blocks <= 2**32:
        raise RecipeError("blocks", f"{blocks} is not within 1..2^32")
    high = np.asarray(order_keys, np.uint64) >> np.uint64(32)
    return ((high * np.uint64(blocks)) >> np.uint64(32)).astype(np.int64)
