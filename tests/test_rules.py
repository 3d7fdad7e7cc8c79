"""Rules: what an expression may say, Kleene's logic, who dropped a row, and counts that add up."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder import expressions, yamlfile
from corpus_builder.expressions import ExpressionError
from corpus_builder.rules import (
    RuleSet,
    RuleTally,
    add_tallies,
    evaluate,
    parse_rule_set,
    tally,
)
from corpus_builder.store.errors import DataError, RecipeError


def rule_set(rules: Mapping[str, Any], on_null: str = "error", name: str = "t") -> RuleSet:
    head = {"name": name, "version": 1, "cite": "none", "on_null": on_null, "rules": rules}
    return parse_rule_set(yamlfile.node_of(head, "t.yaml:1"), name)


def truth(text: str, columns: Mapping[str, Sequence[Any]], **params: Any) -> list[bool | None]:
    arrays = {name: pa.array(values) for name, values in columns.items()}
    result: list[bool | None] = expressions.evaluate(text, arrays, params).to_pylist()
    return result


def batch(**columns: Sequence[Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({name: pa.array(part) for name, part in columns.items()})


# Expressions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 <= x <= 3", [False, True, True, False, None]),
        ("x > 1 and not x == 3", [False, True, False, True, None]),
        ("x < 2 or x > 3", [True, False, False, True, None]),
        ("x in [1, 4]", [True, False, False, True, None]),
        ("x not in [1, 4.0]", [False, True, True, False, None]),
        ("x / 2 == 1.5", [False, False, True, False, None]),
        ("-x + 3 * x - 1 >= 5", [False, False, True, True, None]),
        ("x / (x - 2) > 0", [False, None, True, True, None]),
        ("s == 'a'", [True, False, False, None, False]),
        ("s in ['a', 'b'] and x < 3", [True, True, False, False, False]),
        ("b", [True, False, None, True, False]),
        ("not b", [False, True, None, False, True]),
        ("b == False", [False, True, None, False, True]),
        ("b == (x > 2)", [False, True, None, True, None]),
    ],
)
def test_what_expressions_mean(text: str, expected: list[bool | None]) -> None:
    columns = {
        "x": [1, 2, 3, 4, None],
        "s": ["a", "b", "c", None, "d"],
        "b": [True, False, None, True, False],
    }
    assert truth(text, columns) == expected


three = st.sampled_from([True, False, None])


@given(three, three)
def test_logic_is_kleenes(left: bool | None, right: bool | None) -> None:
    def land(p: bool | None, q: bool | None) -> bool | None:
        if p is False or q is False:
            return False
        return None if p is None or q is None else True

    def neg(p: bool | None) -> bool | None:
        return None if p is None else not p

    columns = {"p": pa.array([left], pa.bool_()), "q": pa.array([right], pa.bool_())}

    def ask(text: str) -> bool | None:
        answer: bool | None = expressions.evaluate(text, columns, {})[0].as_py()
        return answer

    assert ask("p and q") is land(left, right)
    assert ask("p or q") is neg(land(neg(left), neg(right)))
    assert ask("not p") is neg(left)


def test_nan_and_division_by_zero_are_null_not_false() -> None:
    assert truth("x <= 1", {"x": [0.5, float("nan"), 2.0]}) == [True, None, False]
    assert truth("1 / x > 0", {"x": [0.0, 2.0]}) == [None, True]


def test_whole_numbers_divide_truly_and_do_not_wrap() -> None:
    assert truth("a / b == 0.5", {"a": [1], "b": [2]}) == [True]
    assert truth("a * a > 0", {"a": [2**40]}) == [True]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("__import__('os')", "not allowed"),
        ("x.y > 1", "not allowed"),
        ("x[0] > 1", "not allowed"),
        ("(lambda: 1)() > x", "not allowed"),
        ("x ** 2 > 1", "not allowed"),
        ("x % 2 == 1", "not allowed"),
        ("x is None", "not allowed"),
        ("x in 'abc'", "only a list"),
        ("x in [y]", "not allowed"),
        ("x in []", "not allowed"),
        ("[z for z in x]", "not allowed"),
        ("x if y else z", "not allowed"),
        ("f'{x}' == 'a'", "not allowed"),
        ("x > 1e999", "not allowed"),
        ("x == 1j", "not allowed"),
        ("x == None", "not allowed"),
        ("x == b'a'", "not allowed"),
        ("(y := x) > 1", "not allowed"),
        ("x >", "not an expression"),
        ("x > 1; y", "not an expression"),
        ("", "not an expression"),
        ("x\x00", "not an expression"),
        ("not " * 60 + "x", "nested deeper"),
        ("-" * 200 + "x > 1", "nested deeper"),
        ("x > 1 or " * 100 + "x", "longer than"),
    ],
)
def test_anything_else_is_refused_when_read(text: str, part: str) -> None:
    with pytest.raises(ExpressionError, match=part):
        expressions.parse(text)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("n", "not a yes-or-no"),
        ("n + 1", "not a yes-or-no"),
        ("s > 3", "'s' is a string where a number is needed"),
        ("s == 3", "cannot compare 's' (string) and '3' (number)"),
        ("n == True", "cannot compare"),
        ("n and b", "'n' is a number where a bool is needed"),
        ("not n", "where a bool is needed"),
        ("b + 1 > 0", "'b' is a bool where a number is needed"),
        ("-s > 0", "where a number is needed"),
        ("s in [1]", "cannot compare"),
        ("n in ['a', 1]", "cannot compare"),
        ("n in n", "is not a list"),
        ("many == many", "use 'in'"),
        ("many in many", "goes before 'in'"),
        ("['a'] == ['a']", "use 'in'"),
    ],
)
def test_parts_that_do_not_fit_are_refused(text: str, part: str) -> None:
    kinds: dict[str, expressions.Kind] = {"n": "number", "s": "string", "b": "bool", "many": "list"}
    with pytest.raises(ExpressionError) as caught:
        expressions.check_kinds(text, kinds)
    assert part in str(caught.value)


# Rule sets

GOOD = """\
name: t
version: 1
cite: none
rules:
  length: {keep: "min <= n <= max", min: 1, max: 5, why: because}
  language: {keep: "lang in languages", languages: [en, de]}
"""


def parsed(text: str = GOOD) -> RuleSet:
    return parse_rule_set(yamlfile.parse(text, "t.yaml"), "t")


@pytest.mark.parametrize(
    ("old", "new", "line", "part"),
    [
        ("cite: none\n", "", 1, "without 'cite'"),
        ("version: 1", "version: 0", 2, "an integer from 1"),
        ("version: 1", "version: true", 2, "an integer from 1"),
        ("version: 1", "version: 1\nonnull: drop", 3, "did you mean 'on_null'?"),
        ("version: 1", "version: 1\non_null: skip", 3, "error, drop, keep"),
        ("name: t", "name: u", 1, "name is 'u' in t.yaml"),
        ('keep: "min <= n <= max"', 'keep: "min <= n"', 5, "'max' is not in its keep"),
        ('keep: "min <= n <= max", ', "", 5, "without 'keep'"),
        ("min <= n <= max", "min <= n << max", 5, "not allowed"),
        ("min <= n <= max", "min <= max", 5, "reads no signal"),
        ("min: 1", "min: one", 5, "where a number is needed"),
        ("min: 1", "min: [1, x]", 5, "a parameter is"),
        ("min: 1", "min: null", 5, "a parameter is"),
        ("min: 1", "min: {a: 1}", 5, "a parameter is"),
        ("  length:", "  Length:", 5, "rule name"),
        ("  length:", "  on_null:", 5, "rule name"),
        ("length: {", "length: 3 #{", 5, "not a mapping"),
        ("why: because", "why: 3", 5, "why is 3"),
    ],
)
def test_a_wrong_rule_set_says_file_line_and_what(old: str, new: str, line: int, part: str) -> None:
    assert old in GOOD
    with pytest.raises(RecipeError) as caught:
        parsed(GOOD.replace(old, new))
    assert caught.value.where == f"t.yaml:{line}"
    assert part in str(caught.value)


def test_a_rule_set_without_rules_is_refused() -> None:
    with pytest.raises(RecipeError, match="at least one rule"):
        rule_set({})


def test_rules_are_checked_against_the_signals_there_are() -> None:
    length, language = parsed().rules
    length.check({"n": "number", "lang": "string"})
    with pytest.raises(RecipeError, match=r"t\.yaml:5: .*reads 'n'.*did you mean 'nn'"):
        length.check({"nn": "number"})
    with pytest.raises(RecipeError, match=r"parameter 'max' hides the signal"):
        length.check({"n": "number", "max": "number"})
    with pytest.raises(RecipeError, match="is a string where a number"):
        length.check({"n": "string"})
    language.check({"lang": "string"})


def test_overrides_change_parameters_and_switch_rules_off() -> None:
    base = parsed()
    changed = base.with_overrides({"length": {"max": 7}, "language.languages": ["fr"]})
    assert [dict(rule.params) for rule in changed.rules] == [
        {"min": 1, "max": 7},
        {"languages": ("fr",)},
    ]
    assert base.rules[0].params["max"] == 5
    assert changed.with_overrides({"length.max": 7, "language": {"languages": ["fr"]}}) == changed
    assert [rule.name for rule in base.with_overrides({"length": "off"}).rules] == ["t.language"]
    assert base.with_overrides({"on_null": "drop"}).on_null == "drop"
    assert base.with_overrides({"length.keep": "min < n < max"}).rules[0].keep == "min < n < max"
    assert base.with_overrides({}) == base


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        ({"lenght": {"max": 1}}, "did you mean 'length'?"),
        ({"lenght": {}}, "did you mean 'length'?"),
        ({"length": {"maxx": 1}}, "did you mean 'max'?"),
        ({"length": 5}, "off"),
        ({"length": {"max": {"deep": 1}}}, "no parameter"),
        ({"length": {"max": "5"}}, "a number"),
        ({"length": {"max": True}}, "a number"),
        ({"language.languages": "en"}, "a list"),
        ({"length.keep": "n <= max"}, "'min' is not in its keep"),
        ({"length": {"keep": 3}}, "an expression"),
        ({"length": "off", "language": "off"}, "every rule of t is off"),
        ({"on_null": "ignore"}, "error, drop, keep"),
    ],
)
def test_wrong_overrides_say_so(overrides: dict[str, Any], part: str) -> None:
    with pytest.raises(RecipeError, match=r"^here: ") as caught:
        parsed().with_overrides(overrides, "here")
    assert part in str(caught.value)


def test_a_rule_sets_canonical_form_holds_what_decides_and_nothing_else() -> None:
    base = parsed()
    reworded = parsed(GOOD.replace("because", "for show").replace("cite: none", "cite: other"))
    assert base.to_canonical() == reworded.to_canonical()
    for change in ({"length.max": 6}, {"on_null": "keep"}, {"length": "off"}):
        assert base.with_overrides(change).to_canonical() != base.to_canonical()
    assert pickle.loads(pickle.dumps(base)) == base  # noqa: S301 (our own bytes)


# Evaluation


def test_a_row_keeps_the_first_rule_that_failed_and_the_value_it_saw() -> None:
    first = rule_set({"low": {"keep": "x >= 2"}, "flag": {"keep": "not b"}}, name="p")
    second = rule_set({"high": {"keep": "x + y <= 10"}, "word": {"keep": "s != 'z'"}}, name="q")
    verdicts = evaluate(
        [first, second],
        batch(x=[1, 2, 5, 9, 3], y=[50.0, 0, 0, 5, 0], b=[False, True, False, False, False],
              s=["a", "z", "a", "z", "z"]),
    )  # fmt: skip
    assert verdicts.rules == ("p.low", "p.flag", "q.high", "q.word")
    assert verdicts.dropped_by.to_pylist() == ["p.low", "p.flag", None, "q.high", "q.word"]
    assert verdicts.value.to_pylist() == [1.0, 1.0, None, 9.0, None]
    assert [mask[0] for mask in verdicts.failed.to_pylist()] == [0b101, 0b1010, 0, 0b1100, 0b1000]
    assert verdicts.failed.cast(pa.binary()).to_pylist() == verdicts.failed.to_pylist()
    assert tally(verdicts) == {
        "p.low": RuleTally(first=1, any=1, only=0),
        "p.flag": RuleTally(first=1, any=1, only=0),
        "q.high": RuleTally(first=1, any=2, only=0),
        "q.word": RuleTally(first=1, any=3, only=1),
    }


@pytest.mark.parametrize(("on_null", "dropped"), [("drop", [None, "t.a"]), ("keep", [None, None])])
def test_a_null_does_what_the_rule_set_says(on_null: str, dropped: list[str | None]) -> None:
    verdicts = evaluate([rule_set({"a": {"keep": "x > 0"}}, on_null)], batch(x=[1.0, None]))
    assert verdicts.dropped_by.to_pylist() == dropped
    assert verdicts.value.to_pylist() == [None, None]


def test_a_null_stops_by_default_with_rule_signal_and_rows() -> None:
    rules = rule_set({"a": {"keep": "x > 0 and y > 0"}})
    with pytest.raises(DataError, match=r"rule t\.a: no answer for 2 of 4 rows \(null: x\)"):
        evaluate([rules], batch(x=[1, None, None, None], y=[1, 1, 2, 0]))
    with pytest.raises(DataError, match="division by zero or NaN"):
        evaluate([rule_set({"a": {"keep": "1 / x > 0"}})], batch(x=[0.0]))


def test_a_null_on_a_row_dropped_before_stops_nothing() -> None:
    rules = rule_set({"words": {"keep": "n > 0"}, "mean": {"keep": "m > 1"}})
    verdicts = evaluate([rules], batch(n=[0, 3], m=[None, 2.0]))
    assert verdicts.dropped_by.to_pylist() == ["t.words", None]
    assert tally(verdicts)["t.words"] == RuleTally(1, 1, 1)


def test_empty_batches_and_no_rules_are_fine() -> None:
    rules = rule_set({"a": {"keep": "x > 0"}})
    empty = evaluate([rules], batch(x=pa.array([], pa.int64())))
    assert (len(empty.dropped_by), len(empty.failed)) == (0, 0)
    assert tally(empty) == {"t.a": RuleTally()}
    nothing = evaluate([], batch(x=[1, 2]))
    assert nothing.dropped_by.to_pylist() == [None, None]
    assert tally(nothing) == {}


@given(
    st.integers(1, 300).flatmap(
        lambda rules: st.lists(
            st.lists(st.integers(0, rules - 1), max_size=4).map(set), min_size=1, max_size=20
        ).map(lambda rows: (rules, rows))
    )
)
def test_tallies_add_up_for_any_number_of_rules(given_case: tuple[int, list[set[int]]]) -> None:
    n_rules, rows = given_case
    names = [f"r{index}" for index in range(n_rules)]
    columns = {
        f"s{index}": pa.array([index not in failing for failing in rows])
        for index in range(n_rules)
    }
    rules = rule_set({name: {"keep": f"s{index}"} for index, name in enumerate(names)})
    whole = pa.RecordBatch.from_pydict(columns)
    verdicts = evaluate([rules], whole)
    first = [f"t.r{min(failing)}" if failing else None for failing in rows]
    assert verdicts.dropped_by.to_pylist() == first
    bits = [
        {i for i in range(n_rules) if mask[i // 8] >> (i % 8) & 1}
        for mask in verdicts.failed.to_pylist()
    ]
    assert bits == rows
    counts = tally(verdicts)
    for index, name in enumerate(names):
        assert counts[f"t.{name}"] == RuleTally(
            first=first.count(f"t.{name}"),
            any=sum(index in failing for failing in rows),
            only=sum(failing == {index} for failing in rows),
        )
    assert all(part.only <= part.first <= part.any for part in counts.values())
    assert sum(part.first for part in counts.values()) == sum(map(bool, rows))
    cut = len(rows) // 2
    halves = [tally(evaluate([rules], part)) for part in (whole.slice(0, cut), whole.slice(cut))]
    assert add_tallies(halves) == counts


def test_verdicts_do_not_depend_on_how_rows_are_batched() -> None:
    rng = np.random.default_rng(7)
    whole = batch(x=rng.normal(size=1000), y=rng.integers(0, 9, 1000))
    rules = rule_set(
        {"a": {"keep": "x <= max", "max": 1}, "b": {"keep": "y not in bad", "bad": [3, 4]}}
    )
    together = evaluate([rules], whole)
    parts = [evaluate([rules], whole.slice(start, 130)) for start in range(0, 1000, 130)]
    for column in ("dropped_by", "value", "failed"):
        joined = [item for part in parts for item in getattr(part, column).to_pylist()]
        assert joined == getattr(together, column).to_pylist()
