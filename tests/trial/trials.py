"""A tiny trial over two corpora, and ways to run it: what the tests of trials share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from spine import Inline, code, notes, write_jsonl, write_parquet, write_recipe

from corpus_builder import runner
from corpus_builder.plan import Resources
from corpus_builder.recipe import load_recipe
from corpus_builder.stages.base import Stage
from corpus_builder.store.manifest import StageManifest
from corpus_builder.train import machine
from corpus_builder.trial import trial as trials
from corpus_builder.trial.looks import Looked
from corpus_builder.trial.prospect import Prospect
from corpus_builder.trial.report import TrialReport

HALF = {"mix.weights": {"notes": 0.5, "code": 0.5}}


def recipe(folder: Path, arms: Mapping[str, Any], **trial: Any) -> dict[str, Any]:
    """Two corpora, 6,000 tokens a run, a model of one layer."""
    sources = {
        "notes": {"jsonl": str(folder / "notes.jsonl")},
        "code": {"parquet": str(folder / "code.parquet")},
    }
    stages = [{"filter": [{"gopher": {"n_words.min": 30}}]}, "dedup"]
    return {
        "name": "tiny",
        "corpora": {
            "notes": {"source": sources["notes"], "stages": stages},
            "code": {"source": sources["code"], "stages": []},
        },
        "heldout": {"share": "10%", "max_documents": 8},
        "tokenizer": {"train": {"vocab": 300, "max_bytes": "100KB"}},
        "mix": {
            "tokens": 6_000,
            "sequence_length": 64,
            "weights": {"notes": 0.8, "code": 0.2},
        },
        "trial": {
            "model": {"layers": 1, "width": 32},
            "seeds": 2,
            "tokens": 3_200,
            "arms": dict(arms),
            **trial,
        },
    }


def lay_inputs(folder: Path) -> Path:
    """The documents of both corpora."""
    write_jsonl(folder / "notes.jsonl", notes(200))
    write_parquet(folder / "code.parquet", code(100))
    return folder


@dataclass
class Heard:
    """A follower that remembers what it was told."""

    prospects: list[Prospect] = field(default_factory=list)
    launches: list[tuple[str, int]] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    looks: list[tuple[int, list[str], int, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def launched(self, title: str, tasks: int) -> None:
        self.launches.append((title, tasks))

    def progressed(self, tasks: int, documents: int, size: int) -> None: ...

    def sealed(self, stage: Stage, manifest: StageManifest) -> None:
        self.stages.append(stage.id)

    def foreseen(self, prospect: Prospect) -> None:
        self.prospects.append(prospect)

    def looked(self, found: Looked) -> None:
        self.looks.append((found.seeds, found.undecided, found.models, found.seconds))

    def trained(self, runs: int, tokens: int, nats: float) -> None:
        self.losses.append(nats / tokens if tokens else 0.0)


@dataclass
class Tried:
    """A trial that has ended."""

    report: TrialReport
    heard: Heard
    out: Path
    folders: list[str]


def tried(content: Mapping[str, Any], out: Path, **options: Any) -> Tried:
    """Run a trial in this process, through the same plans, runs and report.

    In fp32 without asking which is faster: that takes seconds, and depends on the machine.
    """
    out.mkdir(parents=True, exist_ok=True)
    heard = Heard()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "LocalEngine", Inline)
        patch.setattr(trials, "LocalEngine", Inline)
        patch.setattr(machine, "choose_precision", lambda *_, **__: "fp32")
        recipe = load_recipe(write_recipe(out / "recipe.yaml", content))
        given = trials.Options(**options)
        report = trials.run_trial(recipe, out, Resources(1, 1 << 30), heard, given)
    folders = sorted(path.parent.name for path in (out / "trial").glob("*/run.json"))
    return Tried(report, heard, out, folders)
