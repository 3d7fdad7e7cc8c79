"""Titles and dates are what the page says of itself."""

from __future__ import annotations

import pytest
from resiliparse.parse.html import HTMLTree

from corpus_builder.extraction.declared import date_of, title_of


@pytest.mark.parametrize(
    ("html", "title"),
    [
        ("<title>Site - Head</title><h1> The\n <b>Head</b> line </h1>", "The Head line"),
        ("<title>Site</title><h1>One</h1><h1>Two</h1>", "Site"),
        ("<title>Site</title><h1> </h1><h1>Two</h1>", "Two"),
        ("<title> A &amp;\n B </title>", "A & B"),
        ("<p>nothing", ""),
        ("", ""),
    ],
)
def test_the_title_is_the_only_heading_else_the_title_element(html: str, title: str) -> None:
    assert title_of(HTMLTree.parse(html)) == title


LD = '<script type="application/ld+json">{"@type": "Article", "datePublished": "%s"}</script>'


@pytest.mark.parametrize(
    ("html", "day"),
    [
        ('<meta property="article:published_time" content="2024-05-06T07:08:09Z">', "2024-05-06"),
        ('<meta itemprop="datePublished" content="2024-05-06">', "2024-05-06"),
        ('<meta name="DC.date.issued" content="2024-05-06">', "2024-05-06"),
        ('<meta name="viewport" content="2024-05-06">', ""),
        ('<meta name="date" content="2024-02-30">', ""),
        ('<meta name="date" content="2024-05-061">', ""),
        ('<meta name="date" content="2024">', ""),
        (LD % "2023-01-02T00:00", "2023-01-02"),
        (LD % "1. Mai 2023 am", ""),
        ('<p><time datetime="2022-03-04">then</time>', "2022-03-04"),
        ('<time datetime="PT5M"></time><time datetime="2022-03-04">', "2022-03-04"),
        (
            '<time datetime="2022-03-04"></time>' + LD % "2023-01-02",
            "2023-01-02",
        ),
        ("<p>2024-05-06", ""),
        ("", ""),
    ],
)
def test_the_date_is_the_first_that_is_declared(html: str, day: str) -> None:
    assert date_of(HTMLTree.parse(html)) == day
