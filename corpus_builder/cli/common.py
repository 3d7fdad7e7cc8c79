"""What several verbs share: options, loading a recipe, JSON and console output."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

    from ..plan import Plan
    from ..recipe import Recipe

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


class Size(click.ParamType[int]):
    """A number of bytes with a unit: 512M, 4G, 4GiB."""

    name = "size"

    def __init__(self, least: str) -> None:
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            size = _bytes(str(value))
        except (KeyError, ValueError):
            self.fail(f"{value!r} is not a size; allowed: a number with K, M, G, T (or KiB ...)")
        if size < _bytes(self.least):
            self.fail(f"{value!r} is too little; allowed: {self.least} or more")
        return size


def _bytes(text: str) -> int:
    text = text.strip().removesuffix("B")
    unit = text.lstrip("0123456789.")
    return int(float(text.removesuffix(unit)) * (_UNITS[unit] if unit else 1))


MEMORY = Size("100M")
"""Of a run: what a worker takes before it has anything to do."""

recipe_argument = click.argument("recipe")


def out_option(command: F) -> F:
    """`--out`."""
    return click.option(
        "--out", type=click.Path(path_type=Path), default=None,
        help="Folder of the run.  [default: runs/<name of the recipe>]",
    )(command)  # fmt: skip


def set_option(command: F) -> F:
    """`--set k=v`, repeatable."""
    return click.option(
        "--set", "overrides", multiple=True, metavar="K=V",
        help="Change a value of the recipe, by dotted path; may be given again. "
        "Example: --set corpora.web.filter.gopher.mean_word_length.max=12",
    )(command)  # fmt: skip


def json_option(command: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")(command)


def load(recipe: str, overrides: tuple[str, ...]) -> Recipe:
    """The recipe of a command line."""
    from ..recipe import load_recipe

    return load_recipe(recipe, overrides)


def plan_of(recipe: str, overrides: tuple[str, ...], out: Path | None) -> Plan:
    """The plan of a command line."""
    from ..plan import make_plan

    loaded = load(recipe, overrides)
    return make_plan(loaded, out or Path("runs") / loaded.name)


def literal(value: object) -> str:
    """Text for a rich console that is to appear as it is, brackets and all."""
    from rich.markup import escape

    return escape(str(value))


def again(verb: str, recipe: str, out: Path | None, overrides: tuple[str, ...] = ()) -> str:
    """The command line of a verb on the same recipe and folder, to be typed as it stands."""
    parts = ["corpus", verb, recipe, *(["--out", str(out)] if out else [])]
    for text in overrides:
        parts += ["--set", text]
    return shlex.join(parts)


def note_arms_apart(screen: Console, arms: Iterable[str]) -> None:
    """Say before any work which arms will get no verdict."""
    names = ", ".join(arms)
    if names:
        screen.print(
            f"[yellow]note[/] not comparable, and left out: {names}. Such an arm changes which "
            "texts a corpus holds; declare trial.target (weights over held-out corpora or "
            "heldout.texts)"
        )


def emit(value: Any) -> None:
    """Print plain values as JSON."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; 110 columns where there is none."""
    import sys

    from rich.console import Console

    width = None if (sys.stderr if stderr else sys.stdout).isatty() else 110
    return Console(stderr=stderr, width=width, highlight=False, emoji=False)


def counted(number: int, one: str, more: str = "") -> str:
    """A number and its noun: "1 file", "2,000 files"."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def size_text(size: float) -> str:
    """Bytes for people: 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
