"""What to do next: from stages and records to lists of tasks, launch after launch.

Invariant: a unit whose record is current is never done again; consecutive row-local stages of a
corpus become one task a shard; a stage is sealed as soon as its last unit is current.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .stages.base import Context, RowStage, Stage, topological
from .stages.read import BaseStage
from .stages.rows import is_current
from .stages.seal import seal
from .store.manifest import StageManifest

Task = dict[str, Any]


class Schedule:
    """The state of a run as the records tell it.

    Args:
        context: where records lie.
        stages: those wanted; what they read is added.
        on_seal: called with each stage and its manifest as it is sealed.
    """

    def __init__(
        self, context: Context, stages: Sequence[Stage],
        on_seal: Callable[[Stage, StageManifest], None] = lambda stage, manifest: None,
    ) -> None:  # fmt: skip
        self.context, self.stages, self.on_seal = context, topological(stages), on_seal
        self.sealed: set[str] = set()

    def next_tasks(self) -> list[Task]:
        """Tasks that can run now; empty when all stages are sealed. Seals on the way."""
        segments: dict[str, tuple[list[Stage], dict[str, None]]] = {}
        tasks: list[Task] = []
        for stage in self.stages:
            if stage.name in self.sealed:
                continue
            if isinstance(stage, BaseStage | RowStage):
                self._row_stage(stage, segments)
            elif all(above.name in self.sealed for above in stage.upstream):
                tasks += self._unit_tasks(stage)
        for corpus, (parts, shards) in segments.items():
            names = [stage.name for stage in parts]
            tasks += [_rows_task(corpus, names, shard) for shard in shards]
        return tasks

    def _row_stage(
        self, stage: Stage, segments: dict[str, tuple[list[Stage], dict[str, None]]]
    ) -> None:
        corpus = stage.corpus or ""
        above = stage.upstream[0] if stage.upstream else None
        in_segment = corpus in segments and above in segments[corpus][0]
        if not all(part.name in self.sealed for part in stage.upstream[1:]):
            return
        if above is not None and not in_segment and above.name not in self.sealed:
            return
        pending = dict(segments[corpus][1]) if in_segment else {}
        for shard in self.context.shard_names(corpus):
            if shard not in pending and not is_current(self.context, stage, shard):
                pending[shard] = None
        if not pending and isinstance(stage, BaseStage):
            pending = dict.fromkeys(stage.misplaced(self.context))
        if not pending:
            self._seal(stage)
            return
        self._unseal(stage)
        parts = segments[corpus][0] if in_segment else []
        segments[corpus] = ([*parts, stage], pending)

    def _unit_tasks(self, stage: Stage) -> list[Task]:
        phases = stage.phases(self.context)
        last = [phase for phase in phases if not phase.work]
        if all(not self._pending(stage, phase.name, phase.units, False) for phase in last):
            self._seal(stage)
            return []
        for phase in phases:
            pending = self._pending(stage, phase.name, phase.units, phase.work)
            if pending:
                self._unseal(stage)
                return [_unit_task(stage.name, phase.name, unit) for unit in pending]
        return []

    def _pending(self, stage: Stage, phase: str, units: Sequence[str], work: bool) -> list[str]:
        found = []
        for unit in units:
            record = self.context.find_record(stage, phase, unit, work)
            if record is None or record.inputs != stage.inputs(self.context, phase, unit):
                found.append(unit)
        return found

    def _unseal(self, stage: Stage) -> None:
        """Take away the manifests of a stage that has something to do and of all that read it.

        So what is sealed always belongs together, whenever a run ends.
        """
        reading = {stage.name}
        for below in topological(tuple(self.context.stages.values())):
            if below.name in reading or any(above.name in reading for above in below.upstream):
                reading.add(below.name)
                (self.context.folder(below) / "manifest.json").unlink(missing_ok=True)

    def _seal(self, stage: Stage) -> None:
        manifest = seal(self.context, stage)
        self.sealed.add(stage.name)
        self.on_seal(stage, manifest)


def _rows_task(corpus: str, stages: list[str], shard: str) -> Task:
    label = f"{corpus}, {shard}"
    return {"kind": "rows", "corpus": corpus, "stages": stages, "unit": shard, "label": label}


def _unit_task(stage: str, phase: str, unit: str) -> Task:
    label = f"{stage} {phase}, {unit}"
    return {"kind": "unit", "stage": stage, "phase": phase, "unit": unit, "label": label}
