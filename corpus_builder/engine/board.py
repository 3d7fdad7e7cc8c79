"""The board of one launch: a folder where workers say what they are at, for the parent to read.

Files: `tasks.jsonl` (line = rank), `running/<rank>` (pid), `progress/<rank>` (documents, bytes,
over), `results/<rank>.json`, `failed/<rank>.json`. Nothing here is data: it may be deleted
whenever no run is on.
"""

from __future__ import annotations

import json
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ..store import errors

_COUNTS = struct.Struct("<qq?")
_EVERY = 0.25


@dataclass(frozen=True)
class Snapshot:
    """What all workers of a launch have done so far; `tasks` are those that are over."""

    documents: int
    bytes: int
    tasks: int


class Reporter:
    """A worker's side: counts what it has done, writing at most four times a second."""

    def __init__(self, board: Path, rank: int) -> None:
        self._path = board / "progress" / str(rank)
        self._documents = self._bytes = 0
        self._last = 0.0

    def __call__(self, documents: int, size: int) -> None:
        self._documents += documents
        self._bytes += size
        now = time.monotonic()
        if now - self._last > _EVERY:
            self._last = now
            self._write(False)

    def _write(self, done: bool) -> None:
        """In place: a file cut short first would be read as nothing done."""
        file = os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o644)
        try:
            os.write(file, _COUNTS.pack(self._documents, self._bytes, done))
        finally:
            os.close(file)

    def finish(self) -> None:
        """Say that the task is over."""
        self._write(True)


class Board:
    """The parent's side."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self, tasks: list[dict[str, Any]]) -> None:
        """Lay out an empty board for these tasks."""
        for name in ("running", "progress", "results", "failed"):
            (self.folder / name).mkdir(parents=True)
        lines = "".join(json.dumps(task) + "\n" for task in tasks)
        (self.folder / "tasks.jsonl").write_text(lines)

    def snapshot(self) -> Snapshot:
        """Sum of all progress files."""
        documents = size = tasks = 0
        for path in (self.folder / "progress").iterdir():
            content = path.read_bytes()
            if len(content) == _COUNTS.size:
                part = _COUNTS.unpack(content)
                documents, size, tasks = documents + part[0], size + part[1], tasks + part[2]
        return Snapshot(documents, size, tasks)

    def running(self) -> list[int]:
        """Ranks whose task has begun and is not over."""
        return sorted(int(path.name) for path in (self.folder / "running").iterdir())

    def lost(self) -> list[int]:
        """Ranks whose process is gone though their task is not over."""
        return [rank for rank in self.running() if self._is_lost(rank)]

    def _is_lost(self, rank: int) -> bool:
        path = self.folder / "running" / str(rank)
        try:
            pid = int(path.read_text() or "0")
        except FileNotFoundError:
            return False
        return bool(pid) and not _lives(pid) and path.exists()

    def results(self, tasks: int) -> list[Any]:
        """What the tasks came to, in their order; callable once all are done."""
        folder = self.folder / "results"
        return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(tasks)]

    def task(self, rank: int) -> dict[str, Any]:
        """The task of a rank."""
        lines = (self.folder / "tasks.jsonl").read_text().splitlines()
        task: dict[str, Any] = json.loads(lines[rank])
        return task

    def failure(self) -> errors.CorpusError | None:
        """The error of the first failed rank, as it was raised there."""
        ranks = sorted(int(path.stem) for path in (self.folder / "failed").iterdir())
        if not ranks:
            return None
        raw = json.loads((self.folder / "failed" / f"{ranks[0]}.json").read_text())
        kind = getattr(errors, raw["class"], errors.EngineError)
        error: errors.CorpusError = kind(
            raw["where"], raw["what"], allowed=raw["allowed"], do=raw["do"]
        )
        return error


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Workers:
    """The pool's processes as seen from outside: those that the engine's forkserver started.

    A worker lost between tasks is on no board, yet the pool may wait for it for ever: it can die
    with the queue's lock in its hands.
    """

    def __init__(self, engine: int) -> None:
        self._engine, self._seen, self._looked = engine, set[int](), 0.0

    def lost(self) -> bool:
        """Whether one that was there is gone (looks once a second)."""
        now = time.monotonic()
        if now - self._looked < 1:
            return False
        self._looked = now
        alive = self._alive()
        self._seen |= alive
        return self._seen != alive

    def _alive(self) -> set[int]:
        try:
            started = psutil.Process(self._engine).children()
            below = [worker for process in started for worker in process.children()]
        except psutil.NoSuchProcess:
            return set()
        return {worker.pid for worker in below if _lives(worker.pid)}
