"""What a process is asked of: to keep the memory it frees, where its C library can."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

from corpus_builder.train.machine import keep_memory


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
