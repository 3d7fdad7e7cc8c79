"""What a process is asked of: to keep the memory it frees, where its C library can."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import torch

from corpus_builder.train.machine import choose_precision, keep_memory
from corpus_builder.train.model import ModelConfig
from corpus_builder.train.sizes import Shape


def test_memory_that_is_freed_is_to_stay_with_the_process(monkeypatch):
    """No blocks of their own (M_MMAP_MAX, -4), and the heap's top stays (M_TRIM_THRESHOLD, -1)."""
    asked = {}
    libc = SimpleNamespace(mallopt=asked.__setitem__)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: libc)
    keep_memory()
    assert asked == {-1: 1 << 30, -4: 0}


def test_other_c_libraries_do_as_they_do(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    keep_memory()


def test_a_gpu_that_only_emulates_bf16_computes_in_fp32(monkeypatch):
    asked = []

    def supported(including_emulation=True):
        asked.append(including_emulation)
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert choose_precision(ModelConfig(Shape(1, 16, 1), 8, 8), device="cuda") == "fp32"
    assert asked == [False]
