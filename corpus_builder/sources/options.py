"""What a reader needs to know beside the split: columns and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns (JSON keys) of text inputs.

    `text` must be there. Another one that is None is taken from the column of its own name (`url`,
    `id`, `title`, `date`) where there is one; one that is named must exist in a Parquet file.

    Attributes:
        scores: name of a score -> its column, which holds numbers and must exist in a Parquet file.
    """

    text: str = "text"
    url: str | None = None
    id: str | None = None
    title: str | None = None
    date: str | None = None
    scores: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Columns, and the sizes above which a record is lost as `too_large`.

    Attributes:
        max_record_bytes: stored bytes of a WARC block, a JSON line, a text in Parquet.
        max_body_bytes: decoded bytes of an HTML body.
    """

    columns: Columns = Columns()
    max_record_bytes: int = 64 << 20
    max_body_bytes: int = 16 << 20
