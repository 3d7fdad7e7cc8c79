"""A plan: a recipe made concrete - frozen splits, stages, fingerprints, what is already done.

Invariant: making one reads listings only, no data (model files and held-out texts are hashed); two
plans of the same recipe over the same files have the same stages and shards, whatever the machine,
workers or memory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psutil

from .assemble import Inputs, Lent, assemble
from .recipe import Recipe
from .recipe_files import check_files
from .recipe_models import Language, Source
from .sources.keys import check_keys
from .sources.listing import SUFFIXES, list_inputs, make_splits, shard_name
from .sources.options import Columns
from .sources.parquet import check_schema
from .sources.records import InputFile, Split
from .sources.texts import check_texts, list_texts
from .stages.base import Context, RowStage, Stage
from .stages.read import BaseStage
from .stages.rows import is_current
from .store.errors import SourceError
from .store.manifest import StageManifest, read_manifest

LEAST_MEMORY = 700 << 20
"""What a worker needs: interpreter, libraries, compiled kernels, an extraction child (measured)."""


@dataclass(frozen=True)
class Plan:
    """A recipe over the files there are.

    Attributes:
        out: the run's folder.
        splits: of every corpus, in order.
        stages: by name, in an order in which they could run.
        lent: names of those that another plan over the same folder has sealed.
    """

    recipe: Recipe
    out: Path
    splits: Mapping[str, tuple[Split, ...]]
    stages: Mapping[str, Stage]
    lent: frozenset[str] = frozenset()

    @cached_property
    def context(self) -> Context:
        """Access to the records of the run's folder."""
        return Context(self.out, self.splits, self.stages)

    def manifests(self) -> list[StageManifest]:
        """Manifests of the stages that are sealed, in order."""
        found = (read_manifest(self.context.folder(stage)) for stage in self.stages.values())
        return [manifest for manifest in found if manifest is not None]

    def progress(self) -> dict[str, tuple[int, int | None]]:
        """(units done, units in all) of every stage; None where only the data can tell how many.

        A unit counts as done while all that it was made from is as it was.
        """
        context = Context(self.out, self.splits, self.stages)
        found: dict[str, tuple[int, int | None]] = {}
        current: dict[str, set[str]] = {}
        whole: set[str] = set()
        for name, stage in self.stages.items():
            if isinstance(stage, BaseStage | RowStage):
                shards = context.shard_names(stage.corpus)
                above = current[stage.upstream[0].name] if stage.upstream else set(shards)
                if not all(part.name in whole for part in stage.upstream[1:]):
                    above = set()
                current[name] = {shard for shard in above if is_current(context, stage, shard)}
                found[name] = len(current[name]), len(shards)
            elif all(part.name in whole for part in stage.upstream):
                found[name] = _units(context.folder(stage))
            else:
                found[name] = 0, None
            if found[name][0] == found[name][1]:
                whole.add(name)
        return found


def _units(folder: Path) -> tuple[int, int | None]:
    manifest = read_manifest(folder)
    if manifest is not None:
        return len(manifest.units), len(manifest.units)
    return len(list((folder / "records").rglob("*.json"))), None


def make_plan(recipe: Recipe, out: Path, lent: Lent | None = None) -> Plan:
    """Freeze what a recipe means here and now.

    Args:
        recipe: as loaded.
        out: the run's folder; need not exist.
        lent: stages of another plan over the same folder to read instead of its own.

    The sample and the language model are fetched if the recipe uses them and they are not cached.

    Raises:
        RecipeError: a model file that the recipe names is not there.
        SourceError: an input cannot be found or listed, or fetched, or lacks what is named.
    """
    check_files(recipe)
    kinds: dict[str, str] = {}
    splits: dict[str, tuple[Split, ...]] = {}
    for name, corpus in recipe.corpora.items():
        kind, files = _inputs(
            corpus.source, built=(out / "recipes" / f"{recipe.name}.json").exists()
        )
        _check_source(f"corpora.{name}.source", files, corpus.source)
        kinds[name] = kind
        splits[name] = tuple(make_splits(files, kind, corpus.source.split_size))
    shards = {name: tuple(shard_name(split) for split in parts) for name, parts in splits.items()}
    own = recipe.heldout.texts if recipe.heldout and lent is None else {}
    texts = {name: list_texts(each.files, each.text) for name, each in own.items()}
    for name, found in texts.items():
        check_texts(f"heldout.texts.{name}", found)
    stages = assemble(recipe, Inputs(kinds, shards, _models(recipe), texts), lent)
    return Plan(recipe, out, splits, stages, lent.names if lent else frozenset())


def _check_source(where: str, files: Sequence[InputFile], source: Source) -> None:
    """Refuse an input that has not what its source names, where a glance at it shows that."""
    if source.kind == "jsonl":
        check_keys(where, files, source.required_keys, source.max_record_bytes)
    elif source.kind == "parquet" and source.on_bad_file == "error":
        named = {key: source.columns[key] for key in source.required_columns}
        check_schema(files[0], Columns(**named, scores=source.scores or {}))


def _inputs(source: Source, *, built: bool) -> tuple[str, list[InputFile]]:
    try:
        return _files(source)
    except SourceError as error:
        if not built:
            raise
        do = f"{error.do}; a run that is built is known by its input, and needs it to be there"
        raise SourceError(error.where, error.what, allowed=error.allowed, do=do) from error


def _files(source: Source) -> tuple[str, list[InputFile]]:
    if source.kind != "sample":
        return source.kind, list_inputs(source.patterns, SUFFIXES[source.kind])
    from .sources.sample import sample_files

    paths = sample_files(str(source.sample))
    kind = "warc" if paths[0].name.endswith(".warc.gz") else paths[0].suffix.lstrip(".")
    if paths[0].name.endswith(".jsonl.gz"):
        kind = "jsonl"
    return kind, list_inputs([str(path) for path in paths], SUFFIXES[kind])


def _models(recipe: Recipe) -> dict[str, tuple[Path, str]]:
    from .signals.language import default_model, model_id

    models: dict[str, tuple[Path, str]] = {}
    for name, corpus in recipe.corpora.items():
        for entry in corpus.stages:
            if isinstance(entry.config, Language):
                given = entry.config.model
                path = Path(given) if given else default_model()
                models[name] = (path.absolute(), model_id(path))
    return models


@dataclass(frozen=True)
class Resources:
    """Workers and the memory each may use, in bytes."""

    workers: int
    memory: int

    @property
    def whole(self) -> int:
        """Bytes for all of them."""
        return self.workers * self.memory


def resources(workers: int | None, memory: int | None) -> Resources:
    """Fit workers into memory: at most one a core, each with at least `LEAST_MEMORY`.

    Args:
        workers: processes wanted; None takes all cores.
        memory: bytes for all workers together; None takes 80 % of what is free.
    """
    budget = memory or int(psutil.virtual_memory().available * 0.8)
    wanted = workers or len(os.sched_getaffinity(0))
    count = max(1, min(wanted, budget // LEAST_MEMORY))
    return Resources(count, budget // count)
