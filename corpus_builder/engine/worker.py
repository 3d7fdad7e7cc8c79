"""What runs inside datatrove's workers: one task a rank, its end or failure put on the board.

Invariant: a failing task never takes healthy ones with it: they finish, those not begun are
skipped, and the parent raises.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ..store.errors import CorpusError
from .board import Reporter

Work = Callable[[dict[str, Any], Callable[[int, int], None]], None]
_PR_SET_PDEATHSIG = 1


class RunTask:
    """The one step of our datatrove pipelines.

    Args:
        board: folder of the launch.
        work: called with (task, progress) for the task of the rank; must pickle.
    """

    def __init__(self, board: str, work: Work) -> None:
        self.board, self.work = board, work

    def __call__(self, data: Any, rank: int = 0, world_size: int = 1) -> None:
        """Run the task of this rank, unless another has failed."""
        die_with_parent()
        board = Path(self.board)
        if any((board / "failed").iterdir()):
            return
        task = json.loads(_lines(self.board)[rank])
        running = board / "running" / str(rank)
        running.write_text(str(os.getpid()))
        report = Reporter(board, rank)
        try:
            self.work(task, report)
        except Exception as error:  # noqa: BLE001 - put on the board, raised by the parent
            _put_failure(board, rank, task, error)
        report.finish()
        running.unlink()


def die_with_parent() -> None:
    """Ask Linux to kill this process with the one that started it, whatever that dies of."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@cache
def _lines(board: str) -> list[str]:
    return (Path(board) / "tasks.jsonl").read_text().splitlines()


def _put_failure(board: Path, rank: int, task: dict[str, Any], error: Exception) -> None:
    if isinstance(error, CorpusError):
        content = {
            "class": type(error).__name__, "where": error.where, "what": error.what,
            "allowed": error.allowed, "do": error.do,
        }  # fmt: skip
    else:
        content = {
            "class": "EngineError",
            "where": task.get("label", f"task {rank}"),
            "what": "".join(traceback.format_exception(error)).strip(),
            "allowed": "",
            "do": "this is a fault of the program: please report it with the recipe",
        }
    temp = board / f".failed-{rank}"
    temp.write_text(json.dumps(content))
    temp.rename(board / "failed" / f"{rank}.json")
