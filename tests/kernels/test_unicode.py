"""The table is Python's own view of every code point, and datatrove's two sets."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable

import numpy as np
import pytest
from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION

from corpus_builder.kernels import unicode as table

EVERY_CHARACTER = [chr(point) for point in range(sys.maxunicode + 1)]


def is_close(char: str) -> bool:
    return char in "\"'" or unicodedata.category(char) in {"Ps", "Pe", "Pi", "Pf"}


def breaks_lines(char: str) -> bool:
    return f"a{char}a".splitlines() != [f"a{char}a"]


@pytest.mark.parametrize(
    ("bit", "test"),
    [
        (table.SPACE, str.isspace),
        (table.BREAK, breaks_lines),
        (table.ALPHA, str.isalpha),
        (table.ALNUM, str.isalnum),
        (table.DECIMAL, str.isdecimal),
        (table.LOWER, lambda char: char.islower() and char.isalnum()),
        (table.PUNCTUATION, PUNCTUATION_SET.__contains__),
        (table.TERMINAL, TERMINAL_PUNCTUATION.__contains__),
        (table.CLOSE, is_close),
    ],
)
def test_bit_is_exact_for_every_code_point(bit: int, test: Callable[[str], bool]) -> None:
    expected = np.fromiter(map(test, EVERY_CHARACTER), bool, len(EVERY_CHARACTER))
    got = table.char_flags()[: table.N_CODE_POINTS] & bit != 0
    assert [hex(k) for k in np.flatnonzero(got != expected)] == []
    assert expected.any()


def test_covers_whatever_four_bytes_can_spell_and_cannot_be_changed() -> None:
    flags = table.char_flags()
    assert flags.shape == (2**21,)
    assert not flags[table.N_CODE_POINTS :].any()
    assert not flags.flags.writeable


def test_only_the_kelvin_sign_and_dotted_i_become_ascii_when_lowered() -> None:
    """What `matches_lower` relies on; U+0130 leaves a combining dot behind the i."""
    odd = [c for c in EVERY_CHARACTER if ord(c) > 127 and any(x < "\x80" for x in c.lower())]
    assert odd == ["\u0130", "\u212a"]
    assert ["\u0130".lower(), "\u212a".lower()] == ["i\u0307", "k"]
