"""Names a recipe may use, and what they mean: signal families, transforms, extractors, samples.

Invariant: an unknown name is a RecipeError with the nearest known one; listing names loads
declarations only, never Arrow, models or compiled code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from .expressions import Kind
from .store.errors import RecipeError, did_you_mean

if TYPE_CHECKING:
    from .extraction.extractors import Tool
    from .signals import Family
    from .transforms import Transform

T = TypeVar("T")

_KINDS: dict[str, Kind] = {
    "int64": "number",
    "float64": "number",
    "string": "string",
    "bool": "bool",
}


@dataclass(frozen=True)
class Registry(Generic[T]):
    """A named shelf of objects.

    Attributes:
        word: what one of them is called in messages.
        entries: gives the shelf; called when it is needed.
    """

    word: str
    entries: Callable[[], Mapping[str, T]]

    @property
    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self.entries()))

    def get(self, name: str, where: str) -> T:
        """What `name` means; `where` is the place that an error names.

        Raises:
            RecipeError: nothing of that name.
        """
        entries = self.entries()
        if name not in entries:
            what = f"no {self.word} named {name!r}"
            raise RecipeError(where, what, allowed=did_you_mean(name, entries))
        return entries[name]


@dataclass(frozen=True)
class SignalEntry:
    """A signal by name.

    Attributes:
        type: Arrow type alias.
        kind: its kind in rules.
        family: the family that adds it, or None for what the `language` stage adds.
    """

    name: str
    type: Literal["int64", "float64", "string", "bool"]
    family: str | None

    @property
    def kind(self) -> Kind:
        """Its kind in rules."""
        return _KINDS[self.type]


def _families() -> Mapping[str, Family]:
    from .signals import FAMILIES as FOUND

    return FOUND


def _signals() -> Mapping[str, SignalEntry]:
    found = {
        signal.name: SignalEntry(signal.name, signal.type, family.name)
        for family in _families().values()
        for signal in family.adds
    }
    language = SignalEntry("lang", "string", None), SignalEntry("lang_score", "float64", None)
    return found | {entry.name: entry for entry in language}


def _transforms() -> Mapping[str, Transform]:
    from .transforms import TRANSFORMS as FOUND

    return FOUND


def _extractors() -> Mapping[str, Tool]:
    from .extraction.extractors import EXTRACTORS as FOUND

    return FOUND


FAMILIES: Registry[Family] = Registry("signal family", _families)
SIGNALS: Registry[SignalEntry] = Registry("signal", _signals)
TRANSFORMS: Registry[Transform] = Registry("transform", _transforms)
EXTRACTORS: Registry[Tool] = Registry("extractor", _extractors)
SAMPLES: Registry[Literal["warc", "jsonl"]] = Registry(
    "sample", lambda: {"web-docs": "warc", "code": "jsonl"}
)
"""Sample name -> the kind of file it is made of."""


def signal_kinds() -> dict[str, Kind]:
    """Kind of every signal there is, for `Rule.check`."""
    return {name: entry.kind for name, entry in _signals().items()}
