"""The named extractors, in their child, on real and on malformed pages."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from functools import cache
from pathlib import Path

import pytest

from corpus_builder.extraction.charset import decode
from corpus_builder.extraction.extractors import (
    EXTRACTORS,
    extractor_versions,
    storable,
    tool_named,
)
from corpus_builder.extraction.watched import Extracted, Limits, WatchedExtractor
from corpus_builder.sources.records import Lost, Page
from corpus_builder.store.errors import RecipeError

TOOLS = sorted(EXTRACTORS)
SENTENCE = "The harbour master recorded the arrival of each vessel in a ledger every day. "
ARTICLE = (
    "<html><head><title>Site</title></head><body><nav><a href='/'>Home</a> <a href='/x'>Shop</a>"
    "</nav><main><article><h1>Harbour</h1>"
    + "".join(f"<p>Paragraph {number}: {SENTENCE * 3}</p>" for number in range(5))
    + "</article></main><footer>Imprint Cookies</footer></body></html>"
)


@cache
def pages_of(warc: Path) -> list[Page]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    with warc.open("rb") as stream:
        return [
            Page(
                record.stream_pos,
                0,
                record.headers["WARC-Target-URI"],
                record.record_id,
                record.headers["WARC-Date"],
                record.http_charset,
                record.reader.read(),
            )
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response)
            if record.http_content_type == "text/html"
        ]


def extract(tool: str, pages: list[Page]) -> list[Extracted | Lost]:
    with WatchedExtractor(tool, Limits(cpu_seconds=15.0)) as extractor:
        return list(extractor.extract(pages))


def by_name(outcomes: list[Extracted | Lost]) -> dict[str, Extracted | Lost]:
    return {outcome.url.rsplit("/", 1)[1].removesuffix(".html"): outcome for outcome in outcomes}


@pytest.mark.parametrize("tool", TOOLS)
def test_the_article_is_kept_and_the_navigation_is_not(tool: str) -> None:
    (found,) = extract(tool, [Page(7, 0, "https://a.example/", "id", "", None, ARTICLE.encode())])
    assert isinstance(found, Extracted)
    paragraphs = [line for line in found.text.split("\n") if line.startswith("Paragraph")]
    assert paragraphs == [f"Paragraph {number}: {SENTENCE * 3}".strip() for number in range(5)]
    assert "Imprint" not in found.text and "Shop" not in found.text
    assert found.title == "Harbour"


@pytest.mark.parametrize("tool", TOOLS)
def test_malformed_pages_are_bounded_and_read_in_the_right_characters(
    tool: str, shared_data: Path
) -> None:
    pages = pages_of(shared_data / "malformed/html_all.warc.gz")
    outcomes = extract(tool, pages)
    assert [outcome.position for outcome in outcomes] == [page.position for page in pages]
    found = by_name(outcomes)
    lost = {name: outcome.cause for name, outcome in found.items() if isinstance(outcome, Lost)}
    assert {name: cause for name, cause in lost.items() if cause != "no_text"} == {
        "h01_deep_nesting": "too_deep",
        "h02_unclosed": "too_deep",
        "h15_million_attrs": "too_many_attributes",
        "h16_link_farm": "too_many_nodes",
    }
    readable = {
        "h03_nul_bytes": "harbour master",
        "h04_utf16le_bom": "harbour master",
        "h05_utf8_says_latin1": "naïve café – ‘quotes’",
        "h06_latin1_says_utf8": "naïve café élève über",
        "h07_shift_jis": "港の管理者は、到着した船",
        "h08_euc_kr": "항구 관리자는 도착한",
        "h09_gb18030_undeclared": "港口管理员每天",
        "h20_comment_unclosed": "before",
        "145": "harbour master",
    }
    for name, words in readable.items():
        outcome = found[name]
        assert isinstance(outcome, Extracted) and words in outcome.text, name


@pytest.mark.parametrize("tool", TOOLS)
def test_two_runs_agree_whatever_ran_before_in_the_child(tool: str, shared_data: Path) -> None:
    pages = pages_of(shared_data / "warc/permissive-mini.warc.gz")[::8]
    forwards = extract(tool, pages)
    backwards = extract(tool, pages[::-1])
    assert forwards == backwards[::-1]
    assert sum(isinstance(outcome, Extracted) for outcome in forwards) > 20


def test_text_is_what_the_library_gives_without_comments(shared_data: Path) -> None:
    from trafilatura import extract as library

    pages = pages_of(shared_data / "warc/permissive-mini.warc.gz")[:20]
    for page, ours in zip(pages, extract("trafilatura", pages), strict=True):
        theirs = library(decode(page.body, page.http_charset).text, include_comments=False)
        assert (ours.text if isinstance(ours, Extracted) else None) == theirs


def test_versions_name_the_libraries_that_decide_the_output() -> None:
    import trafilatura

    assert extractor_versions("trafilatura")["trafilatura"] == trafilatura.__version__
    assert list(extractor_versions("resiliparse")) == ["rules", "resiliparse"]


def test_an_unknown_tool_is_refused() -> None:
    with pytest.raises(RecipeError, match="did you mean 'resiliparse'"):
        tool_named("resilipars")


def test_stored_text_is_trimmed_composed_and_encodable() -> None:
    assert storable(" e\u0301\0\udc80\n") == "é"
    assert unicodedata.is_normalized("NFC", storable("e\u0301"))


def test_naming_a_tool_imports_no_library() -> None:
    code = (
        "import sys, corpus_builder.extraction.watched as w; w.WatchedExtractor('trafilatura');"
        "sys.exit(bool({'trafilatura', 'resiliparse', 'lxml'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
