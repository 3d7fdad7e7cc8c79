"""Bits per byte of held-out documents, and minimal pairs: exact accounts, a document at a time.

Invariant: each token of a document is scored exactly once, given EOS and the tokens before it (as
many as fit); EOS itself is context, never scored. Bytes are those of the original UTF-8 text.
Scores do not depend on what else is in the batch beyond rounding in the last bits of fp32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from corpus_builder.store.errors import DataError, RecipeError

from .model import Decoder
from .pairs import pair_columns

BATCH_TOKENS = 4096


@dataclass(frozen=True)
class Documents:
    """Encoded documents, made once and scored by many models.

    Attributes:
        tokens: `int64` ids of each document, without EOS.
        text_bytes: `int64[n]`, UTF-8 bytes of each text.
        eos: id of the end-of-document token.
    """

    tokens: tuple[NDArray[np.int64], ...]
    text_bytes: NDArray[np.int64]
    eos: int


@dataclass(frozen=True)
class Scores:
    """What a model makes of documents.

    Attributes:
        bits: `float64[n]`, -log2 of each document's probability.
        text_bytes: `int64[n]`.
        tokens: `int64[n]`, tokens scored.
    """

    bits: NDArray[np.float64]
    text_bytes: NDArray[np.int64]
    tokens: NDArray[np.int64]

    @property
    def bits_per_byte(self) -> float:
        """All bits by all bytes; NaN where there are none."""
        size = int(self.text_bytes.sum())
        return float(self.bits.sum()) / size if size else math.nan


def encode(texts: Sequence[str], tokenizer: Any, eos: str) -> Documents:
    """Tokenise documents as the token stores are (no special tokens added).

    Args:
        tokenizer: a `tokenizers.Tokenizer`, set up as the stores' was.
        eos: its end-of-document token.

    Raises:
        RecipeError: the tokenizer has no such token.
    """
    end = tokenizer.token_to_id(eos)
    if end is None:
        raise RecipeError("tokenizer", f"it has no token {eos!r}")
    encoded = tokenizer.encode_batch_fast([*texts], add_special_tokens=False)
    sizes = [len(text.encode()) for text in texts]
    return Documents(
        tuple(np.array(item.ids, np.int64) for item in encoded), np.array(sizes, np.int64), end
    )


class _Window(NamedTuple):
    document: int
    start: int  # of its input in EOS + tokens
    length: int  # tokens of input, one less than it reads
    scored: int  # its last predictions, the only ones that count


def _windows(document: int, tokens: int, longest: int, stride: int) -> Iterator[_Window]:
    """Windows over the `tokens` predictions of a document; the last `stride` of each are new."""
    done = 0
    while done < tokens:
        end = min(tokens, done + (longest if done == 0 else stride))
        start = max(0, end - longest)
        yield _Window(document, start, end - start, end - done)
        done = end


def score(
    model: Decoder,
    documents: Documents,
    *,
    stride: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> Scores:
    """Bits of each document, computed in fp32 and summed in float64.

    A document longer than the model's T is read in windows of T tokens, each `stride` further;
    only tokens no earlier window scored count, so all but the first T have at least T - stride
    tokens of context. Windows of like length share a batch.

    Args:
        stride: 1 to T; default three quarters of T.
        batch_tokens: tokens read at once, about.

    Raises:
        RecipeError: stride out of range.
        DataError: a token is outside the model's vocabulary.
    """
    longest = model.config.sequence_length
    stride = max(1, 3 * longest // 4) if stride is None else stride
    if not 1 <= stride <= longest:
        raise RecipeError("evaluation", f"a stride of {stride} is not within 1..{longest}")
    lengths = np.array([len(tokens) for tokens in documents.tokens], np.int64)
    windows = [w for d, n in enumerate(lengths) for w in _windows(d, int(n), longest, stride)]
    streams = [np.concatenate(([documents.eos], tokens)) for tokens in documents.tokens]
    if max((int(s.max()) for s in streams), default=0) >= model.config.vocab:
        raise DataError("evaluation", "a token is outside the model's vocabulary")
    bits = np.zeros(len(lengths))
    for group in _batches(sorted(windows, key=lambda w: w.length), batch_tokens):
        for window, nats in zip(group, _nats(model, streams, group), strict=True):
            bits[window.document] += nats / math.log(2)
    return Scores(bits, documents.text_bytes, lengths)


def _batches(windows: list[_Window], batch_tokens: int) -> Iterator[list[_Window]]:
    """Windows, shortest first, in groups of at most `batch_tokens` after padding (one at least)."""
    group: list[_Window] = []
    for window in windows:
        if group and window.length * (len(group) + 1) > batch_tokens:
            yield group
            group = []
        group.append(window)
    if group:
        yield group


def _nats(
    model: Decoder, streams: Sequence[NDArray[np.int64]], group: list[_Window]
) -> NDArray[np.float64]:
    """Nats of the scored predictions of each window. Padding follows; causality hides it."""
    widest = group[-1].length
    tokens = np.zeros((len(group), widest + 1), np.int64)
    scored = np.zeros((len(group), widest), bool)
    for row, (document, start, length, new) in enumerate(group):
        tokens[row, : length + 1] = streams[document][start : start + length + 1]
        scored[row, length - new : length] = True
    device = model.embedding.device
    losses = model.token_losses(torch.from_numpy(tokens).to(device)).double().cpu().numpy()
    nats: NDArray[np.float64] = np.where(scored, losses, 0.0).sum(axis=1)
    return nats


@dataclass(frozen=True)
class MinimalPairs:
    """Sentences that differ in what makes one of them ungrammatical (BLiMP, 1912.00582).

    Attributes:
        good, bad: encoded sentences, pair by pair.
        phenomenon: of each pair.
    """

    good: Documents
    bad: Documents
    phenomenon: tuple[str, ...]


def encode_pairs(table: pa.Table, tokenizer: Any, eos: str) -> MinimalPairs:
    """Tokenise the pairs of a table, see `pair_columns`."""
    good, bad, kind = pair_columns(table)
    return MinimalPairs(encode(good, tokenizer, eos), encode(bad, tokenizer, eos), tuple(kind))


def score_pairs(model: Decoder, pairs: MinimalPairs) -> dict[str, tuple[int, int]]:
    """(pairs, those whose good sentence is more probable) by phenomenon; a tie is a failure.

    The whole sentence counts, without normalising its length, as BLiMP does.
    """
    good, bad = score(model, pairs.good), score(model, pairs.bad)
    right = good.bits < bad.bits
    kinds = np.array(pairs.phenomenon)
    return {
        str(kind): (int((kinds == kind).sum()), int(right[kinds == kind].sum()))
        for kind in np.unique(kinds)
    }
