"""The engine: results in order, errors as raised, lost workers noticed, no process left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import spine
from toys import Homeless, Toy

from corpus_builder.engine import LocalEngine, local
from corpus_builder.engine.board import Board, Snapshot
from corpus_builder.engine.launcher import PRELOAD
from corpus_builder.store.errors import CorpusError, DataError, EngineError

WAIT = 120.0
"""Seconds after which something that must happen has not."""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalEngine]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), spine.ROOT]))
    with LocalEngine(tmp_path / "engine", 2) as found:
        yield found


def tasks(*labels: str, **extra: Any) -> list[dict[str, Any]]:
    return [{"label": label, **extra} for label in labels]


def silent(seen: Snapshot) -> None: ...


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that must happen soon."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, f"not within {WAIT:g} s: {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def below(engine: LocalEngine) -> list[psutil.Process]:
    """The engine's process and all that it started."""
    assert engine._process is not None
    top = psutil.Process(engine._process.pid)
    return [top, *top.children(recursive=True)]


@pytest.mark.parametrize("name", PRELOAD)
def test_what_the_forkserver_preloads_can_be_imported(name: str) -> None:
    """It swallows ImportErrors: a module that moved would only make every worker slow.

    `forked` is for processes of the engine alone, so here it is only found.
    """
    if name.endswith(".forked"):
        assert (Path(spine.ROOT) / (name.replace(".", "/") + ".py")).is_file()
    else:
        import_module(name)


def test_results_come_in_the_order_of_tasks_and_progress_adds_up(
    engine: LocalEngine, tmp_path: Path
) -> None:
    seen: list[Snapshot] = []
    for _ in range(2):
        labels = [f"t{n}" for n in range(7)]
        results = engine.launch(tasks(*labels), Toy(tmp_path), seen.append)
        assert results == [[label, "1"] for label in labels]
        assert seen[-1] == Snapshot(documents=14, bytes=70, tasks=7)
    assert not list((tmp_path / "engine" / "boards").iterdir()), "boards go when a launch is over"


@pytest.mark.parametrize(("processes", "pairs"), [(None, True), (5, True), (1, False)])
def test_a_launch_may_use_fewer_processes(
    engine: LocalEngine, tmp_path: Path, processes: int | None, pairs: bool
) -> None:
    """The first task ends after the second has begun, which one process never comes to."""
    both = [*tasks("a", after="b"), *tasks("b")] if pairs else tasks("a", "b", "c")
    engine.launch(both, Toy(tmp_path), silent, processes=processes)
    found = {path.read_text() for path in tmp_path.glob("*.pid")}
    assert (len(found) == 2) if pairs else (len(found) == 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_raises_lets_begun_ones_finish_and_its_error_arrives(
    tmp_path: Path, engine: LocalEngine, workers: int
) -> None:
    engine.workers = workers
    todo = [*tasks("bad", fail="data"), *tasks(*(f"later{n}" for n in range(4)))]
    if workers == 2:  # a task not begun when another fails is skipped, so slow must be under way
        todo[0]["after"] = "slow"
        todo = [*tasks("slow", wait=2), *todo]
    with pytest.raises(DataError) as raised:
        engine.launch(todo, Toy(tmp_path), silent)
    error = raised.value
    assert (error.where, error.what, error.allowed, error.do) == (
        "shard 7", "too short", "longer ones", "add more",
    )  # fmt: skip
    assert (tmp_path / "slow.done").exists() == (workers == 2)
    assert not (tmp_path / "bad.done").exists()
    assert engine.launch(tasks("again"), Toy(tmp_path), silent) == [["again", "1"]]


def test_an_unforeseen_error_names_the_task_and_shows_its_trace(
    engine: LocalEngine, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match="ZeroDivisionError: of a toy") as raised:
        engine.launch([{"label": "web, shard 3", "fail": "bug"}], Toy(tmp_path), silent)
    assert raised.value.where == "web, shard 3" and "toys.py" in raised.value.what


def test_a_full_disk_is_no_fault_of_the_program(engine: LocalEngine, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="No space left on device; free some") as raised:
        engine.launch(tasks("bad", fail="full"), Toy(tmp_path), silent)
    assert raised.value.where.endswith("bad.draft")


def test_a_worker_lost_where_the_disk_is_full_could_not_leave_a_word(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local.shutil, "disk_usage", lambda _: SimpleNamespace(free=4096))
    board = Board(tmp_path / "board")
    board.prepare(tasks("a"))
    with pytest.raises(CorpusError, match="the disk is full; free some"):
        engine._raise_lost(board, [0])


def test_work_that_does_not_unpickle_in_a_worker_is_an_error_not_a_silence(
    engine: LocalEngine,
) -> None:
    with pytest.raises(EngineError, match="No module named 'nowhere'"):
        engine.launch(tasks("a", "b", "c"), Homeless(), silent)  # type: ignore[arg-type]


def test_a_worker_killed_in_a_task_is_noticed_and_its_shard_named(
    engine: LocalEngine, tmp_path: Path
) -> None:
    def kill() -> None:
        until(lambda: (tmp_path / "bad.pid").exists(), "the task begins")
        os.kill(int((tmp_path / "bad.pid").read_text()), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    began = time.monotonic()
    todo = [{"label": "bad", "wait": 600}, {"label": "other", "wait": 600}]
    with pytest.raises(EngineError, match="the worker process was lost") as raised:
        engine.launch(todo, Toy(tmp_path), silent)
    thread.join()
    assert raised.value.where == "bad" and "same command again" in raised.value.do
    assert time.monotonic() - began < WAIT
    assert engine.launch(tasks("again"), Toy(tmp_path), silent) == [["again", "1"]]


def test_a_worker_lost_between_tasks_is_noticed(engine: LocalEngine, tmp_path: Path) -> None:
    """Idle, it holds the lock of the pool's queue: the pool would wait for ever."""
    todo = [{"label": "first", "wait": 600}, {"label": "second"}]
    killed: list[int] = []

    def kill() -> None:
        until(lambda: (tmp_path / "second.done").exists(), "the short task ends")
        until(lambda: (tmp_path / "first.pid").exists(), "the long task begins")
        busy = int((tmp_path / "first.pid").read_text())
        idle = int((tmp_path / "second.pid").read_text())
        assert idle != busy
        time.sleep(2.5)  # the parent must have seen it alive
        os.kill(idle, signal.SIGKILL)
        killed.append(idle)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(EngineError, match="the worker process was lost"):
        engine.launch(todo, Toy(tmp_path), silent)
    thread.join()
    assert killed


def test_the_engine_killed_is_noticed(engine: LocalEngine, tmp_path: Path) -> None:
    def kill() -> None:
        until(lambda: (tmp_path / "long.pid").exists(), "the task begins")
        assert engine._process is not None
        engine._process.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(EngineError, match="lost"):
        engine.launch([{"label": "long", "wait": 600}, {"label": "x"}], Toy(tmp_path), silent)
    thread.join()


@pytest.mark.parametrize("way", ["close", "kill -9"])
def test_nothing_that_the_engine_started_outlives_it(
    engine: LocalEngine, tmp_path: Path, way: str
) -> None:
    """Workers (busy and idle), forkserver, datatrove's manager."""
    processes: list[psutil.Process] = []

    def end() -> None:
        until(lambda: (tmp_path / "b.done").exists(), "a worker is idle")
        until(lambda: (tmp_path / "a.pid").exists(), "a worker is busy")
        processes.extend(below(engine))
        if way == "close":
            engine.close()
        else:
            assert engine._process is not None
            engine._process.kill()

    thread = threading.Thread(target=end)
    thread.start()
    with pytest.raises((EngineError, ValueError, OSError)):
        engine.launch([{"label": "a", "wait": 600}, {"label": "b"}], Toy(tmp_path), silent)
    thread.join()
    assert len(processes) >= 5, "engine, manager, forkserver, two workers"
    for process in processes:
        until(lambda process=process: not alive(process.pid), f"{process} ends")
