"""Work for the engine's tests; a module of its own, so that workers can import it."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus_builder.store.errors import DataError


@dataclass(frozen=True)
class Toy:
    """Notes its process in `folder`, then does what the task says."""

    folder: Path

    def __call__(self, task: dict[str, Any], progress: Callable[[int, int], None]) -> list[Any]:
        draft = self.folder / f"{task['label']}.draft"
        draft.write_text(str(os.getpid()))
        draft.rename(draft.with_suffix(".pid"))  # who waits for it must not read half of it
        progress(2, 10)
        while "after" in task and not (self.folder / f"{task['after']}.pid").exists():
            time.sleep(0.02)
        if task.get("fail") == "data":
            raise DataError("shard 7", "too short", allowed="longer ones", do="add more")
        if task.get("fail") == "bug":
            raise ZeroDivisionError("of a toy")
        if task.get("fail") == "full":
            raise OSError(errno.ENOSPC, "full", str(draft))
        if task.get("wait"):
            time.sleep(task["wait"])
        (self.folder / f"{task['label']}.done").touch()
        return [task["label"], os.environ["OMP_NUM_THREADS"]]


@dataclass(frozen=True)
class Homeless:
    """Pickles here, but workers find no such module."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _nowhere, ()


def _nowhere() -> None:
    raise ModuleNotFoundError("No module named 'nowhere'")
