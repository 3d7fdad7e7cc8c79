"""Parquet files as text rows, by row groups, in batches of bounded memory.

Invariant: every row of the split's row groups is exactly one row of a batch or one `Lost`; a file
that cannot give a text column is refused before its first row, naming what it has.

Causes of `Lost`: `text_null`, `text_empty` (white space alone counts), `bad_utf8`, `too_large`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus_builder.sources.options import Columns
from corpus_builder.sources.records import InputFile, Lost, Record, Span, Split, TextRow
from corpus_builder.sources.scores import check_columns, scores_in
from corpus_builder.sources.sniff import describe
from corpus_builder.sources.window import open_input
from corpus_builder.store.errors import SourceError, did_you_mean

ROWS = 256
"""Rows a batch: at 10 KB a text, 2.5 MB."""

SCHEMA = pa.schema(
    [
        ("position", pa.int64()),
        ("ordinal", pa.int64()),
        ("url", pa.string()),
        ("source_id", pa.string()),
        ("title", pa.string()),
        ("date", pa.string()),
        ("text", pa.large_string()),
    ]
)
"""Columns of the batches that `read_text_batches` yields, before scores; none holds a null."""


def read_rows(split: Split, columns: Columns, *, max_record_bytes: int) -> Iterator[Record]:
    """The rows of `split` one by one; see `read_text_batches`."""
    for item in read_text_batches(split, columns, max_record_bytes=max_record_bytes):
        if not isinstance(item, pa.RecordBatch):
            yield item
            continue
        for row in item.to_pylist():
            scores = tuple(row.pop(name) for name in columns.scores)
            yield TextRow(**row, scores=scores)


def read_text_batches(
    split: Split, columns: Columns, *, max_record_bytes: int
) -> Iterator[pa.RecordBatch | Lost | Span]:
    """Batches of `SCHEMA`, each after the losses among its rows, then a `Span` in row numbers.

    After the columns of `SCHEMA` a batch has one float64 column a score, null where it has none.

    A split's byte range stands for the row groups of the same share of the file: group g of G
    belongs to it if `start <= size * g / G < end`.

    Raises:
        SourceError: the file cannot be opened, is no whole Parquet file, lacks a named column, or
            has text in a type that holds no text, or a score in one that holds no numbers; a row
            group cannot be decoded.
    """
    url = split.file.url
    with open_input(split.file) as source:
        file = _open(source, url)
        fields = _choose(file.schema_arrow, columns, url)
        check_columns(file.schema_arrow, columns.scores, url)
        wanted = sorted({*fields.values(), *columns.scores.values()})
        groups = file.metadata.num_row_groups
        size = max(split.file.size, 1)
        low, high = (-(-groups * edge // size) for edge in (split.start, split.end))
        counts = [file.metadata.row_group(g).num_rows for g in range(groups)]
        first = row = sum(counts[:low])
        try:
            for batch in file.iter_batches(
                batch_size=ROWS, row_groups=[*range(low, high)], columns=wanted
            ):
                yield from _clean(batch, fields, columns.scores, row, max_record_bytes)
                row += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            do = "write or fetch the file again"
            raise SourceError(url, f"cannot be decoded past row {row}: {error}", do=do) from error
        yield Span(first, row)


def check_schema(file: InputFile, columns: Columns) -> None:
    """Refuse a file that lacks a named column, or has another type of values in it.

    Raises:
        SourceError: it does; a file that is no whole Parquet file is left to who reads it.
    """
    try:
        with open_input(file) as source:
            schema = _open(source, file.url).schema_arrow
    except SourceError:
        return
    _choose(schema, columns, file.url)
    check_columns(schema, columns.scores, file.url)


def _open(source: Any, url: str) -> pq.ParquetFile:
    """The file's footer, read.

    `pre_buffer` off: it would hold whole row groups.
    """
    head = source.read(8)
    source.seek(0)
    do = "write the file again, or leave it out"
    if not head.startswith(b"PAR1"):
        seems = describe(head)
        what = "is an empty file" if not head else f"is no Parquet file, seems to be {seems}"
        raise SourceError(url, what, do=do)
    try:
        return pq.ParquetFile(
            source, pre_buffer=False, buffer_size=1 << 20, page_checksum_verification=True
        )
    except (pa.ArrowException, OSError) as error:
        raise SourceError(url, f"is a broken Parquet file ({error})", do=do) from error


def _choose(schema: pa.Schema, columns: Columns, url: str) -> dict[str, str]:
    """Column of `SCHEMA` -> column of the file, for those the file has."""
    if columns.text not in schema.names:
        raise _no_column(columns.text, schema, url)
    kind = schema.field(columns.text).type
    if not _is_string(kind):
        what = f"column {columns.text!r} is {kind}, not a string"
        raise SourceError(url, what, allowed=_strings(schema), do="name the column of the text")
    chosen = {"text": columns.text}
    for ours, named, usual in (
        ("url", columns.url, "url"),
        ("source_id", columns.id, "id"),
        ("title", columns.title, "title"),
        ("date", columns.date, "date"),
    ):
        name = named or usual
        if name in schema.names and _is_printable(schema.field(name).type):
            chosen[ours] = name
        elif named is not None:
            raise _no_column(named, schema, url)
    return chosen


def _no_column(name: str, schema: pa.Schema, url: str) -> SourceError:
    there = [f"{field.name} ({field.type})" for field in schema]
    what = f"no column {name!r} of text; it has {', '.join(there[:20]) or 'none'}"
    return SourceError(url, what, allowed=did_you_mean(name, schema.names), do="name another one")


def _strings(schema: pa.Schema) -> str:
    names = [field.name for field in schema if _is_string(field.type)]
    return f"string columns: {', '.join(names) or 'none'}"


def _is_string(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_view = pa.types.is_string_view(kind)
    return bool(is_view or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_printable(kind: pa.DataType) -> bool:
    """Whether values of this type have one obvious text form."""
    if _is_string(kind):
        return True
    try:
        pa.array([], kind).cast(pa.string())
    except pa.ArrowNotImplementedError:
        return False
    is_binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return not (is_binary or pa.types.is_fixed_size_binary(kind) or pa.types.is_nested(kind))


def _clean(
    batch: pa.RecordBatch, fields: dict[str, str], scores: Mapping[str, str], row: int, limit: int
) -> Iterator[pa.RecordBatch | Lost]:
    """A loss for each row without text, then the rows that have one."""
    text = batch.column(fields["text"]).cast(pa.large_string())
    causes = _causes(text, limit)
    for index, cause in causes.items():
        yield Lost(row + index, 0, "", cause, f"row {row + index}")
    kept = pa.array([i for i in range(batch.num_rows) if i not in causes], pa.int64())
    if len(kept) == 0:
        return
    nothing = pa.repeat("", batch.num_rows)
    others = {
        name: _as_text(batch.column(fields[name])) if name in fields else nothing
        for name in ("url", "source_id", "title", "date")
    }
    numbers = [scores_in(batch.column(name)) for name in scores.values()]
    arrays = [array.take(kept) for array in (*others.values(), text, *numbers)]
    zeros = pa.repeat(pa.scalar(0, pa.int64()), len(kept))
    schema = pa.schema([*SCHEMA, *((name, pa.float64()) for name in scores)])
    yield pa.RecordBatch.from_arrays([pc.add(kept, row), zeros, *arrays], schema=schema)


def _causes(text: pa.LargeStringArray, limit: int) -> dict[int, str]:
    """Row of the batch -> why its text is none; nearly always empty, and then cheap."""
    sizes = pc.min_max(pc.binary_length(text)).as_py()
    plain = not text.null_count and sizes["min"] and sizes["max"] <= limit and _is_utf8(text)
    if plain and not pc.any(pc.utf8_is_space(text)).as_py():
        return {}
    values = text.cast(pa.large_binary()).to_pylist()
    causes = ((index, _cause(value, limit)) for index, value in enumerate(values))
    return {index: cause for index, cause in causes if cause}


def _cause(value: bytes | None, limit: int) -> str:
    if value is None:
        return "text_null"
    if len(value) > limit:
        return "too_large"
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "bad_utf8"
    return "" if text and not text.isspace() else "text_empty"


def _is_utf8(array: pa.Array) -> bool:
    """Parquet does not promise it."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _as_text(array: pa.Array) -> pa.StringArray:
    """Values as strings, null as ""; bytes that are not UTF-8 replaced."""
    array = array.cast(pa.string())
    if not _is_utf8(array):
        values = array.cast(pa.binary()).to_pylist()
        texts = [value and value.decode(errors="replace") for value in values]
        array = pa.array(texts, pa.string())
    return pc.fill_null(array, "")
