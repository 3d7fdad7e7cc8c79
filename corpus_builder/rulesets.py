"""Rule sets: named keep-expressions over signal columns, read from YAML, with overrides.

Invariant: a rule set that was read can be evaluated: every parameter is used, kinds fit, and a
rule reads signals and its own parameters, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from . import bundled, expressions, yamlfile
from .expressions import ExpressionError, Kind, Param, kind_of
from .store.errors import RecipeError, did_you_mean
from .yamlfile import Node

OnNull: TypeAlias = Literal["error", "drop", "keep"]

_ON_NULL: tuple[OnNull, ...] = ("error", "drop", "keep")
_KEYS = ("name", "version", "cite", "note", "on_null", "rules")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_WORD = re.compile(r"[a-z][a-z0-9_]*\Z")


@dataclass(frozen=True)
class Rule:
    """A yes-or-no question whose yes keeps a document.

    Attributes:
        name: `<rule set>.<rule>`, what verdicts carry.
        keep: the expression.
        params: its parameters.
        signals: the other names it reads, in the order written.
        why: free text.
        where: its place in the rule set's file.
    """

    name: str
    keep: str
    params: Mapping[str, Param]
    signals: tuple[str, ...]
    why: str
    where: str

    def check(self, kinds: Mapping[str, Kind]) -> None:
        """Refuse a rule whose signals are unknown or do not fit its expression.

        Args:
            kinds: kind of every signal there is.

        Raises:
            RecipeError: naming the rule and the signal.
        """
        for name in self.signals:
            if name not in kinds:
                what = f"rule {self.name} reads {name!r}, which no signal family adds"
                raise RecipeError(self.where, what, allowed=did_you_mean(name, kinds))
        for name in self.params:
            if name in kinds:
                what = f"rule {self.name}: parameter {name!r} hides the signal of that name"
                raise RecipeError(self.where, what, do="rename the parameter")
        _check_kinds(self, {name: kinds[name] for name in self.signals})

    def changed(self, key: str, value: Node) -> Rule:
        """This rule with one parameter, or `keep`, replaced by a value of the same kind."""
        plain = value.plain()
        if key == "keep":
            return _rule(self.name, plain, self.params, self.why, value.where)
        if key not in self.params:
            what = f"rule {self.name} has no parameter {key!r}"
            raise RecipeError(value.where, what, allowed=did_you_mean(key, self.params))
        old, new = kind_of(self.params[key]), kind_of(_param(plain, value.where))
        if old != new:
            raise RecipeError(
                value.where, f"{self.name}.{key} is {plain!r}", allowed=f"allowed: a {old}"
            )
        changed = replace(self, params={**self.params, key: plain})
        _check_kinds(changed, {})
        return changed


@dataclass(frozen=True)
class RuleSet:
    """Rules in order, and what a null means to them.

    Attributes:
        on_null: what a rule without an answer does: `error` stops, `drop` and `keep` decide.
        where: its file.
    """

    name: str
    version: int
    cite: str
    note: str
    on_null: OnNull
    rules: tuple[Rule, ...]
    where: str

    @property
    def signals(self) -> tuple[str, ...]:
        """Signals its rules read, each once, in order."""
        return tuple(dict.fromkeys(name for rule in self.rules for name in rule.signals))

    def with_overrides(
        self, overrides: Mapping[str, Any] | Node, where: str = "overrides"
    ) -> RuleSet:
        """This rule set with parameters changed (`{rule: {param: value}}`, or dotted keys).

        A rule set to `off` is left out; `on_null` may be changed too.

        Raises:
            RecipeError: there is no such rule or parameter, or the value is of another kind.
        """
        tree = overrides if isinstance(overrides, Node) else yamlfile.node_of(overrides, where)
        changed = self
        for path, value in _leaves(tree):
            changed = changed._override(path, value)
        if not changed.rules:
            raise RecipeError(tree.where, f"every rule of {self.name} is off", do="leave it out")
        return changed

    def _override(self, path: tuple[str, ...], value: Node) -> RuleSet:
        head, rest, rules = path[0], path[1:], {rule.name: rule for rule in self.rules}
        if head == "on_null" and not rest:
            return replace(self, on_null=_on_null(value))
        rule = rules.get(f"{self.name}.{head}")
        if rule is None:
            what = f"rule set {self.name} has no rule {head!r}"
            allowed = did_you_mean(head, [*_short(self), "on_null"])
            raise RecipeError(value.where, what, allowed=allowed)
        if not rest and value.mapping is not None:
            return self
        if not rest and value.value == "off":
            return replace(self, rules=tuple(part for part in self.rules if part is not rule))
        if len(rest) != 1:
            shown = ".".join((self.name, *path))
            allowed = (
                f"allowed: {self.name}.{head}.<{'|'.join(['keep', *rule.params])}>: value, or off"
            )
            raise RecipeError(value.where, f"{shown} is no parameter of a rule", allowed=allowed)
        rules[rule.name] = rule.changed(rest[0], value)
        return replace(self, rules=tuple(rules.values()))

    def to_canonical(self) -> dict[str, Any]:
        """Plain values of all that decides a verdict, for fingerprints."""
        rules = [
            {"name": rule.name, "keep": rule.keep, "params": _plain_params(rule.params)}
            for rule in self.rules
        ]
        return {
            "name": self.name,
            "version": self.version,
            "on_null": self.on_null,
            "rules": rules,
        }


def _plain_params(params: Mapping[str, Param]) -> dict[str, Any]:
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in sorted(params.items())
    }


def _short(rule_set: RuleSet) -> list[str]:
    return [rule.name.partition(".")[2] for rule in rule_set.rules]


def _leaves(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
    if node.mapping is None:
        if not path:
            raise RecipeError(node.where, "overrides of a rule set are a mapping")
        yield path, node
        return
    if path and not node.mapping:
        yield path, node
    for key, value in node.mapping.items():
        yield from _leaves(value, (*path, *key.split(".")))


def load_rule_set(name: str, *, where: str = "") -> RuleSet:
    """Read a rule set by name (see `bundled.find`) or path.

    Args:
        where: place to name when there is no such file.

    Raises:
        RecipeError: there is none, or its file is wrong; with `file:line`.
    """
    path = bundled.find("filters", name, where=where)
    return parse_rule_set(yamlfile.load(path), Path(path).stem)


def parse_rule_set(tree: Node, stem: str) -> RuleSet:
    """A rule set from its file's tree; `stem` is the file's name, which its `name` must be."""
    entries = _mapping(tree, "a rule set")
    for key, node in entries.items():
        if key not in _KEYS:
            raise RecipeError(node.where, f"unknown key {key!r}", allowed=did_you_mean(key, _KEYS))
    for key in ("name", "version", "cite", "rules"):
        if key not in entries:
            raise RecipeError(tree.where, f"rule set without {key!r}", do=f"add {key}:")
    name = _text(entries["name"], "name")
    if name != stem or not _NAME.match(name):
        allowed = "allowed: the file's name, of a-z, 0-9 and -"
        raise RecipeError(
            entries["name"].where, f"name is {name!r} in {stem}.yaml", allowed=allowed
        )
    version = entries["version"].value
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise RecipeError(
            entries["version"].where, "version", allowed="allowed: an integer from 1 on"
        )
    rules = _mapping(entries["rules"], "rules")
    if not rules:
        raise RecipeError(entries["rules"].where, "a rule set needs at least one rule")
    return RuleSet(
        name=name,
        version=version,
        cite=_text(entries["cite"], "cite"),
        note=_text(entries["note"], "note") if "note" in entries else "",
        on_null=_on_null(entries["on_null"]) if "on_null" in entries else "error",
        rules=tuple(_parse_rule(name, key, node) for key, node in rules.items()),
        where=tree.where.rpartition(":")[0],
    )


def _parse_rule(rule_set: str, key: str, node: Node) -> Rule:
    entries = dict(_mapping(node, f"rule {key}"))
    if not _WORD.match(key) or key == "on_null":
        raise RecipeError(
            node.where, f"rule name {key!r}", allowed="allowed: a-z, 0-9 and _, not on_null"
        )
    keep = entries.pop("keep", None)
    if keep is None:
        raise RecipeError(node.where, f"rule {key} without 'keep'", do="add keep: <expression>")
    why = entries.pop("why", None)
    for name, value in entries.items():
        if not _WORD.match(name):
            raise RecipeError(
                value.where, f"parameter name {name!r}", allowed="allowed: a-z, 0-9 and _"
            )
    params = {name: _param(value.plain(), value.where) for name, value in entries.items()}
    text = _text(why, "why") if why else ""
    return _rule(f"{rule_set}.{key}", keep.plain(), params, text, node.where)


def _rule(name: str, keep: object, params: Mapping[str, Param], why: str, where: str) -> Rule:
    if not isinstance(keep, str):
        raise RecipeError(
            where, f"rule {name}: keep is {keep!r}", allowed="allowed: an expression (quoted)"
        )
    try:
        names = expressions.names_in(keep)
    except ExpressionError as error:
        raise RecipeError(where, f"rule {name}: {error}") from None
    for param in params:
        if param not in names:
            what = f"rule {name}: parameter {param!r} is not in its keep expression"
            raise RecipeError(
                where, what, allowed=did_you_mean(param, names), do="use or remove it"
            )
    signals = tuple(part for part in names if part not in params)
    if not signals:
        raise RecipeError(where, f"rule {name} reads no signal")
    rule = Rule(name, keep, dict(params), signals, why, where)
    _check_kinds(rule, {})
    return rule


def _check_kinds(rule: Rule, signals: Mapping[str, Kind]) -> None:
    kinds = {name: kind_of(value) for name, value in rule.params.items()}
    try:
        expressions.check_kinds(rule.keep, {**kinds, **signals})
    except ExpressionError as error:
        raise RecipeError(rule.where, f"rule {rule.name}: {error}") from None


def _mapping(node: Node, what: str) -> Mapping[str, Node]:
    if node.mapping is None:
        raise RecipeError(
            node.where, f"{what} is not a mapping", allowed="allowed: key: value lines"
        )
    return node.mapping


def _text(node: Node, key: str) -> str:
    if not isinstance(node.value, str) or not node.value.strip():
        raise RecipeError(node.where, f"{key} is {node.plain()!r}", allowed="allowed: text")
    return node.value


def _on_null(node: Node) -> OnNull:
    for choice in _ON_NULL:
        if node.value == choice:
            return choice
    raise RecipeError(
        node.where, f"on_null is {node.plain()!r}", allowed="allowed: error, drop, keep"
    )


def _param(value: object, where: str) -> Param:
    parts = value if isinstance(value, tuple) else (value,)
    scalars = tuple(part for part in parts if isinstance(part, str | int | float))
    if not parts or len(scalars) != len(parts) or len({kind_of(part) for part in scalars}) > 1:
        allowed = "allowed: a number, string, true, false, or a list of one of these"
        raise RecipeError(where, f"a parameter is {value!r}", allowed=allowed)
    return scalars if isinstance(value, tuple) else scalars[0]
