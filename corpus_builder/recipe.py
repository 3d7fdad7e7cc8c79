"""A recipe: corpora, mix and trial, read from YAML, complete and checked before any work starts.

Invariant: a Recipe that exists is valid: types, ranges, names, the order of stages, and every arm
of its trial. What is wrong is one RecipeError with a line for each problem, `file:line` first.
Relative paths in a recipe are relative to the working directory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from . import bundled, registry, yamlfile
from .recipe_arithmetic import check_arithmetic
from .recipe_check import Problems, shown, validate
from .recipe_mix import Mix
from .recipe_models import (
    NAME,
    CrossDedup,
    Documents,
    Heldout,
    Model,
    Source,
    Tokenizer,
)
from .recipe_patch import CORPUS_KEYS, OFF, patch_all
from .recipe_signals import SignalCheck, check_scores
from .recipe_stages import VERBS, Reader, Stage, check_order
from .recipe_trial import BASE_ARM, FIXED, Trial, arm_nodes, check_arm, check_trial
from .store.errors import RecipeError, did_you_mean
from .yamlfile import Node

M = TypeVar("M", bound=Model)

KEYS = ("name", "description", "corpora", "dedup", "heldout", "tokenizer", "mix", "trial")


@dataclass(frozen=True)
class Corpus:
    """Documents of one domain: a source, its stages in order, and what its Parquet carries."""

    name: str
    source: Source
    stages: tuple[Stage, ...]
    documents: Documents
    where: str

    def to_canonical(self) -> dict[str, Any]:
        """Plain values, defaults filled in."""
        return {
            "source": self.source.to_canonical(),
            "stages": [stage.to_canonical() for stage in self.stages],
            "documents": self.documents.to_canonical(),
        }


@dataclass(frozen=True)
class Recipe:
    """A whole recipe.

    Attributes:
        corpora: by name, in the recipe's order.
        dedup: across corpora, if any.
        mix: None for a recipe that makes documents only.
        tree: the recipe as written (patches applied), for patches and places.
    """

    name: str
    description: str
    corpora: Mapping[str, Corpus]
    dedup: CrossDedup | None
    heldout: Heldout | None
    tokenizer: Tokenizer
    mix: Mix | None
    trial: Trial | None
    tree: Node = field(repr=False, compare=False)

    def to_canonical(self) -> dict[str, Any]:
        """All that decides what is built, as plain JSON values with defaults filled in."""
        blocks = {"dedup": self.dedup, "heldout": self.heldout, "mix": self.mix}
        return {
            "name": self.name,
            "corpora": {name: corpus.to_canonical() for name, corpus in self.corpora.items()},
            **{key: block.to_canonical() if block else None for key, block in blocks.items()},
            "tokenizer": self.tokenizer.to_canonical(),
            "trial": self.trial.to_canonical() if self.trial else None,
        }

    def with_patch(self, changes: Mapping[str, Any], where: str = "patch") -> Recipe:
        """This recipe with `{dotted path: value}` applied in order.

        Raises:
            RecipeError: a path leads nowhere, or the patched recipe is not valid.
        """
        patches = yamlfile.node_of(changes, where).mapping or {}
        return _read(patch_all(self.tree, patches))

    def scored_as(self, name: str) -> list[list[str]]:
        """Paths of what models are scored on under a name: a corpus, a set of own texts."""
        own = self.heldout.texts if self.heldout else {}
        places = (["corpora"], self.corpora), (["heldout", "texts"], own)
        return [[*path, name] for path, named in places if name in named]

    def arm(self, name: str) -> Recipe:
        """The recipe of an arm of the trial, or of BASE_ARM; it has no trial of its own.

        Raises:
            RecipeError: there is no such arm.
        """
        arms = self.trial.arms if self.trial else {}
        if name not in (*arms, BASE_ARM):
            what = f"recipe {self.name} has no arm {name!r}"
            raise RecipeError(self.tree.where, what, allowed=did_you_mean(name, [*arms, BASE_ARM]))
        changes = arm_nodes(self.tree)[name] if name != BASE_ARM else {}
        return _read(patch_all(_without_trial(self.tree), changes), whole=False)


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by name (see `bundled.find`) or path.

    Args:
        overrides: `dotted.path=value` each, the value in YAML; applied in order.

    Raises:
        RecipeError: everything that is wrong, a line each.
    """
    name = str(path)
    file = path if isinstance(path, Path) else bundled.find("pipelines", name)
    tree = yamlfile.load(file)
    if tree.mapping is None:
        do = "begin it with `name: ...`"
        raise RecipeError(
            tree.where, "a recipe is a mapping", allowed="allowed: " + ", ".join(KEYS), do=do
        )
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise RecipeError(
                f"--set {text}", "has no value", allowed="allowed: --set dotted.path=value"
            )
        tree = _overridden(tree, key, yamlfile.parse(value, f"--set {key}", lines=False))
    return _read(tree)


def _overridden(tree: Node, key: str, value: Node) -> Node:
    """The recipe with `key` set; what changes nothing may be a slip: {} (mappings merge), `off`
    for an arm that is not there."""
    if key.startswith("trial.arms.") and value.value == OFF:
        arms, name = tree.keys("trial", "arms"), key.removeprefix("trial.arms.")
        if "." not in name and name not in arms:
            what = f"there is no arm {name!r} to leave out"
            raise RecipeError(value.where, what, allowed=did_you_mean(name, arms))
    found = patch_all(tree, {key: value})
    if value.mapping is not None and not value.mapping and found.plain() == tree.plain():
        what = "{} is merged into what is there, and so changes nothing"
        do = f"to take a part away: --set {key}.<name>=off, where it can be off"
        raise RecipeError(value.where, what, do=do)
    return found


def _read(tree: Node, *, whole: bool = True) -> Recipe:
    """The recipe of a tree, checked; not `whole`: an arm, whose mix is never made, only read."""
    problems = Problems()
    reader = Reader(problems)
    recipe = _Builder(reader).recipe(tree)
    problems.raise_any()
    if whole:
        _check_budgets(recipe, problems)
        problems.raise_any()
    if recipe.trial:
        _check_arms(recipe, reader)
        problems.raise_any()
    return recipe


def _check_budgets(recipe: Recipe, problems: Problems) -> None:
    """What the mix comes to, in its own budget and in that of a trial's runs."""
    if recipe.mix is None:
        return
    check_arithmetic(recipe.mix, recipe.mix.tokens, "mix.tokens", recipe.tree, problems)
    if recipe.trial is not None:
        _check_runs(recipe, recipe.trial, problems)


def _check_runs(recipe: Recipe, trial: Trial, problems: Problems) -> None:
    """What the mix of a base or an arm comes to in a trial's runs."""
    if recipe.mix is not None and trial.tokens is not None:
        check_arithmetic(recipe.mix, trial.tokens, "trial.tokens", recipe.tree, problems)
    elif recipe.mix is not None:
        check_arithmetic(recipe.mix, recipe.mix.tokens, "mix.tokens", recipe.tree, problems)


def _without_trial(tree: Node) -> Node:
    entries = {key: node for key, node in (tree.mapping or {}).items() if key != "trial"}
    return Node(entries, tree.where)


def _check_arms(recipe: Recipe, reader: Reader) -> None:
    """Every arm's patch applies, gives a valid recipe, and changes something."""
    problems, base = reader.problems, {**recipe.to_canonical(), "trial": None}
    arms = recipe.tree.locate(["trial", "arms"])
    for name, changes in arm_nodes(recipe.tree).items():
        where = next((node.where for node in changes.values()), arms)
        problems.prefix = f"arm {name!r}: "
        before = len(problems.found)
        for path, node in changes.items():
            if path.partition(".")[0] in FIXED:
                do = "all arms share it"
                problems.add(node.where, f"{path} cannot differ between arms", do=do)
        tree = problems.attempt(
            lambda changes=changes: patch_all(_without_trial(recipe.tree), changes)  # type: ignore[misc]
        )
        if tree is None or len(problems.found) > before:
            continue
        patched = _Builder(reader).recipe(tree)
        if len(problems.found) == before:
            check_arm(recipe, name, patched, problems)
        if len(problems.found) == before and recipe.trial is not None:
            _check_runs(patched, recipe.trial, problems)
        if len(problems.found) == before and patched.to_canonical() == base:
            problems.add(where, "changes nothing", do="remove it; A/A arms are the trial's own")
    problems.prefix = ""


def _named_weights(mix: Mix | None) -> list[tuple[tuple[str | int, ...], Mapping[str, Any]]]:
    """Where in the recipe corpora are named in the mix, with what they are given."""
    if mix is None:
        return []
    found: list[tuple[tuple[str | int, ...], Mapping[str, Any]]] = []
    if mix.weights is not None:
        found.append((("mix", "weights"), mix.weights))
    for index, step in enumerate(mix.stages or ()):
        found.append((("mix", "stages", index, "weights"), step.weights))
    if isinstance(mix.max_epochs, dict):
        found.append((("mix", "max_epochs"), mix.max_epochs))
    if mix.buckets is not None:
        found.append((("mix", "buckets"), mix.buckets))
    return found


class _Builder:
    """Makes a Recipe of a tree; where it notes problems, the result is not to be used."""

    def __init__(self, reader: Reader) -> None:
        self._reader, self._problems = reader, reader.problems

    def recipe(self, tree: Node) -> Recipe:
        entries = tree.mapping or {}
        self._check_keys(entries, KEYS, "")
        for key in ("name", "corpora"):
            if key not in entries:
                self._problems.add(tree.where, f"missing key {key}", do=f"add {key}:")
        corpora = self._corpora(entries["corpora"]) if "corpora" in entries else {}
        recipe = Recipe(
            name=self._name(entries.get("name")),
            description=self._description(entries.get("description")),
            corpora=corpora,
            dedup=self._block(CrossDedup, entries, "dedup"),
            heldout=self._block(Heldout, entries, "heldout"),
            tokenizer=self._block(Tokenizer, entries, "tokenizer") or Tokenizer.model_validate({}),
            mix=self._block(Mix, entries, "mix"),
            trial=self._block(Trial, entries, "trial"),
            tree=tree,
        )
        if tree.keys("corpora"):
            self._check_names(recipe)
        check_trial(recipe, self._problems)
        return recipe

    def _check_keys(self, entries: Mapping[str, Node], allowed: Sequence[str], path: str) -> None:
        for key, node in entries.items():
            if key not in allowed:
                hint = did_you_mean(key, allowed)
                do = "stages go into the list 'stages'" if path and key in VERBS else ""
                self._problems.add(node.where, f"unknown key {path}{key}", allowed=hint, do=do)

    def _name(self, node: Node | None) -> str:
        if node is None:
            return ""
        if not isinstance(node.value, str) or not NAME.match(node.value):
            what = f"name is {shown(node.plain())}"
            self._problems.add(
                node.where, what, allowed="allowed: a-z, 0-9 and single - between them"
            )
        return str(node.value)

    def _description(self, node: Node | None) -> str:
        if node is not None and not isinstance(node.value, str):
            self._problems.add(
                node.where, f"description is {shown(node.plain())}", allowed="allowed: text"
            )
        return str(node.value) if node is not None else ""

    def _block(self, model: type[M], entries: Mapping[str, Node], key: str) -> M | None:
        node = entries.get(key)
        if node is None or (node.value == OFF and key != "tokenizer"):
            return None
        return validate(model, node, key, self._problems)

    def _corpora(self, node: Node) -> dict[str, Corpus]:
        if not node.mapping:
            what = f"corpora is {shown(node.plain())}"
            self._problems.add(
                node.where, what, allowed="allowed: `name: {source: ..., stages: [...]}`"
            )
            return {}
        found = {name: self._corpus(name, entry) for name, entry in node.mapping.items()}
        return {name: corpus for name, corpus in found.items() if corpus is not None}

    def _corpus(self, name: str, node: Node) -> Corpus | None:
        path = f"corpora.{name}"
        if not NAME.match(name):
            allowed = "allowed: a-z, 0-9 and single - between them"
            self._problems.add(node.where, f"corpus name {name!r}", allowed=allowed)
        entries = node.mapping
        if entries is None or "source" not in entries:
            what = (
                f"{path} is {shown(node.plain())}" if entries is None else f"{path} has no source"
            )
            self._problems.add(node.where, what, do="add source: {warc: ...}, say")
            return None
        self._check_keys(entries, CORPUS_KEYS, f"{path}.")
        source = validate(Source, entries["source"], f"{path}.source", self._problems)
        stages = self._reader.stages(entries["stages"], path) if "stages" in entries else ()
        documents = self._documents(entries, path)
        if source is None:
            return None
        if source.sample is not None:
            where = entries["source"].locate(["sample"])
            sample = source.sample
            if not self._problems.attempt(lambda: registry.SAMPLES.get(sample, where)):
                return None
        check_order(stages, source, path, node.where, self._problems)
        check_scores(source, entries["source"], f"{path}.source", self._problems)
        corpus = Corpus(name, source, stages, documents, node.where)
        reads = self._reads(corpus)
        reads.rules()
        for index, column in enumerate(documents.columns):
            where = entries["documents"].locate(["columns", index])
            reads.signal(column, f"{path}.documents", where)
        return corpus

    def _reads(self, corpus: Corpus) -> SignalCheck:
        path = f"corpora.{corpus.name}"
        return SignalCheck(path, corpus.source, corpus.stages, self._problems)

    def _documents(self, entries: Mapping[str, Node], path: str) -> Documents:
        node = entries.get("documents")
        if node is None or node.value == OFF:
            return Documents()
        return validate(Documents, node, f"{path}.documents", self._problems) or Documents()

    def _check_names(self, recipe: Recipe) -> None:
        """Every corpus that the mix and the deduplication name exists, and has a weight."""
        names = list((recipe.tree.mapping or {})["corpora"].mapping or {})
        for path, weights in _named_weights(recipe.mix):
            for name in weights:
                self._check_corpus(name, names, recipe.tree.locate([*path, name]), "mix")
            for name in names:
                if path[-1] == "weights" and name not in weights:
                    where, do = recipe.tree.locate(list(path)), "give it 0 to leave it out"
                    dotted = ".".join(map(str, path))
                    self._problems.add(where, f"{dotted} has none for corpus {name!r}", do=do)
        for index, name in enumerate(recipe.dedup.corpora if recipe.dedup else ()):
            where = recipe.tree.locate(["dedup", "corpora", index])
            self._check_corpus(name, names, where, "dedup")
        for name, cut in (recipe.mix.buckets or {}).items() if recipe.mix else ():
            if name in recipe.corpora:
                where = recipe.tree.locate(["mix", "buckets", name, "by"])
                reads = self._reads(recipe.corpora[name])
                reads.signal(cut.by, f"mix.buckets.{name}.by", where, number=True)
        for name in recipe.heldout.texts if recipe.heldout else ():
            if name in names:
                where = recipe.tree.locate(["heldout", "texts", name])
                what = f"heldout.texts: {name!r} is a corpus"
                self._problems.add(where, what, do="give the texts another name")

    def _check_corpus(self, name: str, names: Sequence[str], where: str, key: str) -> None:
        if name not in names:
            allowed = did_you_mean(name, names)
            self._problems.add(where, f"{key}: there is no corpus {name!r}", allowed=allowed)
