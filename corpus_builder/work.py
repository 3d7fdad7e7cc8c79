"""What a worker does with a task: run the fused stages over a shard, or one unit of a stage.

Invariant: picklable and small: stages without the list of shards; splits come from a frozen file
that each process reads once a launch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from .sources.records import InputFile, Split
from .stages.base import Context, Stage
from .stages.rows import run_rows
from .store.records import drop_record, write_record

Splits = Mapping[str, tuple[Split, ...]]


def write_splits(path: Path, splits: Splits) -> None:
    """Freeze the splits of a run (not data: rewritten by every run)."""
    plain = {corpus: [asdict(split) for split in parts] for corpus, parts in splits.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plain))


def read_splits(path: Path) -> dict[str, tuple[Split, ...]]:
    """Splits frozen by `write_splits`."""
    raw = json.loads(path.read_text())
    return {corpus: tuple(_split(part) for part in parts) for corpus, parts in raw.items()}


def _split(raw: dict[str, Any]) -> Split:
    return Split(**{**raw, "file": InputFile(**raw["file"])})


class Worker:
    """Does tasks; one instance a process and launch is used, whatever was pickled with the task.

    Args:
        launch: tells launches apart.
        out: the run's folder.
        splits: file of frozen splits.
        stages: by name.
        memory: bytes this worker may use.
    """

    def __init__(
        self, launch: str, out: Path, splits: Path, stages: Mapping[str, Stage], memory: int
    ) -> None:
        self.launch, self.out, self.splits = launch, out, splits
        self.stages, self.memory = dict(stages), memory

    def __call__(self, task: dict[str, Any], progress: Callable[[int, int], None]) -> list[str]:
        """Do one task and commit its records; returns the stages of which it did a unit."""
        context = _contexts(self)
        context.progress = progress
        if task["kind"] == "rows":
            stages = [context.stages[name] for name in task["stages"]]
            return [stage.name for stage in run_rows(context, stages, task["unit"])]
        stage, unit = context.stages[task["stage"]], task["unit"]
        phase = next(part for part in stage.phases(context) if part.name == task["phase"])
        folder = context.unit_folder(stage, phase)
        drop_record(folder, f"{phase.name}/{unit}")
        write_record(folder, stage.run_unit(context, phase.name, unit))
        return [] if phase.work else [stage.name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Worker) and self.launch == other.launch

    def __hash__(self) -> int:
        return hash(self.launch)

    def context(self) -> Context:
        """The context that tasks run in."""
        return Context(self.out, read_splits(self.splits), self.stages, self.memory)


@cache
def _contexts(worker: Worker) -> Context:
    return worker.context()
