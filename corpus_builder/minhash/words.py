r"""The fold table: which code points are word characters, and what they are in lower case.

Invariant: walking a text code point by code point through `fold_table()` yields exactly the words
`re.findall(r"\w+", text.lower())` of this Python, except that the final sigma (U+03C2) is folded
to sigma (U+03C3): `str.lower()` picks between them by context, and both are word characters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

CODE_POINTS = 0x110000
BREAK = 1 << 31
"""Flag of a table entry: the word ends right after this character."""
UNICODE_VERSION: str = unicodedata.unidata_version
"""What `\\w` and `lower()` mean depends on it; part of the identity of shingle hashes."""
HASH_VERSION = f"1/unicode-{UNICODE_VERSION}"
"""Names the function of `shingles`: raised when any hash could change. It lies here because this
module loads no compiled code."""

_FINAL_SIGMA, _SIGMA = "\u03c2", "\u03c3"


@cache
def fold_table() -> npt.NDArray[np.uint32]:
    r"""Fold of every code point: uint32[0x110000], read-only, built once a process (~0.3 s).

    0 is a separator; any other value is the lower-cased word character, with `BREAK` added when
    its lower case goes on with a separator (U+0130 becomes `i` and U+0307, which is no `\w`).
    """
    table = np.zeros(CODE_POINTS, np.uint32)
    for code in range(CODE_POINTS):
        lowered = chr(code).lower()
        if len(lowered) > 1:
            table[code] = _fold_many(code, lowered)
        elif lowered.isalnum() or lowered == "_":
            table[code] = ord(lowered)
    table[ord(_FINAL_SIGMA)] = ord(_SIGMA)
    table.flags.writeable = False
    return table


def _fold_many(code: int, lowered: str) -> int:
    r"""Entry of a character whose lower case is several characters."""
    if re.fullmatch(r"\W+", lowered):
        return 0
    if re.fullmatch(r"\w\W+", lowered):
        return ord(lowered[0]) | BREAK
    raise NotImplementedError(
        f"U+{code:04X} lower-cases to {lowered!r} in Unicode {UNICODE_VERSION}: "
        "the fold table holds one word character a code point"
    )
