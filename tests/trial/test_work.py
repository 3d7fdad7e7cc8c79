"""What a worker says of a device that is not there, or is full."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from corpus_builder.store.errors import EngineError
from corpus_builder.trial.settings import Machine
from corpus_builder.trial.work import _device_of


def run(device: str) -> Any:
    return SimpleNamespace(name="half-0-1234", settings=SimpleNamespace(machine=Machine(device)))


def test_models_of_a_gpu_are_not_trained_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    said = r"half-0-1234: .*there is none here; go on where one is"
    with pytest.raises(EngineError, match=said), _device_of(run("cuda")):
        raise AssertionError("nothing is trained")
    with _device_of(run("cpu")):
        pass


def test_a_full_gpu_asks_for_fewer_models_at_once() -> None:
    said = r"memory is full; .*lower --workers"
    with pytest.raises(EngineError, match=said), _device_of(run("cpu")):
        raise torch.OutOfMemoryError("out of memory")
