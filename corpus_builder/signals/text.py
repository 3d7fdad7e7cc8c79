"""Sizes: the family `text`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpus_builder.signals.family import Family, Signal, record_batch

if TYPE_CHECKING:
    import pyarrow as pa

ADDS = (
    Signal("n_chars", "int64", "characters (code points)"),
    Signal("n_words", "int64", "words between whitespace: len(text.split())"),
    Signal("n_lines", "int64", "lines: len(text.splitlines())"),
    Signal("n_bytes", "int64", "bytes of UTF-8"),
)


def compute(texts: pa.LargeStringArray) -> pa.RecordBatch:
    """Sizes of each text; see `ADDS`."""
    import numpy as np

    from corpus_builder.kernels import text as kernel
    from corpus_builder.kernels.buffers import text_buffers
    from corpus_builder.kernels.unicode import char_flags

    counts = np.zeros((len(texts), kernel.N_COLUMNS), np.int64)
    kernel.text_counts(*text_buffers(texts), char_flags(), counts)
    return record_batch(ADDS, {signal.name: counts[:, k] for k, signal in enumerate(ADDS)})


FAMILY = Family("text", 1, ADDS, "Python's str methods", compute)
