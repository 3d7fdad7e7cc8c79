"""Launches on this machine: starts the engine's process, watches it, reports progress.

Invariant: a worker that disappears (out of memory, SIGKILL, a crash in native code) is noticed
within a second or two and raised with the name of what it was working on; nothing waits for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ..store.errors import CorpusError, EngineError
from .board import Board, Snapshot, Workers
from .worker import Work

Progress = Callable[[Snapshot], None]
_POLL = 0.1
_FULL = 1 << 20


class LocalEngine:
    """Runs task lists side by side in `workers` processes.

    Args:
        folder: for boards and logs.
        workers: processes.
        preload: modules that workers inherit imported, beside those that every run needs.
    """

    def __init__(self, folder: Path, workers: int, preload: Sequence[str] = ()) -> None:
        self.folder, self.workers, self.preload = folder, workers, tuple(preload)
        self._process: subprocess.Popen[bytes] | None = None
        self._launches = 0
        shutil.rmtree(folder / "boards", ignore_errors=True)

    def launch(
        self, tasks: list[dict[str, Any]], work: Work, progress: Progress,
        *, processes: int | None = None,
    ) -> list[Any]:  # fmt: skip
        """Run tasks (each with a `label` for messages) until all are done.

        Args:
            tasks: plain values.
            work: called in a worker with (task, progress); it must pickle, its results be JSON.
            progress: called several times a second.
            processes: at once, where fewer than `workers` are wanted.

        Returns:
            What `work` returned, task by task.

        Raises:
            CorpusError: the first error a task raised.
            EngineError: a worker or the engine's process was lost.
        """
        self._launches += 1
        board = Board(self.folder / "boards" / f"{self._launches:04d}")
        board.prepare(tasks)
        logs = self.folder / "logs" / f"{os.getpid()}-{self._launches:04d}-{len(tasks)}-tasks"
        order = {
            "board": str(board.folder), "tasks": len(tasks), "logs": str(logs),
            "workers": min(self.workers, processes or self.workers),
        }  # fmt: skip
        process = self._started()
        self._send(process, order, pickle.dumps(work))
        self._wait(process, board, len(tasks), progress)
        progress(board.snapshot())
        failure = board.failure()
        if failure is not None:
            raise failure
        results = board.results(len(tasks))
        shutil.rmtree(board.folder)
        return results

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            environment = os.environ | {
                "OMP_NUM_THREADS": "1",
                "TOKENIZERS_PARALLELISM": "false",
                "RAYON_NUM_THREADS": "1",
                "PYTHONUNBUFFERED": "1",
            }
            with (self.folder / "engine.log").open("a") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "corpus_builder.engine.launcher", *self.preload],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=environment,
                    start_new_session=True,
                )
        return self._process

    def _send(self, process: subprocess.Popen[bytes], order: dict[str, Any], work: bytes) -> None:
        if process.stdin is None or process.stdout is None:
            raise EngineError("engine", "its process has no pipes", do="run again")
        try:
            process.stdin.write(json.dumps(order | {"pickled": len(work)}).encode() + b"\n" + work)
            process.stdin.flush()
        except BrokenPipeError:
            process.wait()

    def _wait(
        self, process: subprocess.Popen[bytes], board: Board, tasks: int, progress: Progress
    ) -> None:
        replies = process.stdout
        if replies is None:
            raise EngineError("engine", "its process has no pipes", do="run again")
        workers = Workers(process.pid)
        while True:
            ready, _, _ = select.select([replies], [], [], _POLL)
            if ready:
                if replies.readline().strip() == b"done":
                    return
                self._raise_lost(board, board.running())
            seen = board.snapshot()
            progress(seen)
            if seen.tasks < tasks and (board.lost() or workers.lost()):
                time.sleep(2 * _POLL)  # one that ended well takes its name off the board first
                if board.snapshot().tasks < tasks:
                    self._raise_lost(board, board.lost())

    def _raise_lost(self, board: Board, ranks: list[int]) -> None:
        where = board.task(ranks[0])["label"] if ranks else "engine"
        self.close()
        if shutil.disk_usage(self.folder).free < _FULL:  # then it could not leave a word
            do = "free some, then run the same command again: what is done is kept"
            raise CorpusError(str(self.folder), "the disk is full", do=do)
        raise EngineError(
            where,
            "the worker process was lost: killed from outside, out of memory, or crashed in "
            f"native code (log: {self.folder / 'engine.log'}{self._last_words()})",
            do="run the same command again: finished shards are kept; with fewer --workers, each "
            "has more memory",
        )

    def _last_words(self) -> str:
        lines = (self.folder / "engine.log").read_text(errors="replace").strip().splitlines()
        return f", its last line: {lines[-1][:300]}" if lines else ""

    def close(self) -> None:
        """Kill the engine's process and all its workers."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()
