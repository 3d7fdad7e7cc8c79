"""From a recipe to stages: which stages there are, what each reads, in the order of the recipe.

Invariant: a pure function of the recipe, the shard names and the contents of model files; no data
is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from .assemble_mix import products
from .recipe import Corpus, Recipe
from .recipe_models import CrossDedup, Extract, Language
from .recipe_models import Dedup as DedupBlock
from .recipe_stages import Filter, Tag, Transform
from .recipe_stages import Stage as Entry
from .signals import FAMILIES, family_of
from .sources.texts import TextFile
from .stages.base import Stage, topological
from .stages.dedup import BandsStage, DedupConfig, DedupStage
from .stages.documents import DocumentsStage
from .stages.extract import ExtractStage
from .stages.filter import FilterStage
from .stages.groups import GroupsStage
from .stages.heldout import GuardStage, Heldout, HeldoutStage
from .stages.language import IdentifyLanguage, KeepLanguages
from .stages.read import BaseStage
from .stages.tag import ARROW_TYPES, TagStage
from .stages.tokenizer import TokenizerStage
from .stages.transform import TransformStage

LANGUAGE_TYPES = {"lang": pa.string(), "lang_score": pa.float64()}


@dataclass(frozen=True)
class Inputs:
    """What assembling needs beside the recipe.

    Attributes:
        kinds: the reader of every corpus (a sample has one of its own).
        shards: names of every corpus' shards.
        models: language model of every corpus with a `language` stage: (path, content hash).
        texts: files of every set of texts that the recipe holds out beside its corpora.
    """

    kinds: Mapping[str, str]
    shards: Mapping[str, tuple[str, ...]]
    models: Mapping[str, tuple[Path, str]]
    texts: Mapping[str, tuple[TextFile, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Lent:
    """Stages of another plan, sealed, that a recipe reads instead of making its own.

    Attributes:
        heldout: what is held out of training, and compared with it.
        tokenizer: None where the recipe makes its own.
    """

    heldout: HeldoutStage
    tokenizer: TokenizerStage | None

    @classmethod
    def of(cls, stages: Mapping[str, Stage], *, tokenizer: bool) -> Lent:
        """Those of a plan with `heldout`, as stages that read nothing."""
        held, encoder = stages["heldout"], stages["tokenizer"] if tokenizer else None
        return cls(_detached(held), _detached(encoder) if encoder else None)

    @property
    def names(self) -> frozenset[str]:
        """Of the stages there are."""
        return frozenset({"heldout", "tokenizer"} if self.tokenizer else {"heldout"})


def _detached(stage: Any) -> Any:
    """The stage with its fingerprint but without what it reads.

    Its upstream has the names of the borrower's own stages, and other configurations.
    """
    twin = copy(stage)
    twin.upstream = ()
    return twin


def assemble(recipe: Recipe, inputs: Inputs, lent: Lent | None = None) -> dict[str, Stage]:
    """All stages of a recipe by name, in an order in which they could run."""
    heldout = _heldout(recipe)
    chains = {
        name: _Chain(name, corpus, inputs, heldout) for name, corpus in recipe.corpora.items()
    }
    for chain in chains.values():
        chain.build()
    stages: dict[str, Stage] = {}
    if recipe.dedup is not None:
        groups = _across(recipe.dedup, chains, inputs, heldout)
        stages[groups.name] = groups
    if heldout is not None:
        above = tuple(chain.last for chain in chains.values())
        held = (
            lent.heldout
            if lent
            else HeldoutStage(
                "heldout", above=above, heldout=heldout, texts=inputs.texts,
                shards=_all(inputs, chains),
            )
        )  # fmt: skip
        stages[held.name] = held
        for corpus, chain in chains.items():
            chain.add(GuardStage(f"{corpus}.guard", corpus=corpus, above=chain.last, heldout=held))
    documents = {corpus: chain.documents() for corpus, chain in chains.items()}
    stages |= {stage.name: stage for chain in chains.values() for stage in chain.stages}
    stages |= {stage.name: stage for stage in documents.values()}
    if recipe.mix is not None:
        made = products(
            recipe, recipe.mix, documents, inputs.shards,
            lambda corpus, signal: chains[corpus].with_signal(signal),
            lent.tokenizer if lent else None,
        )  # fmt: skip
        stages |= {stage.name: stage for stage in made}
    return {stage.name: stage for stage in topological(tuple(stages.values()))}


def _heldout(recipe: Recipe) -> Heldout | None:
    if recipe.heldout is None:
        return None
    part = recipe.heldout
    return Heldout(part.exact_share, part.max_documents, part.threshold, part.ngram)


def _all(inputs: Inputs, corpora: Mapping[str, Any]) -> tuple[str, ...]:
    """Shards of several corpora, qualified by corpus."""
    return tuple(f"{name}/{shard}" for name in corpora for shard in inputs.shards[name])


@dataclass
class _Chain:
    """The row-aligned stages of one corpus, growing downwards."""

    corpus: str
    recipe: Corpus
    inputs: Inputs
    heldout: Heldout | None
    stages: list[Stage] = field(default_factory=list)
    tagged: set[str] = field(default_factory=set)

    @property
    def scores(self) -> Mapping[str, str]:
        """Signals that the input brings: name -> its column."""
        return self.recipe.source.scores or {}

    @property
    def last(self) -> Stage:
        return self.stages[-1]

    def add(self, stage: Stage) -> None:
        self.stages.append(stage)

    def name(self, *parts: str) -> str:
        return ".".join((self.corpus, *parts))

    def build(self) -> None:
        """Base stage, then every stage of the recipe."""
        entries = list(self.recipe.stages)
        if entries and isinstance(entries[0].config, Extract):
            self.add(self._extract(entries[0].name, entries[0].config))
            del entries[0]
        else:
            self.add(self._read())
        for entry in entries:
            self._entry(entry.name, entry)

    def _entry(self, name: str, entry: Entry) -> None:
        config = entry.config
        if isinstance(config, Language):
            self._language(name, config)
        elif isinstance(config, Tag):
            self._tag(self.name(name), set(config.families))
        elif isinstance(config, Transform):
            self._transform(name, config)
        elif isinstance(config, Filter):
            self._filter(name, config)
        elif isinstance(config, DedupBlock):
            dedup = DedupConfig(**config.to_canonical())
            self.dedup(name, dedup, self.bands(name, dedup), None)

    def _source(self) -> tuple[str, dict[str, Any]]:
        source, kind = self.recipe.source, self.inputs.kinds[self.corpus]
        options: dict[str, Any] = {
            "max_record_bytes": source.max_record_bytes, "on_bad_file": source.on_bad_file,
        }  # fmt: skip
        if kind != "warc":
            named = source.required_columns
            options["columns"] = {k: v for k, v in source.columns.items() if k in named}
        if self.scores:
            options["scores"] = dict(self.scores)
        return kind, options

    def _read(self) -> BaseStage:
        kind, options = self._source()
        return BaseStage(self.name("read"), corpus=self.corpus, kind=kind, options=options)

    def _extract(self, name: str, config: Extract) -> ExtractStage:
        from .extraction.extractors import extractor_versions

        kind, options = self._source()
        limits = config.to_canonical()
        tool = limits.pop("tool")
        return ExtractStage(
            self.name(name), corpus=self.corpus, kind=kind, options=options, tool=tool,
            limits=limits, versions=extractor_versions(tool),
        )  # fmt: skip

    def _language(self, name: str, config: Language) -> None:
        model, identity = self.inputs.models[self.corpus]
        identify = IdentifyLanguage(
            self.name(name, "identify"), corpus=self.corpus, above=self.last, model=model,
            model_id=identity, library=version("fasttext-community"),
            characters=config.characters,
        )  # fmt: skip
        self.add(identify)
        keep = list(config.keep) if config.keep is not None else None
        least = dict(config.min_score)
        self.add(
            KeepLanguages(
                self.name(name), corpus=self.corpus, above=identify, keep=keep, min_score=least
            )
        )

    def _tag(self, name: str, families: set[str]) -> None:
        self.add(TagStage(name, corpus=self.corpus, above=self.last, families=sorted(families)))
        self.tagged |= families

    def _transform(self, name: str, config: Transform) -> None:
        transforms = [(use.name, use.options) for use in config.transforms]
        self.add(
            TransformStage(
                self.name(name), corpus=self.corpus, above=self.last, transforms=transforms,
                identity=config.to_canonical()["transforms"],
            )
        )  # fmt: skip
        self.tagged.clear()

    def _filter(self, name: str, config: Filter) -> None:
        if missing := self._missing(config.signals):
            self._tag(self.name(name, "signals"), missing)
        self.add(
            FilterStage(
                self.name(name), corpus=self.corpus, above=self.last, rule_sets=config.rule_sets,
                identity=config.to_canonical()["rule_sets"],
            )
        )  # fmt: skip

    def _missing(self, signals: Iterable[str]) -> set[str]:
        """Families to compute before these signals can be read."""
        computed = set(signals) - set(LANGUAGE_TYPES) - set(self.scores)
        return {family_of(signal).name for signal in computed} - self.tagged

    def bands(self, name: str, config: DedupConfig) -> BandsStage:
        """Add band keys."""
        stage = BandsStage(
            self.name(name, "bands"), corpus=self.corpus, above=self.last, config=config
        )
        self.add(stage)
        return stage

    def dedup(
        self, name: str, config: DedupConfig, bands: BandsStage, groups: GroupsStage | None
    ) -> None:
        """Add verdicts, from groups of this corpus alone unless others are given."""
        if groups is None:
            groups = GroupsStage(
                self.name(name, "groups"), corpus=self.corpus, bands=(bands,), config=config,
                heldout=self.heldout, shards=self.inputs.shards[self.corpus],
            )  # fmt: skip
            self.add(groups)
        verdict = DedupStage(self.name(name), corpus=self.corpus, bands=bands, groups=groups)
        self.add(verdict)

    def documents(self) -> DocumentsStage:
        """The documents of this corpus."""
        known = LANGUAGE_TYPES | dict.fromkeys(self.scores, pa.float64())
        for family in FAMILIES.values():
            known |= {signal.name: ARROW_TYPES[signal.type] for signal in family.adds}
        names = self.recipe.documents.columns
        if missing := self._missing(names):
            self._tag(self.name("documents", "signals"), missing)
        columns = [(name, known[name]) for name in names]
        return DocumentsStage(
            self.name("documents"), corpus=self.corpus, above=self.last, columns=columns
        )

    def with_signal(self, signal: str) -> Stage:
        """The last stage, or one beside the documents that adds a signal they do without."""
        missing = self._missing([signal])
        if not missing:
            return self.last
        name = self.name("buckets", "signals")
        return TagStage(name, corpus=self.corpus, above=self.last, families=sorted(missing))


def _across(
    block: CrossDedup, chains: dict[str, _Chain], inputs: Inputs, heldout: Heldout | None
) -> GroupsStage:
    """The recipe-level dedup: one grouping over several corpora, verdicts for each."""
    raw = block.to_canonical()
    corpora = raw.pop("corpora")
    config = DedupConfig(**raw)
    bands = tuple(chains[corpus].bands("dedup-across", config) for corpus in corpora)
    groups = GroupsStage(
        "dedup-across.groups", corpus=None, bands=bands, config=config, heldout=heldout,
        shards=tuple(f"{name}/{shard}" for name in corpora for shard in inputs.shards[name]),
    )  # fmt: skip
    for corpus, stage in zip(corpora, bands, strict=True):
        chains[corpus].dedup("dedup-across", config, stage, groups)
    return groups
