"""What Gopher's quality rules read: the family `gopher`.

Definitions are datatrove 0.10.1's GopherQualityFilter with its language-dependent word splitter
replaced by `str.split`: "word," is one word, so counts of words and stop words are a little lower
than with a linguistic splitter, and words a little longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpus_builder.signals.family import Family, Signal, ratio, record_batch

if TYPE_CHECKING:
    import pyarrow as pa

# arXiv 2112.11446, A.1.1
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")

ADDS = (
    Signal(
        "n_non_symbol_words",
        "int64",
        "whitespace words with a character that is no punctuation: what 50 to 100,000 is about",
    ),
    Signal("mean_word_length", "float64", "mean characters of those words (Gopher A.1.1)"),
    Signal("hash_ratio", "float64", "'#' per whitespace word (Gopher A.1.1)"),
    Signal("ellipsis_ratio", "float64", "'...' and '…' per whitespace word (Gopher A.1.1)"),
    Signal(
        "bullet_line_fraction",
        "float64",
        "lines that begin with '•' or '-' after whitespace (Gopher A.1.1)",
    ),
    Signal(
        "ellipsis_line_fraction",
        "float64",
        "lines that end in '...' or '…' before whitespace (Gopher A.1.1)",
    ),
    Signal("alpha_word_fraction", "float64", "whitespace words with a letter (Gopher A.1.1)"),
    Signal(
        "stop_word_count",
        "int64",
        "how many of the 8 English stop words are among the words, case-sensitive (Gopher A.1.1)",
    ),
)


def compute(texts: pa.LargeStringArray) -> pa.RecordBatch:
    """Gopher's quality measures of each text; see `ADDS`."""
    import numpy as np

    from corpus_builder.kernels import gopher as kernel
    from corpus_builder.kernels.buffers import text_buffers
    from corpus_builder.kernels.unicode import char_flags

    counts = np.zeros((len(texts), kernel.N_COLUMNS), np.int64)
    stop_words = kernel.pack_words(STOP_WORDS)
    kernel.gopher_counts(*text_buffers(texts), char_flags(), stop_words, counts)
    column = counts.T
    words, lines = column[kernel.WORDS], column[kernel.LINES]
    return record_batch(
        ADDS,
        {
            "n_non_symbol_words": column[kernel.SOLID_WORDS],
            "mean_word_length": ratio(column[kernel.SOLID_CHARS], column[kernel.SOLID_WORDS]),
            "hash_ratio": ratio(column[kernel.HASH_SIGNS], words),
            "ellipsis_ratio": ratio(column[kernel.ELLIPSES], words),
            "bullet_line_fraction": ratio(column[kernel.BULLET_LINES], lines),
            "ellipsis_line_fraction": ratio(column[kernel.ELLIPSIS_LINES], lines),
            "alpha_word_fraction": ratio(column[kernel.ALPHA_WORDS], words),
            "stop_word_count": column[kernel.STOP_WORDS],
        },
    )


FAMILY = Family(
    "gopher", 1, ADDS, "Rae et al. 2021, arXiv 2112.11446, A.1.1, as in datatrove 0.10.1", compute
)
