"""YAML files become plain trees that know their lines; the rest is refused with its place."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder import yamlfile
from corpus_builder.store.errors import RecipeError


def value(text: str) -> Any:
    return yamlfile.parse(f"key: {text}", "t.yaml").plain()["key"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((word, word) for word in ("no", "No", "off", "yes", "on", "y", "n", "OFF")),
        *((word, word) for word in ("1_000", "1:30", "2024-01-02", "0b11", "1e", "0o8", "0xg")),
        *((word, word) for word in ("<<", "=", "nan", "inf", "tRue", "nUll", "1M", "2%")),
        *((word, None) for word in ("", "~", "null", "Null", "NULL")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("+.5", 0.5),
        ("-1.", -1.0),
        ("010", 10),
        ("0o17", 15),
        ("0xFF", 255),
        ("-7", -7),
        ("'off'", "off"),
        ('"1"', "1"),
        ("'null'", "null"),
    ],
)
def test_plain_scalars_follow_the_core_schema(text: str, expected: object) -> None:
    got = value(text)
    assert got == expected
    assert type(got) is type(expected)


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_64_bit_integer_is_read_back(number: int) -> None:
    assert value(str(number)) == number
    if number >= 0:
        assert value(hex(number)) == number
        assert value(oct(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_float_is_read_back(number: float) -> None:
    got = value(repr(number))
    assert math.copysign(1, got) == math.copysign(1, number)
    assert got == number


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_quoted_text_is_always_a_string(text: str) -> None:
    quoted = "'" + text.replace("'", "''") + "'"
    assert value(quoted) == text


def test_nodes_know_the_line_of_their_key() -> None:
    tree = yamlfile.parse("a:\n  b: 1\n  c:\n    - x\n    - y: 2\n", "t.yaml")
    assert tree.locate(["a"]) == "t.yaml:1"
    assert tree.locate(["a", "b"]) == "t.yaml:2"
    assert tree.locate(["a", "c"]) == "t.yaml:3"
    assert tree.locate(["a", "c", 0]) == "t.yaml:4"
    assert tree.locate(["a", "c", 1, "y"]) == "t.yaml:5"
    assert tree.locate(["a", "c", 7]) == "t.yaml:3"
    assert tree.locate(["a", "zzz", "deeper"]) == "t.yaml:1"


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "duplicate key 'a' (first on line 1)"),
        ("a:\n  - {b: 1, b: 2}\n", 2, "duplicate key 'b'"),
        ("a: !!python/object/apply:os.getcwd []\n", 1, "tags are refused"),
        ("\na: !!str 3\n", 2, "tags are refused"),
        ("a: ! 3\n", 1, "tags are refused"),
        ("a:\n\tb: 1\n", 2, "a tab where spaces must indent"),
        ("a: 1\n--- \nb: 2\n", 2, "not valid YAML"),
        ("a: 1\nb: [1\n", 2, "not valid YAML"),
        ("a: *x\n", 1, "not valid YAML"),
        ("a: 1\n1: 2\n", 2, "key 1 is not a string"),
        ("a: 1\ntrue: 2\n", 2, "key true is not a string"),
        ("? [a]\n: 2\n", 1, "is not a string"),
        ("a: .nan\n", 1, "not a finite number"),
        ("a: 1\nb: -.INF\n", 2, "not a finite number"),
        ("a: 1e999\n", 1, "too large"),
        (f"a: {2**63}\n", 1, "64 bits"),
        ("a: " + "9" * 5000, 1, "out of range"),
        ("a: 1\nb: \x01\n", 2, "U+0001"),
        ("&a [*a]", 1, "contains it"),
        ("a: &a {b: *a}", 1, "contains it"),
        ("[" * 60 + "]" * 60, 1, "nested deeper"),
        ("\n".join(["a: &a 1", "b:", *["- *a"] * 201]), 203, "more than 200 aliases"),
        ("[" + "1," * 20_001 + "]", 1, "more than 20,000 values"),
        ("", 1, "empty"),
        ("# nothing\n", 1, "empty"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_line(text: str, line: int, part: str) -> None:
    with pytest.raises(RecipeError) as caught:
        yamlfile.parse(text, "t.yaml")
    assert caught.value.where == f"t.yaml:{line}"
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_aliases_copy_but_cannot_blow_up() -> None:
    tree = yamlfile.parse("a: &x {n: 1}\nb: *x\n", "t.yaml")
    assert tree.plain() == {"a": {"n": 1}, "b": {"n": 1}}
    laughs = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    laughs += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(RecipeError, match="once aliases are expanded"):
        yamlfile.parse("\n".join(laughs), "t.yaml")


def test_files_that_cannot_be_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(RecipeError, match=r"x\.yaml:2: byte 0xe9 is not UTF-8"):
        yamlfile.load(path)
    path.write_bytes(b"a: " + b"x" * yamlfile.MAX_BYTES)
    with pytest.raises(RecipeError, match="larger than"):
        yamlfile.load(path)
    with pytest.raises(RecipeError, match="cannot be read"):
        yamlfile.load(tmp_path / "absent.yaml")
    with pytest.raises(RecipeError, match="cannot be read"):
        yamlfile.load(tmp_path)
    path.write_bytes(b"\xef\xbb\xbfa: \xc3\xa9\r\nb: 2\r\n")
    assert yamlfile.load(path).plain() == {"a": "é", "b": 2}


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1, 1) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(plain_values)
def test_plain_python_values_become_trees_and_come_back(given_value: Any) -> None:
    def frozen(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: frozen(item) for key, item in part.items()}
        return tuple(map(frozen, part)) if isinstance(part, list) else part

    assert yamlfile.node_of(given_value, "here").plain() == frozen(given_value)


@given(
    plain_values | st.from_regex(r"[-+]?(0o|0x)?[0-9]*\.?[0-9]*([eE][-+]?[0-9]+)?", fullmatch=True)
)
def test_what_is_written_reads_back(given_value: Any) -> None:
    """Strings that are numbers to YAML 1.2 alone, too: `1e9`, `0o17`."""
    given_value = {"key": given_value}
    found = yamlfile.parse(yamlfile.dump(given_value), "t.yaml").plain()
    assert found == yamlfile.node_of(given_value, "here").plain()
    assert repr(found) == repr(yamlfile.node_of(given_value, "here").plain())


@pytest.mark.parametrize("bad", [math.nan, -math.inf, {1: 2}, [object()], {"a": {3}}])
def test_python_values_that_are_not_plain_are_refused(bad: Any) -> None:
    with pytest.raises(RecipeError, match=r"^here: "):
        yamlfile.node_of(bad, "here")


def test_keys_of_a_mapping_below_and_none_where_there_is_no_mapping() -> None:
    tree = yamlfile.node_of({"a": {"b": {"c": 1, "d": 2}, "e": 3}}, "x")
    assert tree.keys("a", "b") == ["c", "d"]
    assert tree.keys("a", "e") == tree.keys("a", "e", "f") == tree.keys("g") == []
