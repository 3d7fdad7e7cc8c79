"""The stack of open elements as an HTML parser keeps it, names only, for the depth it reaches.

Invariant: on the tags of a page, `depth` follows the tree construction rules of the HTML standard
(section 13.2.6) where they make trees deep or big: implied end tags, scopes, tables, foreign
content, and formatting elements that are reopened in every later block. It may exceed the true
depth (a formatting element counts wherever it was opened), which only broken pages show.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from .markup import (
    BUTTON_SCOPE,
    CLOSES_P,
    FOREIGN_ROOTS,
    FORMATTING,
    HEADINGS,
    INTEGRATION_POINTS,
    LEAVES_FOREIGN,
    LIST_ITEM_STOPS,
    NEVER_OPEN,
    RAW_TEXT,
    SCOPE,
    SPECIAL,
    TABLE_PARTS,
    TABLE_SECTIONS,
)

_REOPENED = 3  # copies of one formatting tag that a parser reopens ("Noah's Ark clause")
_TABLE = ("table", "template")


@dataclass(slots=True)
class _Formatting:
    name: str
    attributes: str
    level: int  # open elements above it; -1 once its own element has been closed with them


class OpenElements:
    """Fed the tags of a page in order; `start` says how the text after the tag is to be read."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._formatting: list[_Formatting] = []
        self.reopened = 0  # elements a parser makes anew in a later block
        self._foreign = False  # whether svg or math may be open

    @property
    def depth(self) -> int:
        """Open elements, `html` and `body` included."""
        return 2 + len(self._open) + len(self._formatting)

    def start(self, name: str, attributes: str) -> bool:
        """Open an element (`name` lower-case); True if what follows is raw text up to its end."""
        if self._foreign and self._in_foreign():
            if name not in LEAVES_FOREIGN:
                if not attributes.endswith("/"):
                    self._open.append(name)
                return False
            self._cut(self._find(FOREIGN_ROOTS, ()))
        if name in FORMATTING:
            self._format(name, attributes)
        elif name in TABLE_PARTS:
            self._table_part(name)
        elif name not in NEVER_OPEN:
            self._close_implied(name)
            self._open.append(name)
            self._foreign = self._foreign or name in FOREIGN_ROOTS
        if self._formatting:
            self._reopen()
        return name in RAW_TEXT

    def end(self, name: str) -> None:
        """Close an element, if the end tag closes anything."""
        if name in FORMATTING:
            self._unformat(name)
        elif self._open and self._open[-1] == name:
            self._cut(len(self._open) - 1)
        elif name in TABLE_PARTS or name == "table":
            self._cut(self._find((name,), () if name == "table" else _TABLE))
        elif name in HEADINGS:
            self._cut(self._find(HEADINGS, SCOPE))
        elif name in SPECIAL:
            self._cut(self._find((name,), BUTTON_SCOPE if name == "p" else SCOPE))
        else:
            self._cut(self._find((name,), SPECIAL))

    def _find(self, names: Container[str], stops: Container[str]) -> int:
        """Index of the innermost open element in `names`, -1 if one in `stops` comes first."""
        for index in range(len(self._open) - 1, -1, -1):
            if self._open[index] in names:
                return index
            if self._open[index] in stops:
                return -1
        return -1

    def _cut(self, index: int) -> None:
        """Close the elements from `index` on (-1: none), and the formatting opened in them."""
        if index >= 0:
            del self._open[index:]
            for entry in self._formatting:
                if entry.level > index:
                    entry.level = -1

    def _reopen(self) -> None:
        for entry in self._formatting:
            if entry.level < 0:
                entry.level = len(self._open)
                self.reopened += 1

    def _in_foreign(self) -> bool:
        self._foreign = "svg" in self._open or "math" in self._open
        return self._foreign and self._find(FOREIGN_ROOTS, INTEGRATION_POINTS) >= 0

    def _format(self, name: str, attributes: str) -> None:
        if name in ("a", "nobr"):
            self._unformat(name)
        same = [e for e in self._formatting if e.name == name and e.attributes == attributes]
        if len(same) < _REOPENED:
            self._formatting.append(_Formatting(name, attributes, len(self._open)))

    def _unformat(self, name: str) -> None:
        for index in range(len(self._formatting) - 1, -1, -1):
            if self._formatting[index].name == name:
                del self._formatting[index]
                return

    def _close_implied(self, name: str) -> None:
        if name == "li":
            self._cut(self._find(("li",), LIST_ITEM_STOPS))
        elif name in ("dd", "dt"):
            self._cut(self._find(("dd", "dt"), LIST_ITEM_STOPS))
        elif name == "button":
            self._cut(self._find(("button",), SCOPE))
        elif name in ("option", "optgroup") and self._open and self._open[-1] == "option":
            self._cut(len(self._open) - 1)
        if name in CLOSES_P and "p" in self._open:
            self._cut(self._find(("p",), BUTTON_SCOPE))
        if self._open and (
            (name in HEADINGS and self._open[-1] in HEADINGS)
            or (name == "optgroup" and self._open[-1] == "optgroup")
        ):
            self._cut(len(self._open) - 1)

    def _table_part(self, name: str) -> None:
        """Close back to where the part belongs, open the parts implied between, then the part."""
        table = self._find(_TABLE, ())
        if table < 0:
            return
        if name in ("td", "th"):
            row = self._find(("tr",), _TABLE)
            if row < 0:
                self._table_part("tr")
            else:
                self._cut(row + 1)
        elif name == "tr":
            section = self._find(TABLE_SECTIONS, _TABLE)
            self._cut(max(section, table) + 1)
            if section < 0:
                self._open.append("tbody")
        else:
            self._cut(table + 1)
        self._open.append(name)
