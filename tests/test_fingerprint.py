"""Fingerprints: one hash a plain value; what has no stable identity is refused."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spine import environment

from corpus_builder.fingerprint import fingerprint

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "value",
    [
        math.nan, math.inf, -math.inf, object(), print, {1, 2}, Path("x"), b"bytes", Fraction(1, 2),
        np.int64(3), np.array([1]), {1: "a"}, {None: 1}, [1, {"x": [math.nan]}],
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_has_no_stable_identity_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=r"identity|string"):
        fingerprint(value)


def test_a_refusal_says_where() -> None:
    with pytest.raises(TypeError, match=r"value\.stages\[1\]\.keep: function"):
        fingerprint({"stages": [{}, {"keep": lambda: None}]})


@given(PLAIN)
def test_order_of_keys_does_not_count(value: object) -> None:
    wrapped = {"a": value, "b": 1}
    assert fingerprint(wrapped) == fingerprint(dict(reversed(wrapped.items())))


@given(PLAIN, PLAIN)
def test_values_that_differ_hash_otherwise(one: object, other: object) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (repr(_sorted(one)) == repr(_sorted(other)))


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def test_numbers_strings_and_flags_stay_apart() -> None:
    assert len({fingerprint(value) for value in (1, 1.0, "1", True, [1], None, "None")}) == 7


def test_lists_and_tuples_are_the_same() -> None:
    assert fingerprint((1, [2])) == fingerprint([1, (2,)])


def test_the_hash_is_pinned_and_the_same_in_other_processes() -> None:
    value = {"b": [1, 0.1, None, True], "a": "ä\ud800"}
    pinned = "b803bc5c693a87d241455970fbbbb5b4312b8df44f3d7068d3f161297c51a3c8"
    assert fingerprint(value) == pinned
    script = f"from corpus_builder.fingerprint import fingerprint; print(fingerprint({value!r}))"
    for seed in ("1", "2"):
        env = environment() | {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", script], env=env, capture_output=True, text=True
        )
        assert done.stdout.strip() == pinned
