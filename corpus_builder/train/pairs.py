"""The columns of a table of minimal pairs: BLiMP's (1912.00582), or short names.

Invariant: what is returned is text, pair by pair, one pair or more.
"""

from __future__ import annotations

import pyarrow as pa

from corpus_builder.store.errors import DataError, RecipeError

COLUMNS = (("sentence_good", "sentence_bad", "UID"), ("good", "bad", "uid"))


def pair_columns(
    table: pa.Table, where: str = "minimal pairs"
) -> tuple[list[str], list[str], list[str]]:
    """Good sentences, bad ones, and the phenomenon of each pair.

    Args:
        where: what an error names.

    Raises:
        RecipeError: neither `sentence_good, sentence_bad, UID` nor `good, bad, uid` are there.
        DataError: there are no pairs, or a value is not text, or both sentences of a pair are the
            same; names the row.
    """
    allowed = "allowed: " + "; or ".join(", ".join(names) for names in COLUMNS)
    found = [names for names in COLUMNS if {*names} <= {*table.column_names}]
    if not found:
        raise RecipeError(where, f"columns {', '.join(table.column_names)}", allowed=allowed)
    if not len(table):
        raise DataError(where, "there are no pairs in it")
    good, bad, kind = (_texts(table, name, where) for name in found[0])
    for row, (one, other) in enumerate(zip(good, bad, strict=True)):
        if one == other:
            what = f"row {row:,}: both sentences are {one!r}"
            raise DataError(where, what, do="remove it: no model can have it right")
    return good, bad, kind


def _texts(table: pa.Table, name: str, where: str) -> list[str]:
    values: list[str] = table.column(name).to_pylist()
    for row, value in enumerate(values):
        if not isinstance(value, str):
            what = f"row {row:,}: {name} is {value!r}"
            raise DataError(where, what, allowed="allowed: text")
    return values
