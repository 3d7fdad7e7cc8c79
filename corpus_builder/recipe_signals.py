"""The signals a corpus has to read: those of families, of its `language` stage, and its scores.

Invariant: once a recipe is read, whatever a rule, `documents.columns` or a bucket names is a signal
of its own corpus, and fits there; a score hides no signal and no column of the base table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from . import registry
from .expressions import Kind
from .recipe_check import Problems
from .recipe_models import Source
from .recipe_stages import Filter, Stage
from .rulesets import Rule
from .store.columns import BASE_COLUMNS
from .store.errors import RecipeError, did_you_mean
from .yamlfile import Node

Kinds: TypeAlias = Mapping[str, Kind]

WITH_COLUMNS = ("jsonl", "parquet")
LANGUAGE_SIGNALS = frozenset({"lang", "lang_score"})


def signals_of(source: Source) -> Kinds:
    """Kind of every signal that a corpus of this source can read."""
    scores: dict[str, Kind] = dict.fromkeys(source.scores or (), "number")
    return registry.signal_kinds() | scores


def check_scores(source: Source, node: Node, path: str, problems: Problems) -> None:
    """Note scores of a source without columns, and names that are taken.

    Args:
        node: the source as written, which lies at `path`.
    """
    if source.scores is None:
        return
    if source.kind not in WITH_COLUMNS:
        what = f"{path}.scores: a {source.kind} source has no columns of numbers"
        problems.add(node.locate(["scores"]), what, do="remove it")
    taken = dict.fromkeys(BASE_COLUMNS, "a column that every document has")
    taken |= dict.fromkeys(registry.SIGNALS.names, "a signal that is computed")
    for name in source.scores:
        if name in taken:
            what = f"{path}.scores: {name!r} is the name of {taken[name]}"
            problems.add(node.locate(["scores", name]), what, do="give the score another name")


@dataclass(frozen=True)
class SignalCheck:
    """Notes what one corpus cannot read.

    Attributes:
        corpus: its path, `corpora.<name>`.
    """

    corpus: str
    source: Source
    stages: Sequence[Stage]
    problems: Problems

    def rules(self) -> None:
        """Every rule reads signals that are there by then, and asks of them what they can say."""
        known, language = signals_of(self.source), False
        for stage in self.stages:
            language = language or stage.verb == "language"
            if not isinstance(stage.config, Filter):
                continue
            path = f"{self.corpus}.{stage.name}"
            for rule in (rule for part in stage.config.rule_sets for rule in part.rules):
                self._rule(rule, known, path)
            if not language:
                self._no_language(stage.config.signals, path, stage.where)

    def _rule(self, rule: Rule, known: Kinds, path: str) -> None:
        hidden = [name for name in rule.params if name in (self.source.scores or ())]
        for name in hidden:
            what = f"{path}: parameter {name!r} of rule {rule.name} hides the score of that name"
            do = f"rename the score in {self.corpus}.source.scores"
            self.problems.add(rule.where, what, do=do)
        if hidden:
            return
        try:
            rule.check(known)
        except RecipeError as error:
            do = error.do or self._add_score(rule.signals, known)
            what = f"{path}: {error.what}"
            self.problems.add(error.where, what, allowed=error.allowed, do=do)

    def signal(self, name: str, path: str, where: str, *, number: bool = False) -> None:
        """What is named at `path` is a signal (that is a number) once all stages are through."""
        known = signals_of(self.source)
        if name not in known:
            what, allowed = f"{path}: no signal named {name!r}", did_you_mean(name, known)
            do = self._add_score([name], known)
            self.problems.add(where, what, allowed=allowed, do=do)
        elif number and known[name] != "number":
            what = f"{path}: {name!r} is a {known[name]}"
            self.problems.add(where, what, allowed="allowed: signals that are numbers")
        if not any(stage.verb == "language" for stage in self.stages):
            self._no_language([name], path, where)

    def _add_score(self, names: Sequence[str], known: Kinds) -> str:
        """What to do about an unknown name, where the input could bring it."""
        unknown = [name for name in names if name not in known]
        if not unknown or self.source.kind not in WITH_COLUMNS:
            return ""
        return f"if the input has it, add it to {self.corpus}.source.scores"

    def _no_language(self, signals: Sequence[str], path: str, where: str) -> None:
        for name in signals:
            if name in LANGUAGE_SIGNALS:
                what = f"{path} reads {name!r}, which no stage above it adds"
                self.problems.add(where, what, do="put a `language` stage above it")
