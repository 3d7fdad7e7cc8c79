"""Caps are decided by the page alone, in linear time, as an HTML parser would nest it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.extraction.caps import Caps, over_bytes, over_tree
from corpus_builder.extraction.charset import decode

LOOSE = Caps(bytes=1 << 40, depth=1 << 40, tags=1 << 40, attributes=1 << 40)


def depth_of(html: str) -> int:
    """Smallest cap on depth that the page is not over."""
    low, high = 0, 1 << 12
    while low < high:
        middle = (low + high) // 2
        if over_tree(html, Caps(depth=middle, tags=1 << 40)) is None:
            high = middle
        else:
            low = middle + 1
    return low


@pytest.mark.parametrize(
    ("html", "depth"),
    [
        ("", 0),
        ("<div><div><div>", 5),
        ("<div></div><div></div>", 3),
        ("<p>a<p>b<p>c", 3),
        ("<ul><li>a<li>b<li>c", 4),
        ("<ul><li><ul><li>a<li>b</ul><li>c", 6),
        ("<dl><dt>a<dd>b<dt>c<dd>d", 4),
        ("<table><td>a<td>b<tr><td>c", 6),
        ("<table><tr><td><table><tr><td>a", 10),
        ("<br><img><hr><input><meta><link>", 2),
        ("<select><option>a<option>b<optgroup><option>c", 5),
        ("<script>'<div><div><div>'</script><p>", 3),
        ("<SCRIPT><div><div></SCRIPT ><p>", 3),
        ("<style><div><div>", 2),
        ("<!-- <div><div> --><p>", 3),
        ("<!--><div><div>", 4),
        ("<!-- never closed <div><div>", 0),
        ('<p title="<div><div><div>">', 3),
        ("<p title=it's><div><div>", 4),
        ("<svg><g><path/><path/><path/></g></svg>", 4),
        ("<svg><div/><div/><div/>", 5),
        ("<svg><style><g><g><g>", 7),
        ("<svg><foreignObject><div/><div/>", 6),
        ("<div/><div/><div/>", 5),
        ("<div><table><td></div></table></div>", 7),
        ("<span><div></span></div>" * 20, 23),
        ("".join(f"<p><font size={size}>" for size in range(20)), 23),
        ("<p><b>" * 20, 6),
        ("<a href=1><a href=2><a href=3>", 3),
    ],
)
def test_nesting_follows_the_html_standard(html: str, depth: int) -> None:
    assert depth_of(html) == depth


@pytest.mark.parametrize(
    ("caps", "html", "cause"),
    [
        (Caps(tags=3), "<p></p>" * 4, "too_many_nodes"),
        (Caps(tags=4), "<p></p>" * 4, None),
        (Caps(depth=4), "<div><div><div>", "too_deep"),
        (Caps(depth=5), "<div><div><div>", None),
        (Caps(attributes=2), "<p a b=1 c='2'>", "too_many_attributes"),
        (Caps(attributes=3), "<p a b=1 c='2 d e f'>", None),
    ],
)
def test_a_cap_is_the_most_that_is_allowed(caps: Caps, html: str, cause: str | None) -> None:
    over = over_tree(html, caps)
    assert (over.cause if over else None) == cause


def test_bytes_have_a_cap_of_their_own() -> None:
    assert over_bytes(10, Caps(bytes=10)) is None
    over = over_bytes(11, Caps(bytes=10))
    assert over is not None
    assert (over.cause, over.detail) == ("too_many_bytes", "11 bytes, more than 10")


def test_elements_that_are_reopened_in_every_block_count() -> None:
    """Fonts left open are made again in each later paragraph: 250 of them cost gigabytes."""
    html = "".join(f"<p><font size={size}>x" for size in range(100)) + "<p>x" * 240
    assert over_tree(html, Caps(tags=30_000)) is None
    over = over_tree(html + "<p>x" * 100, Caps(tags=30_000))
    assert over is not None and over.cause == "too_many_nodes"


def test_formatting_around_blocks_is_made_once() -> None:
    assert over_tree("<font><b><div><p>x</p><p>y</p></div>" * 10, Caps(tags=60)) is None


@given(st.text(alphabet="<>/=\"'! -abdiptv\n", max_size=400))
def test_any_text_is_scanned_to_its_end(html: str) -> None:
    assert over_tree(html, LOOSE) is None


@pytest.mark.parametrize(
    "html",
    [
        "<a " * 200_000 + '"',
        "<a b='" * 200_000,
        "<script>" * 200_000,
        "<!--" * 200_000,
        "<" * 10**6,
    ],
    ids=["open tags", "open quotes", "open scripts", "open comments", "angles"],
)
def test_unclosed_markup_is_not_scanned_twice(html: str) -> None:
    """A second look at the rest of the page for every tag would take hours."""
    over_tree(html, LOOSE)


def test_no_real_page_is_over_the_default_caps(shared_data: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(shared_data / "wcxb-dev.parquet", columns=["html"])
    for row in range(0, table.num_rows, 5):
        body = table["html"][row].as_py()
        assert over_bytes(len(body), Caps()) is None
        assert over_tree(decode(body, None).text, Caps()) is None


def test_depth_agrees_with_a_html_parser_on_real_pages(shared_data: Path) -> None:
    """Within one level: elements that hold no others (img, script) are not counted here."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.parse.html import HTMLTree, NodeType

    def deepest(html: str) -> int:
        found, node, depth = 0, HTMLTree.parse(html).document, 0
        while True:
            if node.first_child is not None:
                node, depth = node.first_child, depth + 1
                found = max(found, depth) if node.type == NodeType.ELEMENT else found
                continue
            while node.next is None:
                node, depth = node.parent, depth - 1
                if depth <= 0:
                    return found
            node = node.next

    compared = 0
    with (shared_data / "warc/permissive-mini.warc.gz").open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            if record.http_content_type != "text/html":
                continue
            html = decode(record.reader.read(), record.http_charset).text
            compared += 1
            if compared % 3 == 0:
                assert abs(depth_of(html) - deepest(html)) <= 1
    assert compared > 200
