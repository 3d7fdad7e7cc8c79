"""What C4's page rules read: the family `c4`, meant for text after the transform `c4-lines`.

Sentences are counted by a rule of our own that needs no language or dictionary (a part of Unicode
UAX #29, see `kernels/c4.py`), where C4 uses NLTK and datatrove spaCy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpus_builder.signals.family import Family, Signal, record_batch

if TYPE_CHECKING:
    import pyarrow as pa

ADDS = (
    Signal("n_sentences", "int64", "sentences, none across lines, by a part of UAX #29 (C4 2.2)"),
    Signal("has_lorem_ipsum", "bool", "contains 'lorem ipsum' in any case (C4 2.2)"),
    Signal("has_curly_bracket", "bool", "contains '{' (C4 2.2)"),
)


def compute(texts: pa.LargeStringArray) -> pa.RecordBatch:
    """C4's page measures of each text; see `ADDS`."""
    import numpy as np

    from corpus_builder.kernels import c4 as kernel
    from corpus_builder.kernels.buffers import text_buffers
    from corpus_builder.kernels.unicode import char_flags

    counts = np.zeros((len(texts), kernel.N_COLUMNS), np.int64)
    kernel.c4_counts(*text_buffers(texts), char_flags(), counts)
    return record_batch(
        ADDS,
        {
            "n_sentences": counts[:, kernel.SENTENCES],
            "has_lorem_ipsum": counts[:, kernel.LOREM_IPSUM] != 0,
            "has_curly_bracket": counts[:, kernel.CURLY_BRACKET] != 0,
        },
    )


FAMILY = Family("c4", 1, ADDS, "Raffel et al. 2020, arXiv 1910.10683, 2.2; UAX #29", compute)
