"""Checkpoints of a training run: whole files or none, loaded without running code in them.

Invariant: a checkpoint holds weights, optimizer state, the step and the curve so far, and the
identity of the run; one of another run is refused, naming what differs. Names say where a run is:
`trunk-<step>.pt` on the shared trunk, `budget-<steps>-<step>.pt` on the branch of a budget.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from corpus_builder.store.atomic import atomic_path
from corpus_builder.store.errors import IntegrityError

from .schedule import Schedule

FORMAT = 1


def save(path: Path, content: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Write tensors and plain values; the file appears whole."""
    with atomic_path(path) as temp:
        torch.save({"format": FORMAT, "identity": dict(identity), **content}, temp)


def load(path: Path, identity: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Read a checkpoint of this very run.

    Raises:
        IntegrityError: the file cannot be read, or is of another run.
    """
    redo = "delete it to train anew"
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise IntegrityError(str(path), f"cannot be read: {error}", do=redo) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise IntegrityError(str(path), "is not a checkpoint of this version", do=redo)
    theirs = content["identity"]
    for key in sorted({*identity, *theirs}):
        if identity.get(key) != theirs.get(key):
            what = f"is of another run: its {key} is {theirs.get(key)!r}, not {identity.get(key)!r}"
            raise IntegrityError(str(path), what, do=redo)
    return content


@dataclass(frozen=True)
class Shelf:
    """The checkpoints of one run in one folder."""

    folder: Path
    schedule: Schedule

    def path(self, budget: int, step: int) -> Path:
        """Where a run of `budget` keeps its state after `step` steps."""
        if step <= self.schedule.branch_step(budget) < budget:
            return self.folder / f"trunk-{step:09d}.pt"
        return self.folder / f"budget-{budget:09d}-{step:09d}.pt"

    def newest(self, budget: int) -> Path | None:
        """The state from which the run of `budget` has least to do."""
        branch = self.schedule.branch_step(budget)
        trunk = [p for p in self._files("trunk-*.pt") if _step(p) <= branch]
        found = trunk + self._files(f"budget-{budget:09d}-*.pt")
        return max(found, key=_step, default=None)

    def tidy(self, budget: int, step: int) -> None:
        """Delete what the state after `step` supersedes: earlier ones of its trunk or branch."""
        kind = self.path(budget, step).name.rpartition("-")[0]
        for path in self._files(f"{kind}-*.pt"):
            if _step(path) < step:
                path.unlink()

    def _files(self, pattern: str) -> list[Path]:
        return sorted(self.folder.glob(pattern))


def _step(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])
