"""What the trainer's tests share: a tiny model, tiny batches. Without torch they are left out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

if find_spec("torch") is None:  # it comes with the trial extra
    collect_ignore_glob = ["test_*.py"]

VOCAB, LENGTH = 61, 16


@dataclass(frozen=True)
class RandomBatches:
    """Batches of random tokens, a pure function of (seed, step)."""

    steps: int = 100
    sequences: int = 4
    sequence_length: int = LENGTH
    seed: int = 0

    @property
    def identity(self) -> str:
        return hashlib.blake2b(repr(self).encode(), digest_size=16).hexdigest()

    def batch(self, step: int) -> NDArray[np.unsignedinteger]:
        words = np.random.Philox(key=[self.seed, step]).random_raw(self.sequences * LENGTH)
        return (words % VOCAB).astype(np.uint16).reshape(self.sequences, LENGTH)


@pytest.fixture
def tiny() -> Any:
    """A `ModelConfig` of 2 layers, width 32, 2 heads."""
    from corpus_builder.train.model import ModelConfig
    from corpus_builder.train.sizes import Shape

    return ModelConfig(Shape(2, 32, 2), VOCAB, LENGTH)


@pytest.fixture
def batches() -> RandomBatches:
    return RandomBatches()


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(11)
