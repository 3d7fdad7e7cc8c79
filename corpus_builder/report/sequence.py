"""One sequence of the mix: which documents are in it, and where they came from.

Invariant: read from the token stores' own tables of places, so it is what a trainer sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..stages.base import Context, data_file
from ..stages.encoder import load_tokenizer
from ..stages.mix import MixStage
from ..stages.tokens import TokensStage
from ..store.arrow_streams import SequenceFiles
from ..store.errors import DataError
from ..store.tables import read_batches, read_table


@dataclass(frozen=True)
class Piece:
    """A document's part in a sequence.

    Attributes:
        start, stop: tokens of the sequence, its end-of-document token included.
        text: those tokens, decoded.
    """

    doc_id: str
    url: str
    file: str
    start: int
    stop: int
    text: str


@dataclass(frozen=True)
class SequenceView:
    """Sequence `number` of a mix: use `epoch` of sequence `index` of a corpus (or bucket)."""

    number: int
    corpus: str
    epoch: int
    index: int
    pieces: tuple[Piece, ...]


def show(context: Context, mix: MixStage, number: int) -> SequenceView:
    """Look up one sequence.

    Raises:
        DataError: the mix is shorter.
    """
    order = mix.order(context)
    if not 0 <= number < len(order):
        raise DataError(
            f"sequence {number}", "is not in the mix", allowed=f"0 to {len(order) - 1:,}"
        )
    place, epoch, index = order.sequence_at(number)
    store = mix.stores[order.names[place]]
    pieces = tuple(_pieces(context, store, index))
    return SequenceView(number, order.names[place], epoch, index, pieces)


def _pieces(context: Context, store: TokensStage, index: int) -> Iterator[Piece]:
    """Documents that overlap sequence `index` of a token store."""
    length, row = store.sequence_length, index
    for record in context.records(store):
        sequences, places = record.files
        if row < sequences.rows:
            break
        row -= sequences.rows
    where = read_table(context.folder(store) / places.path)
    first = _add(where, "first_sequence", length, "first_token")
    last = pc.add(first, where.column("tokens"))
    inside = pc.and_(pc.less(first, (row + 1) * length), pc.greater(last, row * length))
    tokens = SequenceFiles([context.folder(store) / sequences.path]).take(_rows(row))[0]
    tokenizer = load_tokenizer(store.encode.tokenizer.file(context))
    found = where.filter(inside)
    origins = _origins(context, store, found.column("doc_id").to_pylist())
    borders = zip(first.filter(inside).to_pylist(), last.filter(inside).to_pylist(), strict=True)
    for identity, (begin, end) in zip(found.column("doc_id").to_pylist(), borders, strict=True):
        start, stop = max(0, begin - row * length), min(length, end - row * length)
        text = tokenizer.decode(tokens[start:stop].tolist(), skip_special_tokens=False)
        yield Piece(identity.hex(), *origins[identity], start, stop, text)


def _add(table: pa.Table, sequence: str, length: int, token: str) -> Any:
    """Place of each document's first token in the file's stream of tokens."""
    return pc.add(pc.multiply(table.column(sequence), length), table.column(token).cast(pa.int64()))


def _rows(row: int) -> Any:
    import numpy as np

    return np.array([row], np.int64)


def _origins(
    context: Context, store: TokensStage, wanted: list[bytes]
) -> dict[bytes, tuple[str, str]]:
    """(url, file) of documents by doc_id, from the documents table."""
    documents, found = store.encode.documents, dict[bytes, tuple[str, str]]()
    for shard in context.shard_names(store.corpus):
        for batch in read_batches(
            data_file(context.folder(documents), shard), ["doc_id", "url", "file"]
        ):
            hits = batch.filter(pc.is_in(batch.column("doc_id"), pa.array(wanted, pa.binary(16))))
            found |= {row["doc_id"]: (row["url"], row["file"]) for row in hits.to_pylist()}
        if len(found) == len(wanted):
            break
    return found
