"""What Gopher's repetition rules read: the family `gopher-repetition`.

Definitions are datatrove 0.10.1's GopherRepetitionFilter with `str.split` words: only copies
beyond the first count, and every character fraction is over all characters of the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpus_builder.signals.family import Family, Signal, ratio, record_batch

if TYPE_CHECKING:
    import pyarrow as pa

TOP_SIZES = (2, 3, 4)
DUPLICATE_SIZES = (5, 6, 7, 8, 9, 10)

ADDS = (
    Signal(
        "duplicate_line_fraction", "float64", "lines that repeat an earlier one (Gopher Table A1)"
    ),
    Signal(
        "duplicate_line_char_fraction", "float64", "characters of those lines (Gopher Table A1)"
    ),
    Signal(
        "duplicate_paragraph_fraction",
        "float64",
        "paragraphs (between blank lines) that repeat an earlier one (Gopher Table A1)",
    ),
    Signal(
        "duplicate_paragraph_char_fraction",
        "float64",
        "characters of those paragraphs (Gopher Table A1)",
    ),
    *(
        Signal(
            f"top_{n}gram_char_fraction",
            "float64",
            f"characters of the most frequent word {n}-gram times its count (Gopher Table A1)",
        )
        for n in TOP_SIZES
    ),
    *(
        Signal(
            f"duplicate_{n}gram_char_fraction",
            "float64",
            f"characters of words in repeated word {n}-grams, none counted twice (Gopher Table A1)",
        )
        for n in DUPLICATE_SIZES
    ),
)


def compute(texts: pa.LargeStringArray) -> pa.RecordBatch:
    """Gopher's repetition measures of each text; see `ADDS`."""
    import numpy as np

    from corpus_builder.kernels import repetition as kernel
    from corpus_builder.kernels.buffers import text_buffers
    from corpus_builder.kernels.unicode import char_flags

    counts = np.zeros((len(texts), kernel.N_COLUMNS), np.int64)
    kernel.repetition_counts(*text_buffers(texts), char_flags(), counts)
    column = counts.T
    chars = column[kernel.CHARS]
    values = {
        "duplicate_line_fraction": ratio(column[kernel.DUPLICATE_LINES], column[kernel.LINES]),
        "duplicate_line_char_fraction": ratio(column[kernel.DUPLICATE_LINE_CHARS], chars),
        "duplicate_paragraph_fraction": ratio(
            column[kernel.DUPLICATE_PARAGRAPHS], column[kernel.PARAGRAPHS]
        ),
        "duplicate_paragraph_char_fraction": ratio(column[kernel.DUPLICATE_PARAGRAPH_CHARS], chars),
    }
    for k, n in enumerate(TOP_SIZES):
        values[f"top_{n}gram_char_fraction"] = ratio(column[kernel.TOP + k], chars)
    for k, n in enumerate(DUPLICATE_SIZES):
        values[f"duplicate_{n}gram_char_fraction"] = ratio(column[kernel.DUPLICATE + k], chars)
    return record_batch(ADDS, values)


FAMILY = Family(
    "gopher-repetition",
    1,
    ADDS,
    "Rae et al. 2021, arXiv 2112.11446, Table A1, as in datatrove 0.10.1",
    compute,
)
