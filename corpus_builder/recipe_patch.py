"""Patches: dotted paths into a recipe as written, for arms and for `--set`.

Invariant: patching a recipe gives a recipe, of the same grammar, every changed part remembering
where the change came from; a mapping merges into a mapping key by key, anything else replaces;
applying a patch twice changes nothing more.

A path names stages, rule sets and transforms by their names, although they stand in lists:
`corpora.web.filter.gopher.mean_word_length.max`. `off` as the value switches off what can be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from . import bundled
from .recipe_mix import CUT_KINDS, MIX_KINDS
from .recipe_models import COLUMN_OPTIONS, SOURCE_KINDS
from .store.errors import RecipeError, did_you_mean
from .yamlfile import Node

CORPUS_KEYS = ("source", "stages", "documents")
NAMED_LISTS = ("filter", "transform")
OFF = "off"

Steps: TypeAlias = tuple[str, ...]


def patch(tree: Node, path: str, value: Node) -> Node:
    """The recipe with what `path` names set to `value`.

    Args:
        tree: a recipe as written.
        path: names joined by dots.
        value: a mapping merges into a mapping (its keys may be dotted); anything else replaces.

    Raises:
        RecipeError: the path leads nowhere; `where` is the value's.
    """
    steps = tuple(path.split("."))
    if not all(steps):
        raise RecipeError(
            value.where, f"{path!r} is not a dotted path", allowed="allowed: names and dots"
        )
    return _set(tree, steps, value, ())


def patch_all(tree: Node, changes: Mapping[str, Node]) -> Node:
    """Apply several patches, in order."""
    for path, value in changes.items():
        tree = patch(tree, path, value)
    return tree


def stage_key(key: str) -> tuple[str, str]:
    """(verb, name) of a stage's key: `filter` or `filter as strict`."""
    verb, found, name = key.partition(" as ")
    return verb.strip(), name.strip() if found else verb.strip()


def item_name(key: str) -> str:
    """The name that addresses an item of a filter or transform list: a path's stem, or itself."""
    return Path(key).stem if bundled.is_path(key) else key


def named(item: Node) -> tuple[str, Node | None] | None:
    """(key, value) of an item written `key` or `{key: value}`; None if it is neither."""
    if isinstance(item.value, str):
        return item.value, None
    if item.mapping is not None and len(item.mapping) == 1:
        return next(iter(item.mapping.items()))
    return None


def _set(node: Node, steps: Steps, value: Node, at: Steps) -> Node:
    """`node`, which lies at `at`, with what `steps` name below it set."""
    if not steps:
        return _merge(node, value, at)
    if len(at) == 2 and at[0] == "corpora" and steps[0] not in CORPUS_KEYS:
        return _set_stage(node, steps, value, at)
    if node.items is not None and _is_named_list(at):
        return _set_item(node, steps, value, at)
    if node.mapping is None and at == ("tokenizer",) and isinstance(node.value, str):
        node = Node({"path": node}, node.where)
    if node.mapping is None and node.value not in (None, OFF):
        shown, whole = _dotted((*at, *steps)), _dotted(at)
        what = f"{shown} leads into {whole}, which is {_shown(node)}"
        raise RecipeError(value.where, what, do=f"set {whole} as a whole")
    entries = dict(_expanded(node).mapping or {})
    below = entries.get(steps[0])
    if at == ("corpora",) and below is None and (len(steps) > 1 or not _is_corpus(value)):
        what, do = f"there is no corpus {steps[0]!r}", "to add one, set it as a whole"
        raise RecipeError(value.where, what, allowed=did_you_mean(steps[0], entries), do=do)
    start = Node({}, value.where) if below is None and len(steps) > 1 else below
    changed = value if start is None else _set(start, steps[1:], value, (*at, steps[0]))
    if start is None and value.mapping is not None:
        changed = _expanded(value)
    entries[steps[0]] = changed
    return Node(_without_rivals(entries, steps[0], at), node.where)


def _is_corpus(value: Node) -> bool:
    """Whether it may stand for a corpus of its own; what is no mapping is refused elsewhere."""
    return value.mapping is None or "source" in (_expanded(value).mapping or {})


def _merge(node: Node, value: Node, at: Steps) -> Node:
    if value.mapping is None:
        return value
    mergeable = node.mapping is not None or (node.items is not None and _is_named_list(at))
    if not mergeable:
        return _expanded(value)
    for key, part in value.mapping.items():
        node = _set(node, tuple(key.split(".")), part, at)
    return node


def _expanded(node: Node) -> Node:
    """A mapping with dotted keys spelt out as nested mappings."""
    if node.mapping is None or not any("." in key for key in node.mapping):
        return node
    whole = Node({}, node.where)
    for key, part in node.mapping.items():
        whole = _set(whole, tuple(key.split(".")), part, ("",))
    return whole


def _is_named_list(at: Steps) -> bool:
    """Whether the list there is one of named items; `at` holds a stage's key at its third step."""
    return len(at) == 3 and at[0] == "corpora" and stage_key(at[2])[0] in NAMED_LISTS


def _set_stage(corpus: Node, steps: Steps, value: Node, at: Steps) -> Node:
    name, entries = steps[0], dict(corpus.mapping or {})
    stages = entries.get("stages")
    if stages is None or stages.items is None:
        raise RecipeError(value.where, f"{'.'.join(at)} has no list of stages for {name!r}")

    def change(key: str, config: Node | None) -> Node:
        if config is None or config.value is None:
            config = Node({}, value.where)
        return _set(config, steps[1:], value, (*at, key))

    names = [stage_key(found[0])[1] for item in stages.items if (found := named(item))]
    if name not in names:
        allowed = did_you_mean(name, [*names, *CORPUS_KEYS])
        do = "to add a stage, set the list 'stages' as a whole"
        raise RecipeError(value.where, f"{'.'.join(at)} has no {name!r}", allowed=allowed, do=do)
    items = _change_item(stages.items, lambda key: stage_key(key)[1] == name, change)
    entries["stages"] = Node(items, stages.where)
    return Node(entries, corpus.where)


def _set_item(items: Node, steps: Steps, value: Node, at: Steps) -> Node:
    name, parts = steps[0], items.items or ()
    names = [item_name(found[0]) for item in parts if (found := named(item))]

    def change(key: str, options: Node | None) -> Node:
        if options is None or options.value is None:
            options = Node({}, value.where)
        return _set(options, steps[1:], value, (*at, key))

    if name not in names:
        shown = _dotted(at)
        allowed, do = did_you_mean(name, names), f"to add one, set the list {shown} as a whole"
        raise RecipeError(value.where, f"{shown} has no {name!r}", allowed=allowed, do=do)
    return Node(_change_item(parts, lambda key: item_name(key) == name, change), items.where)


def _change_item(
    items: Sequence[Node], wanted: Callable[[str], bool], change: Callable[[str, Node | None], Node]
) -> tuple[Node, ...]:
    changed = []
    for item in items:
        found = named(item)
        if found is not None and wanted(found[0]):
            changed.append(Node({found[0]: change(*found)}, item.where))
        else:
            changed.append(item)
    return tuple(changed)


def _without_rivals(entries: dict[str, Node], key: str, at: Steps) -> dict[str, Node]:
    """What setting `key` takes away: the other kinds of a source, the other way to a tokenizer,
    to weights or to buckets."""
    rivals: set[str] = set()
    if len(at) == 3 and at[0] == "corpora" and at[2] == "source" and key in SOURCE_KINDS:
        rivals = set(SOURCE_KINDS)
        if (rivals - {key}) & entries.keys() and key in ("warc", "sample"):
            rivals |= set(COLUMN_OPTIONS)
    elif at == ("tokenizer",) and key in ("path", "train"):
        rivals = {"path", "train"} if key == "path" else {"path", "train", "eos"}
    elif at == ("mix",) and key in MIX_KINDS:
        rivals = set(MIX_KINDS)
    elif len(at) == 3 and at[:2] == ("mix", "buckets") and key in CUT_KINDS:
        rivals = set(CUT_KINDS)
    return {name: node for name, node in entries.items() if name not in rivals - {key}}


def _dotted(at: Steps) -> str:
    """A path as a user writes it: stages by their names."""
    return ".".join((*at[:2], *(stage_key(step)[1] for step in at[2:3]), *at[3:]))


def _shown(node: Node) -> str:
    return "a list" if node.items is not None else repr(node.value)
