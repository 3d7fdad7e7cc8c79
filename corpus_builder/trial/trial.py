"""A trial from recipe to report: build what the arms share, forecast, train, compare, write.

Invariant: what is trained is decided before the first run ends; whatever kills a trial, the same
command trains only what is missing and comes to the same report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

from ..engine import LocalEngine
from ..plan import Resources
from ..recipe import BASE_ARM, Recipe
from ..runner import Watcher, run_plan
from ..store.atomic import run_lock
from ..store.errors import CorpusError
from .arms import Arm, forget_former_arms, mix_of, plan_arms, trial_of
from .data import ArmData, Heldout, arm_data, heldout_of, nests, same_sequences
from .runs import FEWEST_STEPS, Run, Settings, Training, find_run, read_run, settings_of

if TYPE_CHECKING:
    from ..stages.base import Stage
    from ..store.manifest import StageManifest
    from .prospect import Fit, Prospect, Speed
    from .report import TrialReport

PACKAGES = ("torch", "scipy")


class Follower(Watcher, Protocol):
    """Who is told what a trial is doing."""

    def foreseen(self, prospect: Prospect) -> None:
        """The corpora are built; this is what training will cost, and what it could see."""

    def trained(self, runs: int, tokens: int) -> None:
        """Of the runs to train, so many are over, and so many tokens in all are done."""


@dataclass(frozen=True)
class Design:
    """What is compared: the arms' data, the text they are scored on, what counts.

    Attributes:
        data: by arm, the base first; of arms that can be compared only.
        apart: arm -> corpora whose documents it changes, where no target was declared.
        headline: weight of each corpus.
    """

    recipe: Recipe
    arms: Mapping[str, Arm]
    data: Mapping[str, ArmData]
    apart: Mapping[str, tuple[str, ...]]
    heldout: Heldout
    headline: Mapping[str, float]

    def runs(self, settings: Settings, seeds: int) -> dict[tuple[str, int], Run]:
        """Every run, seed by seed, so that what is done first can be compared first."""
        base = self.data[BASE_ARM]
        return {
            (arm, seed): Run(
                arm, seed, settings, data,
                data.order(seed, None if arm == BASE_ARM else base), self.heldout,
            )
            for seed in range(seeds)
            for arm, data in self.data.items()
        }  # fmt: skip

    def pairing(self) -> dict[str, dict[str, Any]]:
        """Of each arm: whether its order is nested, and the share of slots it has in common."""
        base = self.data[BASE_ARM]
        return {
            arm: {"nested": nests(data, base), "same_sequences": same_sequences(data, base)}
            for arm, data in self.data.items()
            if arm != BASE_ARM
        }


def require_packages() -> None:
    """Refuse to begin what could not be ended.

    Raises:
        CorpusError: torch or scipy is missing.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        what = f"needs {' and '.join(missing)}, not installed here"
        raise CorpusError("corpus trial", what, do='pip install "corpus-builder[trial]"')


def run_trial(
    recipe: Recipe, out: Path, resources: Resources, follower: Follower,
    *, budget: float | None = None,
) -> TrialReport:  # fmt: skip
    """Run the trial of a recipe, or what is left of it.

    Args:
        out: the run's folder; the trial lies in `trial/` below it.
        budget: seconds that training may take; fits tokens and seeds to them.

    Raises:
        RecipeError: the recipe has no trial, or the budget is too small.
        DataError: a corpus is too short for an arm's weights, or holds too little out.
        CorpusError: whatever building or training raised; finished runs are kept.
    """
    require_packages()
    arms = plan_arms(recipe, out)
    _build(recipe, arms, out, resources, follower)
    with run_lock(out), LocalEngine(out / ".engine", resources.workers) as engine:
        return _Trial(recipe, arms, out / "trial", engine, follower).run(budget)


def _build(
    recipe: Recipe, arms: Sequence[Arm], out: Path, resources: Resources, follower: Watcher
) -> None:
    """The stages that the trial reads; of the base first, which lends to the others."""
    watcher = _News(follower)
    for arm in arms:
        run_plan(arm.plan, resources, until=arm.wanted, watcher=watcher)
    forget_former_arms(recipe, out)


class _News:
    """Passes on what is sealed for the first time: arms share most of their stages."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher, self._seen = watcher, set[str]()
        self.launched, self.progressed = watcher.launched, watcher.progressed

    def sealed(self, stage: Stage, manifest: StageManifest) -> None:
        if stage.id not in self._seen:
            self._seen.add(stage.id)
            self._watcher.sealed(stage, manifest)


class _Trial:
    def __init__(
        self, recipe: Recipe, arms: Sequence[Arm], folder: Path, engine: LocalEngine,
        follower: Follower,
    ) -> None:  # fmt: skip
        self.recipe, self.folder = recipe, folder
        self.engine, self.follower = engine, follower
        self.arms = {arm.name: arm for arm in arms}
        self.trial, self.mix = trial_of(recipe), mix_of(recipe)
        self._wanted_tokens = self.trial.tokens or self.mix.tokens

    def run(self, budget: float | None) -> TrialReport:
        from .report import TrialReport, write_report

        tokens, seeds = self._wanted_tokens, self.trial.seeds
        design = self._design(tokens)
        speed: Speed | None = None
        if budget is not None and len(design.data) > 1:
            found = self._fit(design, budget)
            tokens, seeds = found.tokens, found.seeds
        settings = self._settings(design, tokens)
        design = self._design(settings.tokens)
        runs = design.runs(settings, seeds) if len(design.data) > 1 else {}
        due: dict[str, Run] = {}
        for run in runs.values():  # arms with the same data share their runs: the first trains
            if find_run(self.folder, run) is None:
                due.setdefault(run.hash, run)
        speed = self._speed(list(due.values())) if due else None
        prospect = self._prospect(design, settings, seeds, (len(runs), len(due)), speed)
        self.follower.foreseen(prospect)
        self._train({run.name: run for run in due.values()})
        results = {key: read_run(_found(self.folder, run), run) for key, run in runs.items()}
        report = TrialReport.of(design, settings, prospect, results)
        write_report(self.folder, report, runs)
        return report

    def _design(self, tokens: int) -> Design:
        """What can be compared, at a budget of `tokens` a run."""
        base = arm_data(self.arms[BASE_ARM], tokens)
        target = self.trial.target
        headline = target or {part.name: float(part.realised) for part in base.allocations}
        headline = {name: weight for name, weight in headline.items() if weight > 0}
        apart = {
            arm.name: arm.changed for arm in self.arms.values() if arm.changed and target is None
        }
        data = {
            name: base if name == BASE_ARM else arm_data(arm, tokens)
            for name, arm in self.arms.items()
            if name not in apart
        }
        heldout = heldout_of(self.arms[BASE_ARM], list(headline))
        return Design(self.recipe, self.arms, data, apart, heldout, headline)

    def _settings(self, design: Design, tokens: int) -> Settings:
        return settings_of(self.trial, self.mix, design.data[BASE_ARM].vocab, tokens)

    def _fit(self, design: Design, budget: float) -> Fit:
        """Seeds and tokens for a time; the same again for the same trial."""
        from .prospect import Fit, fit, remembered_fit

        wanted = Fit(self.trial.seeds, self._settings(design, self._wanted_tokens).tokens)
        contents = {arm: dict(data.contents) for arm, data in design.data.items()}
        key = [budget, self.recipe.to_canonical(), contents, self.engine.workers]
        known = remembered_fit(self.folder, key)
        if known is not None:
            return known
        settings = self._settings(design, wanted.tokens)
        runs = list(design.runs(settings, wanted.seeds).values())
        least = FEWEST_STEPS * self.mix.sequence_length
        found = fit(budget, self._speed(runs), len(design.data), wanted, min(least, wanted.tokens))
        return remembered_fit(self.folder, key, found) or found

    def _speed(self, runs: list[Run]) -> Speed:
        """Measured on as many processes as will train at once."""
        from .prospect import Speed

        chosen = runs[: self.engine.workers]
        tasks = [
            {"kind": "probe", "run": run.name, "label": f"how fast {run.name} trains"}
            for run in chosen
        ]
        self.follower.launched("measuring how fast models train", len(tasks))
        work = Training(self.folder, {run.name: run for run in chosen})
        found = self.engine.launch(tasks, work, lambda seen: None)
        rate = median(probe["tokens_per_second"] for probe in found)
        return Speed(rate, self.engine.workers, max(int(p["heldout_tokens"]) for p in found))

    def _prospect(
        self, design: Design, settings: Settings, seeds: int, runs: tuple[int, int],
        speed: Speed | None,
    ) -> Prospect:  # fmt: skip
        from .prospect import Prospect, design_of, margin_of

        documents = sum(design.heldout.corpora[corpus] for corpus in design.headline)
        arms, corpora = max(1, len(design.data) - 1), len(design.heldout.corpora)
        power = design_of(seeds, documents, arms, corpora)
        declared = self.trial.margin
        return Prospect(
            *runs, seeds, settings.tokens, speed, power, margin_of(power, declared),
            declared is not None,
        )  # fmt: skip

    def _train(self, due: Mapping[str, Run]) -> None:
        if not due:
            return
        tasks = [
            {"kind": "train", "run": name, "label": f"training {run.arm}, seed {run.seed}"}
            for name, run in due.items()
        ]
        self.follower.launched(f"training {len(tasks)} models", len(tasks))
        work = Training(self.folder, due)
        told: Callable[[Any], None] = partial(_tell, self.follower)
        self.engine.launch(tasks, work, told)


def _tell(follower: Follower, seen: Any) -> None:
    follower.trained(seen.tasks, seen.documents)


def _found(folder: Path, run: Run) -> Path:
    path = find_run(folder, run)
    if path is None:
        raise CorpusError(run.name, "was trained, yet left no result", do="run again")
    return path
