"""What a worker says of a device: that it is not there, is full, has room for so many models."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from corpus_builder.store.errors import EngineError
from corpus_builder.trial.settings import Machine
from corpus_builder.trial.trainer import Trainer
from corpus_builder.trial.trial import Unfollowed
from corpus_builder.trial.work import CUDA_CONTEXT, Training, _on_device, models_in


def run(device: str) -> Any:
    return SimpleNamespace(name="half-0-1234", settings=SimpleNamespace(machine=Machine(device)))


def test_models_of_a_gpu_are_not_trained_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    said = r"half-0-1234: .*there is none here; go on where one is"
    with pytest.raises(EngineError, match=said), _on_device(run("cuda")):
        raise AssertionError("nothing is trained")
    with _on_device(run("cpu")):
        pass


def test_a_full_gpu_asks_for_fewer_models_at_once() -> None:
    said = r"memory is full; .*lower --workers"
    with pytest.raises(EngineError, match=said), _on_device(run("cpu")):
        raise torch.OutOfMemoryError("out of memory")


@pytest.mark.parametrize(
    ("own", "free", "models"), [(10, 90, 9), (10, 5, 1), (10, 0, 1), (10, 12, 1), (10, 13, 2)]
)
def test_a_tenth_of_a_gpu_is_left_alone(own: int, free: int, models: int) -> None:
    assert models_in(own, free) == models


def test_room_is_what_a_probe_took_and_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gib = 1 << 30
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 5 * gib - CUDA_CONTEXT)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (75 * gib, 80 * gib))
    monkeypatch.setattr(Training, "_probe", lambda self, run: {})
    work = Training(tmp_path, {"half-0-1234": run("cuda")})
    task = {"kind": "room", "run": "half-0-1234"}
    assert work(task, lambda tokens, nats: None) == {"models": 14}


class Engine:
    """Answers as workers on a GPU with room for 3 models."""

    workers = 16

    def __init__(self) -> None:
        self.launched: list[tuple[str, int, int | None]] = []

    def launch(self, tasks: Any, work: Any, progress: Any, *, processes: Any = None) -> list[Any]:
        kind = tasks[0]["kind"]
        self.launched.append((kind, len(tasks), processes))
        answers = {
            "room": {"models": 3},
            "probe": {"tokens_per_second": 1_000.0, "start_seconds": 9.0, "heldout_tokens": 4},
            "train": {},
        }
        return [answers[kind] for _ in tasks]


def test_no_more_models_are_trained_than_a_gpu_has_room_for(tmp_path: Path) -> None:
    engine = Engine()
    trainer = Trainer(tmp_path, engine, Unfollowed())  # type: ignore[arg-type]
    machine = SimpleNamespace(machine=Machine("cuda"))
    runs: dict[str, Any] = {
        f"run-{n}": SimpleNamespace(name=f"run-{n}", hash=str(n), arm="a", seed=n, settings=machine)
        for n in range(5)
    }
    speed = trainer.speed(list(runs.values()))
    assert (speed.processes, speed.start) == (3, 9.0)
    trainer.train(runs)
    assert engine.launched == [("room", 1, None), ("probe", 3, None), ("train", 5, 3)]
    assert Trainer(tmp_path, engine, Unfollowed()).processes(run("cpu")) == 16  # type: ignore[arg-type]
    engine.workers = 1
    assert Trainer(tmp_path, engine, Unfollowed()).processes(run("cuda")) == 1  # type: ignore[arg-type]
    assert len(engine.launched) == 3, "one model is tried by training it"
