"""Verification of a trial: the stages that its arms have of their own, its tables, its runs.

Invariant: reads only; what no manifest or record claims is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from ..plan import Plan
from ..store.atomic import read_json
from ..store.errors import IntegrityError
from ..store.manifest import StageManifest, read_manifest
from .verify import Checked, Finding, file_finding, verify, verify_accounts


def verify_all(plan: Plan, manifests: list[StageManifest]) -> Iterator[Checked]:
    """Everything of a run: its stages, the accounts of their manifests, and its trial.

    Args:
        manifests: of the plan's sealed stages.
    """
    own = arm_manifests(plan, {manifest.stage for manifest in manifests})
    yield from verify(plan.out / "stages", [*manifests, *own])
    yield from verify_accounts(plan.context, manifests)
    yield from verify_trial(plan.out / "trial")


def arm_manifests(plan: Plan, known: set[str]) -> list[StageManifest]:
    """Manifests of stages that the arms of the plan's recipe have beside those known."""
    records = sorted((plan.out / "recipes").glob(f"{plan.recipe.name}.*.json"))
    stages = dict.fromkeys(chain.from_iterable(read_json(path)["stages"] for path in records))
    found = (read_manifest(plan.out / "stages" / name) for name in stages if name not in known)
    return [manifest for manifest in found if manifest is not None]


def verify_trial(folder: Path) -> Iterator[Checked]:
    """The tables of a trial that has ended, and those of each run that it is made of.

    Args:
        folder: of the trial; need not be there.
    """
    path = folder / "manifest.json"
    if not path.exists():
        return
    content = read_json(path)
    yield from _files(folder, "trial", content["files"])
    for name in sorted({run["hash"] for run in content["runs"]}):
        yield from _run(folder, name)


def _run(folder: Path, name: str) -> Iterator[Checked]:
    record = next(iter(sorted(folder.glob(f"*-{name}/run.json"))), None)
    if record is None:
        what = "is missing: the report is made of it, and the same trial would train it again"
        yield Checked(0, Finding(f"trial, run {name}", what))
        return
    try:
        files = read_json(record)["files"]
    except IntegrityError as error:
        yield Checked(0, Finding(f"trial/{record.parent.name}/run.json", error.what))
        return
    yield from _files(record.parent, f"trial/{record.parent.name}", files)


def _files(folder: Path, where: str, files: list[Mapping[str, Any]]) -> Iterator[Checked]:
    for file in files:
        name, size = file["path"], file["bytes"]
        yield Checked(size, file_finding(folder / name, where, name, size, file["sha256"]))
