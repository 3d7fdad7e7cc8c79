"""The processor a run uses: threads, denormals, memory, and the number format that is faster there.

Invariant: what `cpu_threads` sets for a process is as before when it ends. The format is chosen
once, before a trial, and then belongs to the identity of every run: arms never differ in it.
"""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from .model import Decoder, ModelConfig

Precision = Literal["fp32", "bf16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
PROBE_TOKENS = 1024
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
NEVER = 1 << 30  # bytes
WORTH_IT = 1.15  # bf16 rounds to 8 bits: a tie goes to fp32


@contextmanager
def cpu_threads(threads: int) -> Iterator[None]:
    """Compute on `threads` threads, with denormal numbers flushed to zero.

    Rare tokens have gradients far below 1e-38; arithmetic on them is up to ten times slower.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)


def keep_memory() -> None:
    """Let this process keep what it frees, for as long as it lives (where its libc is glibc).

    Otherwise activations go back to the system after a step and come again zeroed, page by page.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(M_MMAP_MAX, 0)
        set_option(M_TRIM_THRESHOLD, NEVER)


def choose_precision(
    config: ModelConfig, *, device: str = "cpu", threads: int = 1, seconds: float = 4.0
) -> Precision:
    """`bf16` where a training step of this model is clearly faster in it, else `fp32`.

    On CUDA, `bf16` where the device has it. On a CPU the two take turns for about `seconds` of CPU
    time (three turns at least): bf16 is 2x faster with AMX and 1.6x slower without.
    """
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    took: dict[Precision, list[float]] = {"fp32": [], "bf16": []}
    with cpu_threads(threads):
        model = Decoder(config, seed=0)
        rows = max(1, PROBE_TOKENS // config.sequence_length)
        tokens = torch.arange(rows * config.sequence_length).view(rows, -1) % config.vocab
        until = time.process_time() + seconds
        while len(took["bf16"]) < 3 or time.process_time() < until:
            for name, times in took.items():
                start = time.process_time()
                model.loss_sums(tokens, DTYPES[name])[0].backward()
                times.append(time.process_time() - start)
    ratio = statistics.median(took["fp32"]) / statistics.median(took["bf16"])
    return "bf16" if ratio > WORTH_IT else "fp32"
