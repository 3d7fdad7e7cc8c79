"""What workers say of their progress, read while they write it."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest

from corpus_builder.engine import board as boards
from corpus_builder.engine.board import Board, Reporter, Snapshot


@pytest.fixture
def board(tmp_path: Path) -> Board:
    board = Board(tmp_path)
    board.prepare([{"label": "one"}, {"label": "two"}])
    return board


def test_progress_is_summed_over_tasks(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "_EVERY", -1.0)
    assert board.snapshot() == Snapshot(0, 0, 0)
    first, second = (Reporter(board.folder, rank) for rank in range(2))
    first(2, 100)
    second(3, 10)
    first(1, 1)
    first.finish()
    assert board.snapshot() == Snapshot(6, 111, 1)


def test_progress_never_goes_back(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "_EVERY", -1.0)
    reporter, times = Reporter(board.folder, 0), 3_000
    reporter(1, 0)

    def report() -> None:
        for _ in range(times):
            reporter(1, 0)

    writer = Thread(target=report)
    writer.start()
    seen = [1]
    while writer.is_alive():
        seen.append(board.snapshot().documents)
    writer.join()
    assert seen == sorted(seen) and board.snapshot().documents == times + 1
