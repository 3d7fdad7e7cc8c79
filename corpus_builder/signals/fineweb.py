"""What FineWeb's custom rules read: the family `fineweb`.

Definitions are datatrove 0.10.1's FineWebQualityFilter with `str.split` words. Its lines are the
pieces between "\\n"s that are not blank, untrimmed: "end. " ends in no punctuation. A text without
such lines has 0 everywhere, which the rule on line punctuation drops, as FineWeb does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpus_builder.signals.family import Family, Signal, ratio, record_batch

if TYPE_CHECKING:
    import pyarrow as pa

SHORT_LINE_CHARS = 30

ADDS = (
    Signal(
        "line_punctuation_fraction",
        "float64",
        "non-blank lines whose last character ends a sentence in some script (FineWeb 3.6)",
    ),
    Signal(
        "short_line_fraction",
        "float64",
        f"non-blank lines of at most {SHORT_LINE_CHARS} characters (FineWeb 3.6)",
    ),
    Signal(
        "fineweb_duplicate_line_char_fraction",
        "float64",
        "characters of repeated non-blank lines, over all characters but newlines (FineWeb 3.6)",
    ),
    Signal("newline_word_ratio", "float64", "newlines per whitespace word (FineWeb App. E)"),
)


def compute(texts: pa.LargeStringArray) -> pa.RecordBatch:
    """FineWeb's measures of each text; see `ADDS`."""
    import numpy as np

    from corpus_builder.kernels import fineweb as kernel
    from corpus_builder.kernels.buffers import text_buffers
    from corpus_builder.kernels.unicode import char_flags

    counts = np.zeros((len(texts), kernel.N_COLUMNS), np.int64)
    kernel.fineweb_counts(*text_buffers(texts), char_flags(), SHORT_LINE_CHARS, counts)
    column = counts.T
    lines = column[kernel.LINES]
    return record_batch(
        ADDS,
        {
            "line_punctuation_fraction": ratio(column[kernel.ENDED_LINES], lines),
            "short_line_fraction": ratio(column[kernel.SHORT_LINES], lines),
            "fineweb_duplicate_line_char_fraction": ratio(
                column[kernel.DUPLICATE_CHARS], column[kernel.CHARS]
            ),
            "newline_word_ratio": ratio(column[kernel.NEWLINES], column[kernel.WORDS]),
        },
    )


FAMILY = Family(
    "fineweb", 1, ADDS, "Penedo et al. 2024, arXiv 2406.17557, 3.6, as in datatrove 0.10.1", compute
)
