"""Verification of trials and swarms: the stages that arms have of their own, reports, runs.

Invariant: reads only; what no manifest or record claims is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..fingerprint import fingerprint
from ..plan import Plan
from ..store.errors import IntegrityError
from ..store.manifest import FileEntry, StageManifest, read_manifest
from ..store.reports import (
    ANEW,
    FORMER,
    MANIFEST,
    REPORT,
    RunEntry,
    read_report_manifest,
    read_run_record,
    recorded_stages,
)
from .verify import Checked, Finding, file_finding, verify, verify_accounts

TRAIN = "delete the models' folders named, if there, and run the same again: they are trained again"
GONE = "nothing makes a former report again: keep what is whole of it, or delete its folder"


def verify_all(plan: Plan, manifests: list[StageManifest]) -> Iterator[Checked]:
    """Everything of a run: its stages, the accounts of their manifests, its reports.

    Args:
        manifests: of the plan's sealed stages.
    """
    own, wrong = arm_manifests(plan, {manifest.stage for manifest in manifests})
    yield from (Checked(0, finding) for finding in wrong)
    yield from verify(plan.out / "stages", [*manifests, *own])
    yield from verify_accounts(plan.context, manifests)
    for name in ("trial", "optimise"):
        yield from verify_report(plan.out, name)
        for folder in sorted((plan.out / name).glob(f"{FORMER}*")):
            yield from verify_report(plan.out, f"{name}/{folder.name}", former=True)


def arm_manifests(plan: Plan, known: set[str]) -> tuple[list[StageManifest], list[Finding]]:
    """Manifests of stages that the arms of the plan's recipe have beside those known; and which
    records of arms, or manifests, are damaged."""
    found, wrong, stages = list[StageManifest](), list[Finding](), dict[str, None]()
    for path in sorted((plan.out / "recipes").glob(f"{plan.recipe.name}.*.json")):
        try:
            stages |= dict.fromkeys(recorded_stages(path))
        except IntegrityError as error:
            wrong.append(Finding(f"recipes/{path.name}", error.what, error.do))
    for name in (name for name in stages if name not in known):
        try:
            manifest = read_manifest(plan.out / "stages" / name)
        except IntegrityError as error:
            wrong.append(Finding(f"{name}/manifest.json", error.what))
            continue
        if manifest is not None:
            found.append(manifest)
    return found, wrong


def verify_report(out: Path, name: str, *, former: bool = False) -> Iterator[Checked]:
    """The manifest, report and tables of a trial or swarm, and those of each of its runs.

    Args:
        out: the run's folder.
        name: of a folder in it, `trial` or `optimise`; it need not be there.
        former: another report has taken its place; `gc` takes away the models of such.
    """
    do = GONE if former else ANEW
    try:
        manifest = read_report_manifest(out / name)
    except IntegrityError as error:
        yield Checked(0, Finding(f"{name}/{MANIFEST}", error.what, do))
        return
    if manifest is None:
        if not former and (out / name / REPORT).exists():
            what = "has no manifest beside it, which would say what it is made of"
            yield Checked(0, Finding(f"{name}/{REPORT}", what, do))
        return
    yield Checked(0, None)
    yield from _files(out / name, name, manifest.files, do)
    for run in {run.hash: run for run in manifest.runs if not former}.values():
        yield from _run(out / "trial", run)


def _run(folder: Path, run: RunEntry) -> Iterator[Checked]:
    name = run.hash
    record = next(iter(sorted(folder.glob(f"*-{name}/run.json"))), None)
    if record is None:
        what = "is missing: the report is made of it, and the same trial would train it again"
        yield Checked(0, Finding(f"trial, run {name}", what, TRAIN))
        return
    try:
        found = read_run_record(record)
        if fingerprint(found.identity)[:8] != name:
            raise IntegrityError(str(record), "has another identity than the run it is of")
        if run.tables not in ("", found.tables):
            raise IntegrityError(str(record), "names other tables than the report is made of")
    except IntegrityError as error:
        yield Checked(0, Finding(f"trial/{record.parent.name}/run.json", error.what, TRAIN))
        return
    files = found.files
    yield from _files(record.parent, f"trial/{record.parent.name}", files, TRAIN)


def _files(folder: Path, where: str, files: list[FileEntry], do: str) -> Iterator[Checked]:
    for file in files:
        found = file_finding(folder / file.path, where, file.path, file.bytes, file.sha256)
        yield Checked(file.bytes, replace(found, do=do) if found else None)
