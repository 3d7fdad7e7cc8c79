"""Scores: numbers that an input brings beside its texts, to be signals.

Invariant: a score is a float64 rounded to 6 decimals, or None; NaN is None, an infinity stays what
it is. The same number is the same score, whatever type or format of file held it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pyarrow as pa

from corpus_builder.store.errors import SourceError, did_you_mean

DECIMALS = 6
"""As of every signal that is a float."""


def score_of(number: float) -> float | None:
    """A number as a score.

    Raises:
        OverflowError: an integer beyond the range of a float64.
    """
    value = float(number)
    return None if math.isnan(value) else round(value, DECIMALS)


def check_columns(schema: pa.Schema, scores: Mapping[str, str], url: str) -> None:
    """Refuse a file that lacks a column of `scores` (name -> column), or has no numbers in it."""
    for name, column in scores.items():
        place = schema.get_field_index(column)
        if place < 0:
            raise _unfit(f"no column {column!r} for the score {name!r}", column, schema, url)
        kind = schema.field(place).type
        if not _is_number(kind):
            what = f"column {column!r}, the score {name!r}, is {kind}, not a number"
            raise _unfit(what, column, schema, url)


def scores_in(column: pa.Array) -> pa.DoubleArray:
    """The values of a column that `check_columns` let pass, as scores."""
    numbers = column.cast(pa.float64(), safe=False).to_pylist()
    return pa.array([None if n is None else score_of(n) for n in numbers], pa.float64())


def _is_number(kind: pa.DataType) -> bool:
    """Whether values of this type are numbers; a column of nothing but null has the type null."""
    is_real = pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    whole = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    return bool(is_real or whole or pa.types.is_null(kind))


def _unfit(what: str, column: str, schema: pa.Schema, url: str) -> SourceError:
    numeric = [field for field in schema if _is_number(field.type)]
    shown = ", ".join(f"{field.name} ({field.type})" for field in numeric[:20])
    allowed = did_you_mean(column, [field.name for field in numeric])
    do = "name another one in the source's `scores`, or take the score out"
    what += f"; its columns of numbers are {shown or 'none'}"
    return SourceError(url, what, allowed=allowed, do=do)
