"""What a worker says of a device: that it is not there, is full, has memory for so many models."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from corpus_builder.store.errors import EngineError
from corpus_builder.train.sizes import named_size
from corpus_builder.trial import work
from corpus_builder.trial.settings import Machine
from corpus_builder.trial.trainer import Trainer, ample_memory
from corpus_builder.trial.trial import Unfollowed
from corpus_builder.trial.work import CUDA_CONTEXT, Training, _on_device, models_in

GIB = 1 << 30


def run(device: str, size: str = "1M", name: str = "half-0-1234") -> Any:
    shape = named_size(size).shape
    settings = SimpleNamespace(machine=Machine(device), shape=shape, sequence_length=256)
    data = SimpleNamespace(vocab=32_768)
    return SimpleNamespace(name=name, hash=name, arm="a", seed=0, settings=settings, data=data)


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
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 5 * GIB - CUDA_CONTEXT)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (75 * GIB, 80 * GIB))
    monkeypatch.setattr(Training, "_probe", lambda self, run: {})
    training = Training(tmp_path, {"half-0-1234": run("cuda")})
    task = {"kind": "room", "run": "half-0-1234", "memory": 1}
    assert training(task, lambda tokens, nats: None) == {"models": 14}


def test_room_on_a_cpu_is_what_memory_is_given_by_what_a_probe_took(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(work, "_most_memory", lambda: 3 * GIB)
    monkeypatch.setattr(Training, "_probe", lambda self, run: {})
    training = Training(tmp_path, {"half-0-1234": run("cpu")})
    task = {"kind": "room", "run": "half-0-1234", "memory": 8 * GIB}
    assert training(task, lambda tokens, nats: None) == {"models": 2}
    assert training(task | {"memory": 3 * GIB + 1}, lambda tokens, nats: None) == {"models": 1}
    with pytest.raises(EngineError, match=r"takes 3\.2 GB of memory, and 2\.1 GB may be"):
        training(task | {"memory": 2 * GIB}, lambda tokens, nats: None)


def test_a_process_knows_what_memory_it_had() -> None:
    before = work._most_memory()
    held = bytearray(100 << 20)
    held[::4096] = b"x" * len(held[::4096])
    assert work._most_memory() >= max(before, 100 << 20)


class Engine:
    """Answers as workers of which there is memory for 3."""

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


@pytest.mark.parametrize(("device", "size", "memory"), [("cuda", "1M", 0), ("cpu", "60M", 9 * GIB)])
def test_no_more_models_are_trained_than_there_is_memory_for(
    device: str, size: str, memory: int, tmp_path: Path
) -> None:
    engine = Engine()
    trainer = Trainer(tmp_path, engine, Unfollowed(), memory)  # type: ignore[arg-type]
    runs = {f"run-{n}": run(device, size, f"run-{n}") for n in range(5)}
    speed = trainer.speed(list(runs.values()))
    assert (speed.processes, speed.start) == (3, 9.0)
    trainer.train(runs)
    assert engine.launched == [("room", 1, None), ("probe", 3, None), ("train", 5, 3)]


def test_memory_is_not_measured_where_there_is_ample(tmp_path: Path) -> None:
    engine = Engine()
    ample = 16 * ample_memory(run("cpu"))
    trainer = Trainer(tmp_path, engine, Unfollowed(), ample)  # type: ignore[arg-type]
    assert trainer.processes([run("cpu")]) == 16
    engine.workers = 1
    assert trainer.processes([run("cuda")]) == 1
    assert engine.launched == []
    trainer.memory, engine.workers = ample - 1, 16
    assert trainer.processes([run("cpu")]) == 3


def test_the_largest_model_counts_and_is_measured_once(tmp_path: Path) -> None:
    engine = Engine()
    base, own = run("cpu", name="base-0"), run("cpu", name="own-0")
    own.data.vocab = 200_000
    trainer = Trainer(tmp_path, engine, Unfollowed(), 16 * ample_memory(base))  # type: ignore[arg-type]
    assert trainer.processes([base]) == 16
    assert [trainer.processes([base, own]) for _ in range(2)] == [3, 3]
    assert engine.launched == [("room", 1, None)]


@pytest.mark.parametrize(
    ("size", "vocab", "length", "seen"),
    [
        ("1M", 4096, 256, 574), ("1M", 32_768, 256, 743), ("15M", 32_768, 256, 1778),
        ("60M", 32_768, 256, 3561), ("1M", 4096, 16_384, 1202), ("15M", 4096, 8192, 2184),
    ],
)  # fmt: skip
def test_ample_is_more_than_training_was_seen_to_take(
    size: str, vocab: int, length: int, seen: int
) -> None:
    """MiB; the larger of fp32 and bf16, Muon."""
    model = run("cpu", size)
    model.data.vocab = vocab
    model.settings.sequence_length = length
    assert seen << 20 < ample_memory(model) < 3 * seen << 20
