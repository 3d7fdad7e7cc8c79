"""Running a plan: launch after launch until every stage is sealed.

Invariant: one run holds a folder at a time; whatever kills it, the same command goes on where the
records end and comes to the same bytes.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .engine import LocalEngine
from .plan import Plan, Resources
from .recipe import Recipe
from .recipe_files import check_tokenizer
from .schedule import Schedule, Task
from .stages.base import Context, Stage, topological
from .stages.read import BaseStage
from .store.atomic import TEMP_SUFFIX, json_bytes, read_json, run_lock, write_json
from .store.errors import DataError, EngineError, RecipeError, did_you_mean
from .store.manifest import StageManifest
from .store.reports import read_report_manifest, recorded_stages
from .work import Worker, write_splits


class Watcher(Protocol):
    """Who is told what a run is doing; all methods may be called often."""

    def launched(self, title: str, tasks: int) -> None:
        """A launch of so many tasks begins."""

    def progressed(self, tasks: int, documents: int, size: int) -> None:
        """So much of the launch is done."""

    def sealed(self, stage: Stage, manifest: StageManifest) -> None:
        """A stage is sealed (again, if it was before)."""


class Silent:
    """A watcher that says nothing."""

    def launched(self, title: str, tasks: int) -> None: ...

    def progressed(self, tasks: int, documents: int, size: int) -> None: ...

    def sealed(self, stage: Stage, manifest: StageManifest) -> None: ...


@dataclass
class RunReport:
    """What a run did.

    Attributes:
        done: units done by this run, by stage name.
        reused: units that were done already, by stage name.
        seconds: of the whole run.
        manifests: of all sealed stages, in order.
    """

    done: dict[str, int] = field(default_factory=dict)
    reused: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    manifests: list[StageManifest] = field(default_factory=list)


def run_plan(
    plan: Plan, resources: Resources, *, until: str | Sequence[str] | None = None,
    watcher: Watcher | None = None, looks: bool = False,
) -> RunReport:  # fmt: skip
    """Do what is not yet done of a plan.

    Args:
        until: names of stages; only they and what they read are done.
        looks: this is to look at a recipe; another one of its name stays on record.

    Raises:
        RecipeError: the tokenizer that the recipe names is none.
        LockedError: another run holds the folder.
        CorpusError: whatever a task raised.
    """
    check_tokenizer(plan.recipe)
    names = [until] if isinstance(until, str) else until
    wanted = [plan.stages[_stage_name(plan, name)] for name in names or plan.stages]
    with run_lock(plan.out):
        note_recipe(plan, replace=not looks)
        return _Run(plan, resources, wanted, watcher or Silent()).run()


def _stage_name(plan: Plan, name: str) -> str:
    if name not in plan.stages:
        allowed = did_you_mean(name, plan.stages)
        raise RecipeError("--until", f"no stage {name!r}", allowed=allowed)
    return name


class _Run:
    def __init__(
        self, plan: Plan, resources: Resources, wanted: list[Stage], watcher: Watcher
    ) -> None:
        self.plan, self.resources, self.watcher = plan, resources, watcher
        self.report = RunReport()
        # What a context keeps of records must not be older than the run.
        context = Context(plan.out, plan.splits, plan.stages)
        self.schedule = Schedule(context, wanted, self._sealed)
        self.schedule.sealed |= plan.lent
        self.whole = {stage.name for stage in topological(wanted)} == set(plan.stages)
        self.times: list[dict[str, Any]] = []

    def run(self) -> RunReport:
        """Launch until nothing is left to do, then publish the products."""
        began = time.monotonic()
        splits = self.plan.out / ".engine" / "splits.json"
        _sweep(self.plan.out)
        write_splits(splits, self.plan.splits)
        with LocalEngine(self.plan.out / ".engine", self.resources.workers) as engine:
            launch, before = 0, list[Task]()
            while tasks := self.schedule.next_tasks():
                if tasks == before:
                    raise EngineError(
                        tasks[0]["label"], "was done, yet is still to do",
                        do="this is a fault of the program: please report it with the recipe",
                    )  # fmt: skip
                launch, before = launch + 1, tasks
                worker = Worker(
                    f"{began}-{launch}", self.plan.out, splits, self.plan.stages,
                    self.resources.memory,
                )  # fmt: skip
                self._launch(engine, tasks, worker)
        if self.whole:
            publish(self.plan)
        self.report.seconds = time.monotonic() - began
        self._note_times()
        return self.report

    def _launch(self, engine: LocalEngine, tasks: list[Task], worker: Worker) -> None:
        began = time.monotonic()
        title = _title(tasks)
        self.watcher.launched(title, len(tasks))
        results = engine.launch(
            tasks,
            worker,
            lambda seen: self.watcher.progressed(seen.tasks, seen.documents, seen.bytes),
        )
        for name in (stage for done in results for stage in done):
            self.report.done[name] = self.report.done.get(name, 0) + 1
        seconds = round(time.monotonic() - began, 3)
        self.times.append({"launch": title, "tasks": len(tasks), "seconds": seconds})

    def _sealed(self, stage: Stage, manifest: StageManifest) -> None:
        if isinstance(stage, BaseStage):
            needed = _needs(self.plan.recipe, str(stage.corpus))
            stage.refuse_nothing(manifest.counts, needed=needed)
        units = len(manifest.units)
        self.report.reused[stage.name] = max(0, units - self.report.done.get(stage.name, 0))
        self.report.manifests.append(manifest)
        self.watcher.sealed(stage, manifest)

    def _note_times(self) -> None:
        """Times and the host's part: beside the manifests, never in them."""
        path = self.plan.out / "timing.json"
        runs = read_json(path) if path.exists() else []
        entry = {
            "began": time.strftime(
                "%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - self.report.seconds)
            ),
            "seconds": round(self.report.seconds, 3),
            **asdict(self.resources),
            "launches": self.times,
        }
        write_json(path, [*runs, entry])


def _needs(recipe: Recipe, corpus: str) -> bool:
    """Whether nothing comes of the recipe where the corpus is empty."""
    if recipe.mix is None:
        return len(recipe.corpora) == 1
    steps = recipe.mix.steps  # a sampler weighs all
    return not steps or any(step.weights[corpus] > 0 for step in steps)


def _title(tasks: list[Task]) -> str:
    """What a launch does, in a few words."""
    names: dict[str, None] = {}
    for task in tasks:
        if task["kind"] == "rows":
            names[f"{task['corpus']}: {_range(task['stages'])}"] = None
        else:
            names[f"{task['stage']} {task['phase']}".removesuffix(" data")] = None
    return ", ".join(names)


def _range(stages: list[str]) -> str:
    first, last = (name.partition(".")[2] for name in (stages[0], stages[-1]))
    return first if first == last else f"{first} → {last}"


def _sweep(out: Path) -> None:
    """Remove temporary files that a killed run left behind (we hold the lock)."""
    if (out / "stages").exists():
        for path in (out / "stages").rglob(f".*{TEMP_SUFFIX}"):
            path.unlink()


def note_recipe(plan: Plan, *, replace: bool = True) -> None:
    """Put on record which stages the recipe refers to, for `status`, `funnel` and `gc`.

    Args:
        replace: what another recipe of the same name referred to is forgotten.
    """
    content = {
        "recipe": plan.recipe.to_canonical(),
        "stages": [stage.id for stage in plan.stages.values()],
    }
    path = plan.out / "recipes" / f"{plan.recipe.name}.json"
    if not path.exists() or (replace and path.read_bytes() != json_bytes(content)):
        write_json(path, content)


def publish(plan: Plan) -> None:
    """Point `mix` and `documents/<corpus>` at the stages that hold them."""
    links = {}
    for stage in plan.stages.values():
        if stage.verb == "mix":
            links[plan.out / "mix"] = plan.context.folder(stage) / "data"
        elif stage.verb == "documents":
            links[plan.out / "documents" / str(stage.corpus)] = plan.context.folder(stage) / "data"
    for link, target in links.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        relative = Path(
            *[".."] * len(link.parent.relative_to(plan.out).parts)
        ) / target.relative_to(plan.out)
        temp = link.with_name(f".{link.name}{TEMP_SUFFIX}")
        temp.unlink(missing_ok=True)
        temp.symlink_to(relative, target_is_directory=True)
        temp.rename(link)


def unreferenced(out: Path) -> list[Path]:
    """Folders of stages that no recipe on record refers to, and of models that the latest report
    of trial or swarm does not."""
    return [*_idle_stages(out), *_idle_models(out)]


def _idle_stages(out: Path) -> list[Path]:
    kept = {name for path in (out / "recipes").glob("*.json") for name in recorded_stages(path)}
    folder = out / "stages"
    found = sorted(folder.iterdir()) if folder.exists() else []
    return [path for path in found if path.is_dir() and path.name not in kept]


def _idle_models(out: Path) -> list[Path]:
    """Runs of former trials, and those that were never finished."""
    manifests = [read_report_manifest(out / name) for name in ("trial", "optimise")]
    kept = {run.hash for manifest in manifests if manifest for run in manifest.runs}
    found = sorted(path for path in (out / "trial").glob("*-*-*") if path.is_dir())
    return [path for path in found if path.name.rpartition("-")[2] not in kept]


def collect_garbage(out: Path, say: Callable[[Path, int], None], *, dry_run: bool) -> int:
    """Remove what no recipe refers to; returns bytes freed (or that would be).

    Raises:
        DataError: it is no run's folder.
        LockedError: a run holds the folder.
    """
    if not (out / "stages").is_dir():
        raise DataError(str(out), "is not the folder of a run", do="give the one with stages/")
    total = 0
    with run_lock(out):
        for path in unreferenced(out):
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            say(path, size)
            total += size
            if not dry_run:
                shutil.rmtree(path)
    return total
