"""The `extract` verb: pages of a crawl become documents, through a watched child process.

Invariant: a page that cannot be extracted is a row of the lost table with its cause; it costs
itself only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..sources.records import Lost, Page, Split, TextRow
from .base import Context
from .read import BaseStage, _Counts


class ExtractStage(BaseStage):
    """Reads WARC splits and extracts the main text of every page.

    Args:
        tool: name of the extractor.
        limits: the recipe's caps and time limits, plain values.
        versions: versions of the libraries whose output the text is.
    """

    verb = "extract"

    def __init__(
        self, name: str, *, corpus: str, kind: str, options: dict[str, Any], tool: str,
        limits: dict[str, Any], versions: dict[str, str],
    ) -> None:  # fmt: skip
        super().__init__(name, corpus=corpus, kind=kind, options=options)
        self.config |= {"tool": tool, "limits": limits, "versions": versions}
        self.tool, self.limits = tool, limits

    def documents(
        self, context: Context, split: Split, counts: _Counts
    ) -> Iterator[TextRow | Lost]:
        from ..extraction.caps import Caps
        from ..extraction.watched import Limits, WatchedExtractor

        given = self.limits
        caps = Caps(
            bytes=given["max_bytes"], depth=given["max_depth"], tags=given["max_nodes"],
            attributes=given["max_attributes"],
        )  # fmt: skip
        limits = Limits(
            caps=caps, cpu_seconds=given["timeout"], wall_seconds=4 * given["timeout"],
            memory_bytes=given["max_memory"],
        )  # fmt: skip
        aside: list[Lost] = []

        def pages() -> Iterator[Page]:
            for item in self.records(split, counts):
                if isinstance(item, Page):
                    counts.candidates += 1
                    yield item
                elif isinstance(item, Lost):
                    aside.append(item)

        with WatchedExtractor(self.tool, limits) as extractor:
            for result in extractor.extract(pages()):
                if isinstance(result, Lost):
                    yield result
                else:
                    counts.charsets[result.charset] += 1
                    yield TextRow(
                        result.position, result.ordinal, result.url, result.source_id,
                        result.title, result.date or result.warc_date, result.text,
                    )  # fmt: skip
        yield from aside
