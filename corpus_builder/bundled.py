"""Find what ships with the package: recipes (`pipelines`) and rule sets (`filters`), by name.

Invariant: a name means, in this order, an explicit path, a file of the user's own `./filters` or
`./pipelines`, the shipped one; a user's copy always wins over what ships.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from .store.errors import RecipeError, did_you_mean

Shelf: TypeAlias = Literal["filters", "pipelines"]

_WORD: dict[Shelf, str] = {"filters": "rule set", "pipelines": "recipe"}
_SUFFIXES = (".yaml", ".yml")


def find(shelf: Shelf, name: str, *, where: str = "") -> Path:
    """The file that `name` means.

    Args:
        shelf: which kind of file.
        name: a path (it has a `/` or ends in .yaml or .yml) or a bare name.
        where: place to name in an error; by default the name itself.

    Raises:
        RecipeError: there is no such file.
    """
    if is_path(name):
        path = Path(name).expanduser()
        if not path.is_file():
            raise RecipeError(where or name, f"no file {name!r}")
        return path
    for folder in _folders(shelf):
        for suffix in _SUFFIXES:
            path = folder / (name + suffix)
            if path.is_file():
                return path
    what = f"no {_WORD[shelf]} named {name!r}"
    do = f"name one of these, or give the path of a file (./{name}.yaml)"
    raise RecipeError(where or name, what, allowed=did_you_mean(name, names(shelf)), do=do)


def names(shelf: Shelf) -> tuple[str, ...]:
    """All bare names that `find` accepts, sorted."""
    found = {
        path.stem
        for folder in _folders(shelf)
        if folder.is_dir()
        for path in folder.iterdir()
        if path.suffix in _SUFFIXES
    }
    return tuple(sorted(found))


def is_path(name: str) -> bool:
    """Whether `name` is a path rather than a bare name."""
    return "/" in name or "\\" in name or name.endswith(_SUFFIXES)


def _folders(shelf: Shelf) -> tuple[Path, Path]:
    """The user's folder and the shipped one (in a checkout, the folder beside the package)."""
    package = Path(__file__).parent
    wheel = package / "_bundled" / shelf
    return Path(shelf), wheel if wheel.is_dir() else package.parent / shelf
