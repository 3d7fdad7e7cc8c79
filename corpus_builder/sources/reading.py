"""One door to the readers: a split and its format in, records out."""

from __future__ import annotations

from collections.abc import Iterator

from corpus_builder.sources.options import ReadOptions
from corpus_builder.sources.records import Record, Split
from corpus_builder.store.errors import SourceError, did_you_mean

KINDS = ("warc", "jsonl", "parquet")


def read(split: Split, kind: str, options: ReadOptions) -> Iterator[Record]:
    """The records of `split`, then `Skipped` counts, then one `Span`.

    Raises:
        SourceError: `kind` is unknown, or the file cannot be read as that kind at all.
    """
    if kind == "warc":
        from corpus_builder.sources.warc import read_pages

        return read_pages(
            split,
            max_record_bytes=options.max_record_bytes,
            max_body_bytes=options.max_body_bytes,
        )
    if kind == "jsonl":
        from corpus_builder.sources.jsonl import read_rows
    elif kind == "parquet":
        from corpus_builder.sources.parquet import read_rows
    else:
        raise SourceError(kind, "no such input format", allowed=did_you_mean(kind, KINDS))
    return read_rows(split, options.columns, max_record_bytes=options.max_record_bytes)
