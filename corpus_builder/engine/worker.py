"""What runs inside datatrove's workers: one task a rank, its end or failure put on the board.

Invariant: a failing task never takes healthy ones with it: they finish, those not begun are
skipped, and the parent raises.
"""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ..store.errors import CorpusError, of_the_machine
from .board import Reporter

Work = Callable[[dict[str, Any], Callable[[int, int], None]], Any]
_PR_SET_PDEATHSIG = 1


class RunTask:
    """The one step of our datatrove pipelines.

    Args:
        board: folder of the launch.
        work: pickled; called with (task, progress), its JSON value is the task's result. It is
            unpickled within the task, so that a module it lacks is a failure on the board: an
            error outside of tasks would end the pool's worker and leave the pool waiting.
    """

    def __init__(self, board: str, work: bytes) -> None:
        self.board, self.work = board, work

    def __call__(self, data: Any, rank: int = 0, world_size: int = 1) -> None:
        """Run the task of this rank, unless another has failed."""
        board = Path(self.board)
        report = Reporter(board, rank)
        if not any((board / "failed").iterdir()):
            running = board / "running" / str(rank)
            running.write_text(str(os.getpid()))
            task = json.loads(_lines(self.board)[rank])
            try:
                work: Work = pickle.loads(self.work)  # noqa: S301 - our own, from our parent
                result = json.dumps(work(task, report))
                (board / "results" / f"{rank}.json").write_text(result)
            except Exception as error:  # noqa: BLE001 - put on the board, raised by the parent
                _put_failure(board, rank, task, error)
            running.unlink()
        report.finish()


def die_with_parent() -> None:
    """Ask Linux to kill this process with the one that started it, whatever that dies of."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@cache
def _lines(board: str) -> list[str]:
    return (Path(board) / "tasks.jsonl").read_text().splitlines()


def _put_failure(board: Path, rank: int, task: dict[str, Any], error: Exception) -> None:
    if isinstance(error, OSError):
        error = of_the_machine(error) or error
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
