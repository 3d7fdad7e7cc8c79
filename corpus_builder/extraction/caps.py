"""Limits on a page's bytes and tree that are decided before any tree heuristic runs.

Invariant: the verdict is a function of the page and the limits alone, reached in time linear in
the page: one pass over its tags, tokenized as HTML does, with the open elements kept by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .nesting import OpenElements

_SPACE = r"[\t\n\f\r ]"
_ATTRIBUTE = (
    rf"[^\t\n\f\r />][^\t\n\f\r />=]*+(?:{_SPACE}*+={_SPACE}*+"
    r"""(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\t\n\f\r >]*+))?+"""
)
_TAG = re.compile(
    rf"<(?:(!--)|(/?)([A-Za-z][^\t\n\f\r />]*+)((?:[\t\n\f\r /]++|{_ATTRIBUTE})*+)(?:>|\Z))"
)
_ONE_ATTRIBUTE = re.compile(_ATTRIBUTE)


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits; a page over one of them is lost with the cause named here.

    The most in 5,548 real pages: 5.3 MB, depth 56, 15,793 tags, 185 attributes in one tag.

    Attributes:
        bytes: of the body as handed over (`too_many_bytes`).
        depth: of nested elements (`too_deep`).
        tags: start tags, and elements that a parser makes of misnested ones
            (`too_many_nodes`).
        attributes: of one tag (`too_many_attributes`); parsers compare all pairs of them.
    """

    bytes: int = 10_000_000
    depth: int = 256
    tags: int = 25_000
    attributes: int = 512


@dataclass(frozen=True, slots=True)
class Exceeded:
    """The limit a page is over: a cause, and the limit in words."""

    cause: str
    detail: str


def over_bytes(size: int, caps: Caps) -> Exceeded | None:
    """Check the size of a body in bytes."""
    if size <= caps.bytes:
        return None
    return Exceeded("too_many_bytes", f"{size} bytes, more than {caps.bytes}")


def over_tree(html: str, caps: Caps) -> Exceeded | None:
    """Check the tree a page would become; the scan ends at the first limit passed."""
    elements, tags, position = OpenElements(), 0, 0
    while (tag := _TAG.search(html, position)) is not None:
        comment, slash, name, attributes = tag.groups()
        position = tag.end()
        if comment:
            position = _past(html, "-->", tag.start() + 2)
        elif slash:
            elements.end(name.lower())
        else:
            tags += 1
            if tags + elements.reopened > caps.tags:
                return Exceeded("too_many_nodes", f"more than {caps.tags} elements")
            if len(attributes) > caps.attributes and _count(attributes) > caps.attributes:
                return Exceeded("too_many_attributes", f"a tag with more than {caps.attributes}")
            if elements.start(name := name.lower(), attributes):
                position = _raw_end(html, name, position)
            if elements.depth > caps.depth:
                return Exceeded("too_deep", f"nested more than {caps.depth} deep")
    return None


def _count(attributes: str) -> int:
    return sum(1 for _ in _ONE_ATTRIBUTE.finditer(attributes))


def _past(html: str, mark: str, start: int) -> int:
    found = html.find(mark, start)
    return len(html) if found < 0 else found + len(mark)


def _raw_end(html: str, name: str, start: int) -> int:
    close = re.compile(rf"</{name}(?=[\t\n\f\r />])", re.I).search(html, start)
    return len(html) if close is None else close.start()
