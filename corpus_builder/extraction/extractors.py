"""The extractors by name: HTML text in, main text, title and date out.

Invariant: an extractor is a pure function of (html, url); no state is carried between pages, and
its library is imported by `load` alone. Text is paragraphs separated by newlines, NFC.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from corpus_builder.store.errors import RecipeError, did_you_mean

RULES_VERSION = "1"  # of this package's own rules: charset, nesting, title, date, clean-up
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Extraction:
    """What an extractor found; `text` is "" if it found none."""

    text: str
    title: str
    date: str


Extractor = Callable[[str, str], Extraction]


@dataclass(frozen=True, slots=True)
class Tool:
    """An extractor that can be named in a recipe.

    Attributes:
        load: imports the library and returns the extractor.
        packages: distributions whose version decides the output.
    """

    load: Callable[[], Extractor]
    packages: tuple[str, ...]


def _trafilatura() -> Extractor:
    import logging

    from resiliparse.parse.html import HTMLTree
    from trafilatura import extract

    from .declared import date_of, title_of

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)

    def run(html: str, url: str) -> Extraction:
        text = extract(html, url=url, include_comments=False, deduplicate=False)
        tree = HTMLTree.parse(html)
        return Extraction(text or "", title_of(tree), date_of(tree))

    return run


def _resiliparse() -> Extractor:
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    from .declared import date_of, title_of

    def run(html: str, url: str) -> Extraction:
        tree = HTMLTree.parse(html)
        title, date = title_of(tree), date_of(tree)
        text = extract_plain_text(
            tree,
            main_content=True,
            alt_texts=False,
            list_bullets=False,
            links=False,
            form_fields=False,
            noscript=False,
        )
        return Extraction(text, title, date)

    return run


EXTRACTORS: dict[str, Tool] = {
    "trafilatura": Tool(_trafilatura, ("trafilatura", "lxml", "justext", "resiliparse")),
    "resiliparse": Tool(_resiliparse, ("resiliparse",)),
}


def tool_named(name: str) -> Tool:
    """Look an extractor up; `RecipeError` with the nearest name if there is none such."""
    if name not in EXTRACTORS:
        raise RecipeError("extract", f"no tool {name!r}", allowed=did_you_mean(name, EXTRACTORS))
    return EXTRACTORS[name]


def extractor_versions(name: str) -> dict[str, str]:
    """Version of all code that decides what the tool extracts: our rules, installed packages."""
    libraries = {package: version(package) for package in tool_named(name).packages}
    return {"rules": RULES_VERSION} | libraries


def storable(text: str) -> str:
    """Trim, normalise to NFC, and drop what a UTF-8 column or a reader of text cannot take."""
    return unicodedata.normalize("NFC", _UNSTORABLE.sub("", text)).strip()
