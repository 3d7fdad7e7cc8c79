"""The stages of a corpus as a recipe states them: read, named, resolved, and put in order.

Invariant: a Stage is ready to plan: its verb and name are valid and unique in its corpus, its
configuration is typed, and rule sets have their overrides.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from . import registry
from .recipe_check import Problems, shown, validate
from .recipe_models import NAME, Dedup, Extract, Language, Source
from .recipe_patch import CORPUS_KEYS, OFF, item_name, named, stage_key
from .rulesets import RuleSet, load_rule_set
from .store.errors import RecipeError, did_you_mean
from .yamlfile import Node

TAKEN_NAMES = (*CORPUS_KEYS, "read", "dedup-across", "guard", "encode", "tokens", "buckets")
"""Keys of a corpus, and stages that every recipe has of its own."""


@dataclass(frozen=True)
class Tag:
    """`tag`: signal families to compute, by name."""

    families: tuple[str, ...]

    def to_canonical(self) -> dict[str, Any]:
        """Plain values."""
        return {"families": list(self.families)}


@dataclass(frozen=True)
class TransformUse:
    """A transform and its options, an instance of the transform's own options class."""

    name: str
    options: Any

    def to_canonical(self) -> dict[str, Any]:
        """Plain values, defaults filled in."""
        return {"name": self.name, "options": dataclasses.asdict(self.options)}


@dataclass(frozen=True)
class Transform:
    """`transform`: transforms in order."""

    transforms: tuple[TransformUse, ...]

    def to_canonical(self) -> dict[str, Any]:
        """Plain values."""
        return {"transforms": [part.to_canonical() for part in self.transforms]}


@dataclass(frozen=True)
class Filter:
    """`filter`: rule sets in order, overrides applied."""

    rule_sets: tuple[RuleSet, ...]

    @property
    def signals(self) -> tuple[str, ...]:
        """Signals its rules read, each once, in order."""
        return tuple(dict.fromkeys(name for part in self.rule_sets for name in part.signals))

    def to_canonical(self) -> dict[str, Any]:
        """Plain values of all that decides a verdict."""
        return {"rule_sets": [part.to_canonical() for part in self.rule_sets]}


StageConfig: TypeAlias = Extract | Language | Tag | Transform | Filter | Dedup


@dataclass(frozen=True)
class Stage:
    """A stage of a corpus.

    Attributes:
        name: the verb, or what follows `as`; unique in its corpus.
        where: its place in the recipe.
    """

    verb: str
    name: str
    config: StageConfig
    where: str

    def to_canonical(self) -> dict[str, Any]:
        """Plain values, defaults filled in."""
        return {"verb": self.verb, "name": self.name, "config": self.config.to_canonical()}


@dataclass
class Reader:
    """Reads stages; remembers rule sets between the arms of one recipe."""

    problems: Problems
    _rule_sets: dict[str, RuleSet] = field(default_factory=dict)

    def stages(self, node: Node, path: str) -> tuple[Stage, ...]:
        """All stages of the list at `path` (`corpora.<name>`) that are not off."""
        if node.items is None:
            what, do = f"{path}.stages is {shown(node.plain())}", "write `- verb: options` lines"
            self.problems.add(node.where, what, allowed="allowed: a list of stages", do=do)
            return ()
        names: set[str] = set()
        found = [self._stage(item, path, names) for item in node.items]
        return tuple(stage for stage in found if stage is not None)

    def _stage(self, item: Node, path: str, names: set[str]) -> Stage | None:
        entry = named(item)
        if entry is None:
            what = f"{path}: a stage is {shown(item.plain())}"
            self.problems.add(
                item.where, what, allowed="allowed: `verb: options`, one verb to a stage"
            )
            return None
        (verb, name), node = stage_key(entry[0]), entry[1]
        if verb not in VERBS:
            what = f"{path} has no verb {verb!r}"
            self.problems.add(item.where, what, allowed=did_you_mean(verb, VERBS))
            return None
        if not NAME.match(name) or name in TAKEN_NAMES:
            allowed = f"allowed: a-z, 0-9 and -, not {', '.join(TAKEN_NAMES)}"
            self.problems.add(item.where, f"{path}: stage name {name!r}", allowed=allowed)
        if name in names:
            what, do = f"{path} has two stages named {name!r}", f"write `{verb} as <name>:`"
            self.problems.add(item.where, what, do=do)
        names.add(name)
        if node is not None and node.value == OFF:
            return None
        config = VERBS[verb](self, node or Node({}, item.where), f"{path}.{name}")
        return Stage(verb, name, config, item.where) if config is not None else None

    def extract(self, node: Node, path: str) -> Extract | None:
        """Configuration of `extract`."""
        config = validate(Extract, _block(node), path, self.problems)
        if config is not None:
            where, tool = _block(node).locate(["tool"]), config.tool
            self.problems.attempt(lambda: registry.EXTRACTORS.get(tool, where))
        return config

    def language(self, node: Node, path: str) -> Language | None:
        """Configuration of `language`."""
        return validate(Language, _block(node), path, self.problems)

    def dedup(self, node: Node, path: str) -> Dedup | None:
        """Configuration of `dedup`."""
        return validate(Dedup, _block(node), path, self.problems)

    def tag(self, node: Node, path: str) -> Tag | None:
        """Configuration of `tag`: a list of families."""
        families = []
        for item in self._list(node, path):
            if not isinstance(item.value, str):
                self.problems.add(item.where, f"{path}: {shown(item.plain())} is not a name")
            elif item.value == "language":
                do = "write a `language` stage"
                self.problems.add(item.where, f"{path}: 'language' is a verb of its own", do=do)
            elif self.problems.attempt(lambda item=item: _family(item)):  # type: ignore[misc]
                families.append(item.value)
        return Tag(tuple(families))

    def transform(self, node: Node, path: str) -> Transform | None:
        """Configuration of `transform`: a list of transforms with options."""
        found = []
        for name, options in self._named_items(node, path):
            use = self.problems.attempt(
                lambda name=name, options=options: _transform(name, options, path)  # type: ignore[misc]
            )
            if use is not None:
                found.append(use)
        return Transform(tuple(found))

    def filter(self, node: Node, path: str) -> Filter | None:
        """Configuration of `filter`: a list of rule sets with overrides."""
        found = []
        for name, overrides in self._named_items(node, path):
            rule_set = self.problems.attempt(
                lambda name=name, overrides=overrides: self._rule_set(name, overrides)  # type: ignore[misc]
            )
            if rule_set is not None:
                found.append(rule_set)
        return Filter(tuple(found))

    def _rule_set(self, name: str, overrides: Node) -> RuleSet:
        if name not in self._rule_sets:
            self._rule_sets[name] = load_rule_set(name, where=overrides.where)
        rule_set = self._rule_sets[name]
        if overrides.value is not None:
            rule_set = rule_set.with_overrides(overrides)
        return rule_set

    def _list(self, node: Node, path: str) -> Sequence[Node]:
        if not node.items:
            what = f"{path} is {shown(node.plain())}"
            self.problems.add(node.where, what, allowed="allowed: a list of at least one name")
        return node.items or ()

    def _named_items(self, node: Node, path: str) -> Sequence[tuple[str, Node]]:
        """(key, value) of the items that are not off; None stands for no value."""
        found, names = [], set()
        for item in self._list(node, path):
            entry = named(item)
            if entry is None:
                what = f"{path}: {shown(item.plain())} is neither a name nor one name with options"
                self.problems.add(item.where, what, allowed="allowed: `name` or `name: {options}`")
                continue
            key, value = entry
            if item_name(key) in names:
                self.problems.add(item.where, f"{path} lists {item_name(key)!r} twice")
            names.add(item_name(key))
            if value is None or value.value != OFF:
                found.append((key, value or Node(None, item.where)))
        if names and not found:
            do = f"set {path}: off"
            self.problems.add(node.where, f"everything in {path} is off", do=do)
        return found


VERBS = {
    "extract": Reader.extract,
    "language": Reader.language,
    "tag": Reader.tag,
    "transform": Reader.transform,
    "filter": Reader.filter,
    "dedup": Reader.dedup,
}


def _block(node: Node) -> Node:
    """A block left empty is a mapping without entries."""
    return Node({}, node.where) if node.value is None else node


def _family(item: Node) -> bool:
    registry.FAMILIES.get(str(item.value), item.where)
    return True


def _transform(name: str, options: Node, path: str) -> TransformUse:
    kind = registry.TRANSFORMS.get(name, options.where).options
    entries = _block(options).mapping
    if entries is None:
        raise RecipeError(options.where, f"{path}.{name} is {shown(options.plain())}")
    defaults = dataclasses.asdict(kind())
    for key, node in entries.items():
        if key not in defaults:
            allowed = did_you_mean(key, defaults)
            raise RecipeError(node.where, f"unknown key {path}.{name}.{key}", allowed=allowed)
        _check_type(f"{path}.{name}.{key}", node, defaults[key])
    try:
        return TransformUse(name, kind(**{key: node.plain() for key, node in entries.items()}))
    except RecipeError as error:
        what = f"{path}.{name}: {error.where}: {error.what}"
        raise RecipeError(options.where, what, allowed=error.allowed, do=error.do) from None


def _check_type(dotted: str, node: Node, default: object) -> None:
    wanted = (int, float) if isinstance(default, float) else (type(default),)
    if type(node.plain()) not in wanted:
        allowed = f"allowed: a {wanted[-1].__name__}"
        raise RecipeError(node.where, f"{dotted} is {shown(node.plain())}", allowed=allowed)


def check_order(
    stages: Sequence[Stage], source: Source, path: str, where: str, problems: Problems
) -> None:
    """What a stage needs above it: pages are extracted first, and only pages."""
    kind = source.kind
    if source.sample is not None:
        kind = registry.SAMPLES.get(source.sample, where)
    for index, stage in enumerate(stages):
        if stage.verb == "extract" and (index or kind != "warc"):
            what = f"{path}.{stage.name} must be the first stage, of a WARC source"
            do = "move it up" if kind == "warc" else f"remove it: a {kind} source holds text"
            problems.add(stage.where, what, do=do)
    if kind == "warc" and not any(stage.verb == "extract" for stage in stages):
        do = "begin its stages with `- extract: {tool: trafilatura}`"
        problems.add(where, f"{path} reads pages but has no 'extract'", do=do)


def plain_mapping(values: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping of objects with `to_canonical` as plain values."""
    return {name: value.to_canonical() for name, value in values.items()}
