"""Problems of a recipe, gathered so that one run reports them all, each with its line and path.

Invariant: `raise_any` raises one RecipeError whose message has one line a problem, in file order
as found: `file:line: what; what is allowed; what to do`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from .recipe_models import Model
from .store.errors import RecipeError, did_you_mean
from .yamlfile import Node

M = TypeVar("M", bound=Model)
T = TypeVar("T")

# Parts of pydantic's locations that are not keys of the recipe: kinds of what these keys hold.
_KINDS = {
    "model": ("size", "shape"), "sampler": ("name", "temperature"), "max_epochs": ("all", "each"),
}  # fmt: skip


# What pydantic calls things, and what a recipe does.
_PLAIN = {
    "a valid dictionary": "a mapping", "a valid tuple": "a list", "a valid string": "text",
    "a valid integer": "a whole number", "a valid number": "a number",
}  # fmt: skip


@dataclass
class Problems:
    """What is wrong so far.

    Attributes:
        prefix: put before what is wrong (the arm it is wrong in).
    """

    prefix: str = ""
    found: list[RecipeError] = field(default_factory=list)

    def add(self, where: str, what: str, *, allowed: str = "", do: str = "") -> None:
        """Note a problem."""
        self.note(RecipeError(where, what, allowed=allowed, do=do))

    def note(self, error: RecipeError) -> None:
        """Note a problem that was raised; the same one twice counts once."""
        what = self.prefix + error.what
        noted = RecipeError(error.where, what, allowed=error.allowed, do=error.do)
        if str(noted) not in [str(known) for known in self.found]:
            self.found.append(noted)

    def attempt(self, work: Callable[[], T]) -> T | None:
        """The result of `work`, or None where it raised a RecipeError, which is noted."""
        try:
            return work()
        except RecipeError as error:
            self.note(error)
            return None

    def raise_any(self) -> None:
        """Raise what was found, if anything was."""
        if not self.found:
            return
        first = self.found[0]
        if len(self.found) == 1:
            raise first
        lines = "\n".join(str(error) for error in self.found)
        raise RecipeError(first.where, lines.removeprefix(f"{first.where}: "))


def validate(model: type[M], node: Node, path: str, problems: Problems) -> M | None:
    """An instance of `model` from a node that lies at `path`; None after noting its problems."""
    if node.mapping is None and not (model.__name__ == "Tokenizer" and isinstance(node.value, str)):
        what = f"{path} is {shown(node.plain())}"
        allowed = f"allowed: a mapping with {', '.join(model.model_fields)}"
        problems.add(node.where, what, allowed=allowed)
        return None
    try:
        return model.model_validate(node.plain())
    except ValidationError as error:
        found = [dict(detail) for detail in error.errors()]
        for detail in found:
            if not _follows(detail, found):
                problems.note(_problem(model, node, path, detail))
        return None


def _follows(detail: dict[str, Any], found: Sequence[dict[str, Any]]) -> bool:
    """Whether it is said of a list because what is in it is wrong."""
    place = detail["loc"]
    within = (other["loc"] for other in found if other is not detail)
    return detail["type"] == "too_short" and any(loc[: len(place)] == place for loc in within)


def _problem(model: type[Model], node: Node, path: str, detail: dict[str, Any]) -> RecipeError:
    steps = _keys(detail["loc"])
    where, key = node.locate(steps), dotted(path, steps)
    kind, message, last = detail["type"], detail["msg"], str(steps[-1]) if steps else ""
    if kind == "extra_forbidden":
        allowed = did_you_mean(last, _fields(model, steps[:-1]))
        return RecipeError(where, f"unknown key {key}", allowed=allowed)
    if kind == "missing":
        return RecipeError(where, f"missing key {key}", do=f"add {last}:")
    if kind == "value_error":
        return RecipeError(where, f"{key}: {message.removeprefix('Value error, ')}")
    allowed = _allowed(kind, message, last, detail)
    return RecipeError(where, f"{key} is {shown(detail['input'])}", allowed=allowed)


def _keys(location: Sequence[str | int]) -> list[str | int]:
    """The steps of a location that are keys of the recipe."""
    before = (None, *location)
    return [
        step for step, key in zip(location, before, strict=False)
        if step != "[key]" and step not in _KINDS.get(str(key), ())
    ]  # fmt: skip


def _allowed(kind: str, message: str, last: str, detail: dict[str, Any]) -> str:
    if kind == "too_short":
        return f"allowed: {detail['ctx']['min_length']} or more"
    for theirs, ours in _PLAIN.items():
        message = message.replace(theirs, ours)
    more = ", or {temperature: 0 to 1}" if last == "sampler" else ""
    return f"allowed: {message.removeprefix('Input should be ')}{more}"


def _fields(model: type[BaseModel], steps: Sequence[str | int]) -> list[str]:
    """Keys allowed where `steps` lead in a model."""
    for step in steps:
        annotation = model.model_fields[step].annotation if step in model.model_fields else None
        model = _model_in(annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def dotted(path: str, steps: Sequence[str | int]) -> str:
    """A path into a recipe as messages write it: `mix.stages[0].until`."""
    parts = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return (path + parts).lstrip(".")


def shown(value: Any, limit: int = 60) -> str:
    """A value as a message shows it, in one short line."""
    if isinstance(value, bool):
        return str(value).lower()
    text = "empty" if value is None else repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
