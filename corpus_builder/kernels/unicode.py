"""Properties of all 0x110000 code points as bits of one table, as the running Python has them.

Invariant: `char_flags()[ord(c)] & SPACE` is `c.isspace()`, and so for ALPHA, ALNUM, DECIMAL and,
among ALNUM, LOWER; BREAK is where `str.splitlines` splits; PUNCTUATION and TERMINAL are the two
sets that datatrove 0.10.1 uses; CLOSE may follow the end of a sentence (UAX #29, Close).
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SPACE = 1
BREAK = 2
ALPHA = 4
ALNUM = 8
DECIMAL = 16
LOWER = 32
PUNCTUATION = 64
TERMINAL = 128
CLOSE = 256

N_CODE_POINTS = 0x110000
# 21 bits are all that four UTF-8 bytes can spell, so a malformed row cannot index past the end;
# pages never touched cost no memory.
_TABLE_SIZE = 1 << 21

_BREAKS = "A-D 1C-1E 85 2028-2029"

# Unicode's Sentence_Terminal as of 15.0 without U+2024, and three Khmer signs (17D6, 17D9, 17DA).
_TERMINAL = """
21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E
1735-1736 17D4-17D6 17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E
1C3B-1C3C 1C7E-1C7F 203C-203D 2047-2049 2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7
A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE52 FE56-FE57 FF01 FF0E FF1F FF61
10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143 111C5-111C6 111CD
111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642
1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F
16AF5 16B37-16B38 16B44 16E98 1BC9F 1DA88
"""

# ASCII punctuation, C0 and C1 controls, and the marks common in web text; TERMINAL comes on top.
_MARKS = """
0-8 B-1F 22-2D 2F 3A-3E 40 5B-60 7B-9F AB B4 BB 2013-2014 2019 201C-201E 2026 2236 2501 25BA 3001
3008-300D 3010-3011 FF05 FF08-FF09 FF0C FF11 FF1A-FF1B FF5E
"""


@functools.cache
def char_flags() -> NDArray[np.uint16]:
    """Bits of every code point: uint16[2**21], read-only; 0.1 s once a process."""
    everything = (
        np.arange(N_CODE_POINTS, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")
    )
    flags = np.zeros(_TABLE_SIZE, dtype=np.uint16)
    for match in re.finditer(r"\s+", everything[:0x10000]):
        flags[slice(*match.span())] |= SPACE
    for match in re.finditer(r"[^\W_]+", everything):
        _mark_word_characters(flags, match.start(), match.group())
    for start, end in _spans(_BREAKS):
        flags[start:end] |= BREAK
    for start, end in _spans(_MARKS):
        flags[start:end] |= PUNCTUATION
    for start, end in _spans(_TERMINAL):
        flags[start:end] |= PUNCTUATION | TERMINAL
    _mark_closing(flags, everything[:0x10000])
    flags.flags.writeable = False
    return flags


def _mark_word_characters(flags: NDArray[np.uint16], start: int, run: str) -> None:
    bits = np.full(len(run), ALNUM, dtype=np.uint16)
    tests = (ALPHA, str.isalpha), (DECIMAL, str.isdecimal), (LOWER, str.islower)
    for bit, test in tests:
        bits[np.fromiter(map(test, run), bool, len(run))] |= bit
    flags[start : start + len(run)] |= bits


def _mark_closing(flags: NDArray[np.uint16], plane: str) -> None:
    """All brackets and quotation marks lie in the first plane."""
    for match in re.finditer(r"[^\w\s]+", plane):
        for at, char in enumerate(match.group(), match.start()):
            if char in "\"'" or unicodedata.category(char) in {"Ps", "Pe", "Pi", "Pf"}:
                flags[at] |= CLOSE


def _spans(ranges: str) -> Iterator[tuple[int, int]]:
    for item in ranges.split():
        first, _, last = item.partition("-")
        yield int(first, 16), int(last or first, 16) + 1
