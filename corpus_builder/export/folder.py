"""The folder of an export: written beside its place, renamed when whole.

Invariant: the target does not exist or is complete; a killed export leaves only
`.<name>.part` beside it, which the next one to the same target clears.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ..store.atomic import TEMP_SUFFIX, fsync, run_lock
from ..store.errors import DataError

LOCK = ".lock"


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Yield an empty folder; on success it becomes `target`, on an exception it is removed.

    Raises:
        LockedError: another export writes to the same target.
        DataError: the target came into being meanwhile.
    """
    target = target.resolve()
    folder = target.with_name(f".{target.name}{TEMP_SUFFIX}")
    with run_lock(folder, "--target"):
        _clear(folder)
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder)
            raise
        for path in files_of(folder):
            fsync(path)
        (folder / LOCK).unlink()
        try:
            folder.rename(target)
        except OSError as error:
            shutil.rmtree(folder)
            do = "name another target"
            raise DataError(str(target), f"cannot be made: {error.strerror}", do=do) from error
        fsync(target.parent)


def files_of(folder: Path) -> list[Path]:
    """All files of an export, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != LOCK)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


@contextmanager
def writer(path: Path) -> Iterator[Callable[[npt.NDArray[np.generic]], None]]:
    """Yield a function that appends an array's bytes to a new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        yield lambda array: _write(file, array)


def _write(file: BinaryIO, array: npt.NDArray[np.generic]) -> None:
    file.write(np.ascontiguousarray(array).data)
