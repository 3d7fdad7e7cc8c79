"""YAML files as trees of nodes that know their line: YAML 1.2 core scalars over PyYAML's parser.

Invariant: a tree is plain (mappings with string keys, sequences, str, int, float, bool, null); no
tag, duplicate key, non-finite number or unbounded alias gets in, and every node can say
`file:line`. `no`, `off` and `1:30` are strings, `1e-3` is a float, `0o17` an integer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from .store.errors import RecipeError

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_ALIASES = 200
MAX_NODES = 20_000

Scalar: TypeAlias = str | int | float | bool | None

# YAML 1.2.2, section 10.3.2 (core schema); \Z, since `$` would let a final line feed through.
_NULL = re.compile(r"(?:null|Null|NULL|~|)\Z")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
_INT = re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it begins (`file:line`); a mapping's entries begin at their keys."""

    value: Scalar | Sequence[Node] | Mapping[str, Node]
    where: str

    @property
    def mapping(self) -> Mapping[str, Node] | None:
        """The entries, if this is a mapping."""
        return self.value if isinstance(self.value, Mapping) else None

    @property
    def items(self) -> Sequence[Node] | None:
        """The items, if this is a sequence."""
        is_scalar = self.value is None or isinstance(self.value, str | int | float | Mapping)
        return None if is_scalar else self.value  # type: ignore[return-value]

    def plain(self) -> Any:
        """The value without positions: dict, tuple, str, int, float, bool or None."""
        if self.mapping is not None:
            return {key: node.plain() for key, node in self.mapping.items()}
        if self.items is not None:
            return tuple(node.plain() for node in self.items)
        return self.value

    def keys(self, *path: str) -> list[str]:
        """Keys of the mapping that `path` leads to; none where there is no mapping."""
        node: Node | None = self
        for step in path:
            node = (node.mapping or {}).get(step) if node is not None else None
        return [*(node.mapping or {})] if node is not None else []

    def locate(self, path: Sequence[str | int]) -> str:
        """Where the deepest node on `path` begins."""
        node = self
        for step in path:
            below: Node | None = None
            if isinstance(step, str) and node.mapping is not None:
                below = node.mapping.get(step)
            elif isinstance(step, int) and node.items is not None and step < len(node.items):
                below = node.items[step]
            if below is None:
                break
            node = below
        return node.where


def node_of(value: Any, where: str) -> Node:
    """A tree for a plain Python value, all of it at one place.

    Raises:
        RecipeError: a part is not plain: not a mapping with string keys, a sequence, a finite
            number, str, bool or None.
    """
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise RecipeError(where, f"key {key!r} is not a string")
        return Node({key: node_of(item, where) for key, item in value.items()}, where)
    if isinstance(value, list | tuple):
        return Node(tuple(node_of(item, where) for item in value), where)
    if isinstance(value, float) and not math.isfinite(value):
        raise RecipeError(where, f"{value} is not a finite number")
    if value is None or isinstance(value, str | int | float):
        return Node(value, where)
    raise RecipeError(where, f"{type(value).__name__} has no place in a recipe")


def load(path: Path | str) -> Node:
    """Read one YAML document from a file.

    Raises:
        RecipeError: the file cannot be read, is not UTF-8, is empty or too large, or is not the
            YAML accepted here; its `where` is `file:line`.
    """
    name = str(path)
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RecipeError(name, f"cannot be read ({error.strerror or error})") from None
    if len(raw) > MAX_BYTES:
        raise RecipeError(f"{name}:1", f"larger than {MAX_BYTES:,} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        what = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise RecipeError(f"{name}:{line}", what, do="save the file as UTF-8") from None
    return parse(text, name)


def parse(text: str, name: str, *, lines: bool = True) -> Node:
    """Read one YAML document from text; places are `name:line`, or `name` without `lines`.

    Raises:
        RecipeError: as `load`.
    """

    def where(line: int) -> str:
        return f"{name}:{line}" if lines else name

    try:
        root = _Composer(text).get_single_node()
    except _RefusedError as refused:
        raise RecipeError(where(refused.line), refused.what, do=refused.do) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark and error.context_mark and mark.index >= len(text):
            mark = error.context_mark  # what is not closed, rather than the end of the file
        place = where(mark.line + 1 if mark else 1)
        raise RecipeError(place, f"not valid YAML ({_problem(error)})") from None
    except yaml.reader.ReaderError as error:
        place = where(text.count("\n", 0, error.position) + 1)
        what = f"character U+{ord(text[error.position]):04X} is not allowed"
        raise RecipeError(place, what, do="remove it") from None
    if root is None:
        raise RecipeError(where(1), "is empty")
    try:
        return _Builder(where).build(root, root.start_mark.line + 1)
    except _RefusedError as refused:
        raise RecipeError(where(refused.line), refused.what, do=refused.do) from None


class _Dumper(yaml.SafeDumper):
    """Quotes strings that are numbers here, if not to YAML 1.1: `1e9`, `0o17`."""


for _number in (_INT, _FLOAT):
    _Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _number, list("-+.0123456789"))


def dump(tree: Any) -> str:
    """Text that reads back as this tree of plain dicts, lists and scalars."""
    text: str = yaml.dump(
        tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None
    )
    return text


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "unreadable"
    if "'\\t'" in problem:
        return "a tab where spaces must indent"
    return f"{error.context}, {problem}" if error.context else problem


class _RefusedError(Exception):
    """YAML that is valid but not accepted here."""

    def __init__(self, line: int, what: str, do: str = "") -> None:
        super().__init__(what)
        self.line, self.what, self.do = line, what, do


class _Composer(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's parser without its constructors; refuses tags, depth and many aliases on the way."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._depth = self._aliases = self._nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if getattr(event, "tag", None) is not None:
            raise _RefusedError(line, f"tag {event.tag!r}: tags are refused", "write plain values")
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _RefusedError(line, f"more than {MAX_NODES:,} values")
        self._aliases += isinstance(event, yaml.AliasEvent)
        if self._aliases > MAX_ALIASES:
            raise _RefusedError(line, f"more than {MAX_ALIASES} aliases")
        if self._depth >= MAX_DEPTH:
            raise _RefusedError(line, f"nested deeper than {MAX_DEPTH} levels")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Builder:
    """Expands composed YAML into nodes, within a budget that aliases cannot blow up."""

    def __init__(self, where: Callable[[int], str]) -> None:
        self._where, self._count, self._open = where, 0, set[int]()

    def build(self, node: yaml.Node, line: int) -> Node:
        self._count += 1
        if self._count > MAX_NODES:
            raise _RefusedError(line, f"more than {MAX_NODES:,} values once aliases are expanded")
        if isinstance(node, yaml.ScalarNode):
            return Node(_scalar(node), self._where(line))
        if id(node) in self._open:
            raise _RefusedError(line, "an alias refers to what contains it")
        self._open.add(id(node))
        is_mapping = isinstance(node, yaml.MappingNode)
        value = dict(self._entries(node)) if is_mapping else self._list(node)
        self._open.discard(id(node))
        return Node(value, self._where(line))

    def _list(self, node: yaml.Node) -> tuple[Node, ...]:
        return tuple(self.build(item, item.start_mark.line + 1) for item in node.value)

    def _entries(self, node: yaml.Node) -> Iterator[tuple[str, Node]]:
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = _scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                shown = key_node.value if isinstance(key_node, yaml.ScalarNode) else "this key"
                raise _RefusedError(line, f"key {shown} is not a string", "quote it")
            if key in first:
                what = f"duplicate key {key!r} (first on line {first[key]})"
                raise _RefusedError(line, what, "keep one of them")
            first[key] = line
            yield key, self.build(value_node, line)


def _scalar(node: yaml.ScalarNode) -> Scalar:
    text: str = node.value
    if node.style is not None:
        return text
    line = node.start_mark.line + 1
    if _NULL.match(text):
        return None
    if _BOOL.match(text):
        return text.lower() == "true"
    if _INT.match(text):
        return _integer(text, line)
    if _NOT_FINITE.match(text):
        raise _RefusedError(line, f"{text} is not a finite number", "write a finite one")
    if _FLOAT.match(text):
        number = float(text)
        if not math.isfinite(number):
            raise _RefusedError(line, f"{text} is too large for a float")
        return number
    return text


def _integer(text: str, line: int) -> int:
    if len(text) > 30:
        raise _RefusedError(line, f"an integer of {len(text)} characters is out of range")
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    number = int(text, base) if base == 10 else int(text[2:], base)
    if not -(2**63) <= number < 2**63:
        raise _RefusedError(line, f"{text} does not fit 64 bits")
    return number
