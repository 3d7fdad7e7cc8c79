"""The report of an optimisation, its files, and the recipe that it ends in.

Invariant: nothing in the files depends on time or machine but for the number format that models
were trained in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..recipe import Recipe
from ..store.atomic import sha256_file
from ..store.former import keep_former
from ..store.reports import REPORT, write_report_file, write_report_manifest
from ..store.tables import FileInfo, write_table
from ..trial.cautions import repetition
from ..trial.runs import Result, Run
from ..trial.settings import Settings
from .answer import LEVEL, POINT, RESAMPLES, Answer, Interval
from .recipe import rounded, shortest, write_recipe
from .solving import Array
from .swarm import Room

BEST = "best.yaml"
FEW = 4
"""Runs to a corpus; with fewer, regressions are mostly their pulls."""


@dataclass(frozen=True)
class OptimiseReport:
    """What an optimisation came to; losses are held-out bits per byte.

    Attributes:
        target: weight of each held-out corpus in what is optimised, summing to 1.
        settings: of the swarm's runs.
        sequences: of the recipe's own mix.
        available: sequences of each corpus.
        mixes: realised shares of the swarm, `[n, k]`.
        losses: by held-out corpus, `[n]`.
        effects: target -> corpus -> what one more point of its weight does.
    """

    recipe: Recipe
    target: Mapping[str, float]
    settings: Settings
    room: Room
    sequences: int
    available: Mapping[str, int]
    mixes: Array
    losses: Mapping[str, Array]
    answer: Answer
    effects: Mapping[str, Mapping[str, Interval]]
    path: Path | None = None

    @cached_property
    def weights(self) -> dict[str, float]:
        """The chosen mix as it is written: rounded, within the caps."""
        return self._rounded(self.answer.mix)

    @cached_property
    def natural(self) -> dict[str, float]:
        """The natural mix, rounded likewise."""
        return self._rounded(self.room.natural)

    @cached_property
    def uniform(self) -> dict[str, float]:
        """The uniform mix, rounded likewise."""
        return self._rounded(self.room.uniform)

    def _rounded(self, mix: Array) -> dict[str, float]:
        """Where the recipe trains its tokenizer, no corpus is left out altogether: the tokenizer
        would be another one, better for what is left in, and a trial would compare that too."""
        keep_all = self.recipe.tokenizer.path is None
        return rounded(self.room, mix, shortest(self.sequences, self.settings), keep_all=keep_all)

    @property
    def binding(self) -> list[str]:
        """Corpora that would have more of the chosen mix if `max_epochs` let them."""
        pairs = zip(self.room.names, self.answer.mix, self.room.most, strict=True)
        return [name for name, share, most in pairs if most < 1 and share > 0.97 * most]

    @property
    def warnings(self) -> list[str]:
        """What a reader should know before using the mix."""
        found, runs, k = [], *self.mixes.shape
        if runs < FEW * k:
            found.append(f"{runs} runs are few for {k} corpora: take {FEW * k} or more")
        if self.answer.regression.explained < 0.5:
            share = max(0.0, self.answer.regression.explained)
            found.append(
                f"the regression explains {share:.0%} of what differs between runs it has not "
                "seen: train longer or more runs before you trust it"
            )
        length = self.settings.sequence_length
        times = self.sequences * length / self.settings.tokens
        epochs = {
            name: self.weights[name] * self.sequences / self.available[name]
            for name in self.room.names
        }
        worst = max(epochs, key=epochs.__getitem__)
        if times > 1 and epochs[worst] > 1:
            found.append(repetition(times, worst, epochs[worst] / times, epochs[worst]))
        return found

    def as_json(self) -> dict[str, Any]:
        """Plain values, without times."""
        answer = self.answer
        return {
            "recipe": self.recipe.name,
            "target": dict(self.target),
            "runs": len(self.mixes),
            "tokens_per_run": self.settings.tokens,
            "level": LEVEL,
            "resamples": RESAMPLES,
            "finding": answer.finding,
            "weights": self.weights,
            "natural": self.natural,
            "uniform": self.uniform,
            "region": {n: [part.low, part.high] for n, part in answer.best.items()},
            "not_shown_worse": {n: list(part) for n, part in answer.alike.items()},
            "most": dict(zip(self.room.names, self.room.most.tolist(), strict=True)),
            "caps_that_bind": self.binding,
            "predicted_bits_per_byte": dict(answer.predicted),
            "gains": {n: asdict(part) for n, part in answer.gains.items()},
            "regression": asdict(answer.regression),
            "effect_of_a_point": {
                target: {n: asdict(part) for n, part in row.items()}
                for target, row in self.effects.items()
            },
            "point": POINT,
            "warnings": self.warnings,
        }


def write_report(
    folder: Path, report: OptimiseReport, runs: Sequence[Run], results: Sequence[Result]
) -> OptimiseReport:
    """`best.yaml`, `swarm.parquet`, `report.json`, and `manifest.json` last; another optimisation's
    are kept aside. Returns the report with the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    content = report.as_json()
    keep_former(folder, content, editable=[BEST])
    path = write_recipe(folder / BEST, report)
    report, sha = replace(report, path=path), sha256_file(path)
    table = _swarm(report, runs)
    files = [
        FileInfo(BEST, path.stat().st_size, 0, sha, sha),
        write_table(folder, "swarm.parquet", table.schema, table.to_batches()),
        write_report_file(folder, REPORT, content),
    ]
    write_report_manifest(
        folder,
        {
            "recipe": report.recipe.name,
            "settings": asdict(report.settings),
            "runs": [
                {"name": run.name, "hash": run.hash, "tables": result.tables, **run.identity}
                for run, result in zip(runs, results, strict=True)
            ],
            "files": [asdict(file) for file in files],
            "versions": {n: version(n) for n in ("corpus-builder", "numpy", "scipy", "torch")},
        },
    )
    return report


def _swarm(report: OptimiseReport, runs: Sequence[Run]) -> pa.Table:
    """A row a run: its name, the share of each corpus, bits per byte of each held-out corpus."""
    columns: dict[str, Any] = {"run": [run.name for run in runs]}
    for j, name in enumerate(report.room.names):
        columns[f"share.{name}"] = np.ascontiguousarray(report.mixes[:, j])
    for name, losses in report.losses.items():
        columns[f"bits_per_byte.{name}"] = losses
    return pa.table(columns).combine_chunks()
