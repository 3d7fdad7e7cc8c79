"""What a mix draws of its token stores: documents, and the bytes of their text.

Invariant: a document counts once, however often it is read, if one of its tokens or more is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..store.tables import read_table
from .base import Context
from .tokens import TokensStage

if TYPE_CHECKING:
    from ..mixing.order import Order

_CHUNK = 1 << 20


def drawn(
    context: Context, order: Order, stores: Mapping[str, TokensStage]
) -> dict[str, dict[str, int]]:
    """Part -> `documents` of which a token is drawn, and the `text_bytes` of those documents."""
    return {
        name: _drawn_of(context, stores[name], sequences)
        for name, sequences in zip(order.names, _sequences(order), strict=True)
    }


def _sequences(order: Order) -> list[npt.NDArray[np.bool_]]:
    """Which sequences of each part are drawn: `bool[available]`."""
    found = [np.zeros(available, bool) for available in order.available]
    for start in range(0, len(order), _CHUNK):
        part = order.sequences(start, min(start + _CHUNK, len(order)))
        for number, mask in enumerate(found):
            mask[part.index[part.corpus == number]] = True
    return found


def _drawn_of(
    context: Context, store: TokensStage, sequences: npt.NDArray[np.bool_]
) -> dict[str, int]:
    before = np.concatenate([[0], np.cumsum(sequences)])
    documents = text_bytes = first_of_file = 0
    for record in context.records(store):
        rows, places = record.files
        where = read_table(
            context.folder(store) / places.path,
            ["first_sequence", "first_token", "tokens", "text_bytes"],
        )
        first, token, tokens, size = (column.to_numpy() for column in where.columns)
        last = first + (token + tokens - 1) // store.sequence_length
        kept = tokens > 0  # what is at the end of a block may be cut off
        first, last = first[kept] + first_of_file, last[kept] + first_of_file
        chosen = before[last + 1] > before[first]
        documents += int(chosen.sum())
        text_bytes += int(size[kept][chosen].sum())
        first_of_file += rows.rows
    return {"documents": documents, "text_bytes": text_bytes}
