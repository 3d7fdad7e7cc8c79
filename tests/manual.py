"""The documentation as data: its pages, fenced blocks, tables, links and commands.

Invariant: nothing is skipped by accident; a comment that marks a block or table and stands above
none is an error.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)
_TABLE = re.compile(r"^<!-- (?P<mark>[^\n]*?) -->\n(?P<rows>(?:^\|[^\n]*\n)+)", re.M)
_MARK = re.compile(r"^<!-- ([^\n]*?) -->$", re.M)
_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, its language, the comment above it, its text."""

    where: str
    language: str
    mark: str
    text: str


@dataclass(frozen=True)
class Table:
    """A table under a comment: the comment's kind and subject, and the rows as cells."""

    where: str
    kind: str
    subject: str
    rows: list[list[str]]


def read(page: Path) -> str:
    return page.read_text("utf-8")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[Block]:
    """The page's fenced blocks in these languages."""
    text = read(page)
    found = []
    for match in _FENCE.finditer(text):
        where = f"{name_of(page)}:{text.count(chr(10), 0, match.start('language')) + 1}"
        found.append(Block(where, match["language"], match["mark"] or "", match["text"]))
    return [block for block in found if block.language in languages]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", read(page))


def tables(page: Path) -> list[Table]:
    """The page's marked tables: `<!-- kind: subject -->` directly above."""
    text, found = read(page), []
    for match in _TABLE.finditer(text):
        kind, _, subject = match["mark"].partition(":")
        rows = [_cells(line) for line in match["rows"].splitlines()[2:]]
        where = f"{name_of(page)}:{text.count(chr(10), 0, match.start()) + 1}"
        found.append(Table(where, kind.strip(), subject.strip(), rows))
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def marks(page: Path) -> list[str]:
    """All comments of the page that stand on a line of their own."""
    return _MARK.findall(read(page))


def code(cell: str) -> list[str]:
    """What stands in backquotes."""
    return _CODE_SPAN.findall(cell)


def links(page: Path) -> list[str]:
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """Anchors of the page's headings, as GitHub makes them."""
    heads = _HEADING.findall(prose(page))
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """(where, arguments) of every `corpus ...` in shell blocks, in order."""
    for block in blocks(page, "sh"):
        for line in block.text.splitlines():
            for part in re.split(r"\s&&\s", line):
                words = shlex.split(part, comments=True)
                if words[:1] == ["corpus"]:
                    yield f"{block.where}: {part.strip()}", words[1:]


def mentions(page: Path) -> Iterator[tuple[str, list[str]]]:
    """(where, arguments) of every `corpus verb ...` in backquotes."""
    for span in _CODE_SPAN.findall(prose(page)):
        words = shlex.split(span) if span.startswith("corpus ") else []
        if len(words) > 1 and words[1] != "VERB":
            yield f"{name_of(page)}: {span}", words[1:]


def resolve(path: str) -> Any:
    """What a dotted path names: a module's attribute, or an attribute of that."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError:
        return getattr(resolve(module), name)
