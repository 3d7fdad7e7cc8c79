"""C4's line rules: the transform `c4-lines`.

Lines (str.splitlines, trimmed) are removed as by datatrove 0.10.1's C4QualityFilter, in its order,
the rest joined by newlines. A line for which C4 drops the whole page stays, so that the rules on
`has_lorem_ipsum` and `has_curly_bracket` of the family `c4` can drop it: together they give the
filter's verdicts and texts. FineWeb's variant is `terminal_punctuation=False`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from corpus_builder.store.errors import RecipeError
from corpus_builder.transforms.transform import Transform, TransformResult

if TYPE_CHECKING:
    import pyarrow as pa

CAUSES = (
    "too_long_word",
    "no_terminal_punctuation",
    "too_few_words",
    "javascript",
    "policy",
    "citations",
)


@dataclass(frozen=True)
class C4LinesOptions:
    """Settings of `c4-lines`; the defaults are C4's.

    Attributes:
        terminal_punctuation: remove lines that do not end in . ? ! " ' or that end in "...".
        min_words_per_line: remove lines of fewer whitespace words; 0 removes none.
        max_word_length: remove lines with a longer word, in characters; 0 removes none.
        remove_javascript: remove lines with "javascript".
        remove_policy: remove lines with one of six phrases such as "privacy policy".
        remove_citations: remove [1], [], [edit] and [citation needed] inside lines, after the
            words are counted and before the other rules.
    """

    terminal_punctuation: bool = True
    min_words_per_line: int = 3
    max_word_length: int = 1000
    remove_javascript: bool = True
    remove_policy: bool = True
    remove_citations: bool = True

    def __post_init__(self) -> None:
        for name in ("min_words_per_line", "max_word_length"):
            value = getattr(self, name)
            if value < 0:
                raise RecipeError(
                    f"transform c4-lines: {name}", f"{value} is negative", allowed="0 (off) or more"
                )


def apply(texts: pa.LargeStringArray, options: C4LinesOptions) -> TransformResult:
    """Remove lines; `counts` has the lines by cause, and the citations removed from kept lines."""
    import numpy as np

    from corpus_builder.kernels import c4 as kernel
    from corpus_builder.kernels.buffers import text_array, text_buffers
    from corpus_builder.kernels.unicode import char_flags

    data, offsets = text_buffers(texts)
    settings = np.zeros(6, np.int64)
    settings[kernel.MAX_WORD_LENGTH] = options.max_word_length
    settings[kernel.MIN_WORDS] = options.min_words_per_line
    settings[kernel.TERMINAL_PUNCTUATION] = options.terminal_punctuation
    settings[kernel.DROP_JAVASCRIPT] = options.remove_javascript
    settings[kernel.DROP_POLICY] = options.remove_policy
    settings[kernel.DROP_CITATIONS] = options.remove_citations
    out = np.empty(offsets[-1] - offsets[0], np.uint8)
    out_offsets = np.zeros(len(offsets), np.int64)
    removed = np.zeros(kernel.N_CAUSES, np.int64)
    kernel.clean_lines(data, offsets, char_flags(), settings, out, out_offsets, removed)
    counts = dict(zip(CAUSES, removed.tolist(), strict=True))
    return TransformResult(text_array(out[: out_offsets[-1]], out_offsets), counts)


TRANSFORM = Transform(
    "c4-lines",
    1,
    C4LinesOptions,
    "Raffel et al. 2020, arXiv 1910.10683, 2.2, as in datatrove 0.10.1",
    apply,
)
