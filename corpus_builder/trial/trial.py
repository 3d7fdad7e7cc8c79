"""A trial from recipe to report: build what the arms share, forecast, train, compare, write.

Invariant: what is trained, and when it is compared, is decided before the first run ends; whatever
kills a trial, the same command trains only what is missing and comes to the same report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

from ..engine import LocalEngine
from ..fingerprint import fingerprint
from ..mixing.allocation import corpus_shares
from ..plan import Resources
from ..recipe import BASE_ARM, Recipe
from ..runner import Silent, Watcher, run_plan
from ..store.atomic import read_json, run_lock, write_json
from ..store.errors import CorpusError, RecipeError
from .arms import Arm, forget_former_arms, mix_of, plan_arms, trial_of
from .data import ArmData, Heldout, arm_data, heldout_of, nests, same_sequences
from .runs import (
    FEWEST_STEPS,
    Machine,
    Probe,
    Result,
    Run,
    Settings,
    Training,
    find_run,
    probes_of,
    read_run,
    settings_of,
)

if TYPE_CHECKING:
    from ..stages.base import Stage
    from ..store.manifest import StageManifest
    from .looks import Look
    from .prospect import Fit, Prospect, Shape, Speed
    from .report import ArmVerdict, TrialReport

PACKAGES = ("torch", "scipy")
PRELOAD = tuple(f"corpus_builder.{name}" for name in ("train.loop", "train.evaluate", "trial.runs"))
"""Importing torch takes longer than training a tiny model: workers inherit it."""

ALPHA = 0.05
LONGER = 4
"""With `until_decided` and no budget a trial goes on to so many times its seeds."""


@dataclass(frozen=True)
class Options:
    """How a trial is run.

    Attributes:
        budget: seconds that training may take; fits tokens and seeds to them.
        self_test: also train an A/A arm and a damaged series, and judge the trial by them.
        lr_check: also train everything at a tenth of the learning rate.
        until_decided: go on with more seeds while an arm's headline is undecided.
    """

    budget: float | None = None
    self_test: bool = False
    lr_check: bool = False
    until_decided: bool = False


class TrainingFollower(Watcher, Protocol):
    """Who is told how training goes."""

    def trained(self, runs: int, tokens: int, nats: float) -> None:
        """Of the runs being trained, so many are over, so many tokens in all are done, and the
        loss summed over them is this."""


class Follower(TrainingFollower, Protocol):
    """Who is told what a trial is doing."""

    def foreseen(self, prospect: Prospect) -> None:
        """The corpora are built; this is what training will cost, and what it could see."""

    def looked(self, seeds: int, undecided: Sequence[str]) -> None:
        """The arms were compared after so many seeds; these are to go on."""


class Unfollowed(Silent):
    """A follower that tells nobody."""

    def foreseen(self, prospect: Prospect) -> None: ...

    def looked(self, seeds: int, undecided: Sequence[str]) -> None: ...

    def trained(self, runs: int, tokens: int, nats: float) -> None: ...


@dataclass(frozen=True)
class Design:
    """What is compared: the arms' data, the text they are scored on, what counts.

    Attributes:
        data: by arm, the base first; of arms that can be compared only.
        apart: arm -> corpora whose documents it changes, where no target was declared.
        headline: weight of each corpus.
        probes: minimal pairs that every model is tried on.
    """

    recipe: Recipe
    arms: Mapping[str, Arm]
    data: Mapping[str, ArmData]
    apart: Mapping[str, tuple[str, ...]]
    heldout: Heldout
    headline: Mapping[str, float]
    probes: tuple[Probe, ...] = ()

    def run(self, arm: str, seed: int, settings: Settings) -> Run:
        """An arm with a seed, its order nested in the base's."""
        data, base = self.data[arm], self.data[BASE_ARM]
        order = data.order(seed, None if arm == BASE_ARM else base)
        return Run(
            arm, seed, settings, data, order, self.heldout, probes=self.probes,
            alignments={} if arm == BASE_ARM else data.alignments(seed, base),
        )  # fmt: skip

    def runs(
        self, settings: Settings, seeds: Sequence[int], arms: Sequence[str] | None = None
    ) -> dict[tuple[str, int], Run]:
        """Every run, seed by seed, so that what is done first can be compared first."""
        names = list(self.data) if arms is None else arms
        return {(arm, seed): self.run(arm, seed, settings) for seed in seeds for arm in names}

    def pairing(self) -> dict[str, dict[str, Any]]:
        """Of each arm: whether its order is nested, the corpora whose sequences are others, and
        the share of slots it has in common (in those: of sequences from the same places)."""
        base = self.data[BASE_ARM]
        return {
            arm: {
                "nested": nests(data, base),
                "aligned": list(data.alignments(0, base)),
                "same_sequences": same_sequences(data, base),
            }
            for arm, data in self.data.items()
            if arm != BASE_ARM
        }


def require_packages() -> None:
    """Refuse to begin what could not be ended.

    Raises:
        CorpusError: torch or scipy is missing.
    """
    missing = missing_packages()
    if missing:
        what = f"needs {' and '.join(missing)}, not installed here"
        raise CorpusError("corpus trial", what, do='pip install "corpus-builder[trial]"')


def missing_packages() -> list[str]:
    """Of those that trials need."""
    return [name for name in PACKAGES if find_spec(name) is None]


def run_trial(
    recipe: Recipe, out: Path, resources: Resources, follower: Follower,
    options: Options = Options(),
) -> TrialReport:  # fmt: skip
    """Run the trial of a recipe, or what is left of it.

    Args:
        out: the run's folder; the trial lies in `trial/` below it.

    Raises:
        RecipeError: the recipe has no trial, or nothing to compare, or the budget is too small.
        DataError: a corpus is too short for an arm's weights, or holds too little out.
        CorpusError: whatever building or training raised; finished runs are kept.
    """
    require_packages()
    trial = trial_of(recipe)
    if not trial.arms and not options.self_test:
        where = recipe.tree.locate(["trial"])
        do = "add `arms: {name: {path: value}}`, or try the trial itself with --self-test"
        raise RecipeError(where, "the trial has no arms", do=do)
    arms = plan_arms(recipe, out)
    build(arms, resources, follower)
    forget_former_arms(recipe, out)
    with run_lock(out), LocalEngine(out / ".engine", resources.workers, PRELOAD) as engine:
        return _Trial(recipe, arms, out / "trial", engine, follower, options).run()


def build(arms: Sequence[Arm], resources: Resources, follower: Watcher) -> None:
    """The stages that a trial reads; of the base first, which lends to the others."""
    watcher = _News(follower)
    for arm in arms:
        run_plan(arm.plan, resources, until=arm.wanted, watcher=watcher)


class _News:
    """Passes on what is sealed for the first time: arms share most of their stages."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher, self._seen = watcher, set[str]()
        self.launched, self.progressed = watcher.launched, watcher.progressed

    def sealed(self, stage: Stage, manifest: StageManifest) -> None:
        if stage.id not in self._seen:
            self._seen.add(stage.id)
            self._watcher.sealed(stage, manifest)


def design_of(recipe: Recipe, arms: Mapping[str, Arm], tokens: int) -> Design:
    """What can be compared, at a budget of `tokens` a run; the arms are built.

    Raises:
        DataError: a corpus is too short for an arm's weights, or holds too little out.
        RecipeError: a file of minimal pairs is not there.
    """
    trial = trial_of(recipe)
    base = arm_data(arms[BASE_ARM], tokens)
    shares = corpus_shares(base.allocations)
    headline = trial.target or {name: float(share) for name, share in shares.items() if share > 0}
    apart = {arm.name: arm.changed for arm in arms.values() if arm.changed and trial.target is None}
    data = {
        name: base if name == BASE_ARM else arm_data(arm, tokens)
        for name, arm in arms.items()
        if name not in apart
    }
    heldout = heldout_of(arms[BASE_ARM], list(headline))
    return Design(recipe, arms, data, apart, heldout, headline, probes_of(trial))


class Trainer:
    """Trains runs and keeps what they come to, in the processes of an engine."""

    def __init__(self, folder: Path, engine: LocalEngine, follower: TrainingFollower) -> None:
        self.folder, self.engine, self.follower = folder, engine, follower

    def machine(self, run: Run) -> Machine:
        """What this model trains fastest on; the same again for the same trial folder."""
        key = fingerprint([str(run.settings.shape), run.data.vocab])
        path = self.folder / "machines" / f"{key[:16]}.json"
        if not path.exists():
            task = {"kind": "machine", "run": run.name, "label": "finding the faster number format"}
            self.follower.launched(str(task["label"]), 1)
            work = Training(self.folder, {run.name: run})
            (found,) = self.engine.launch([task], work, lambda seen: None)
            write_json(path, found)
        return Machine(**read_json(path))

    def due(self, runs: Mapping[Any, Run]) -> list[Run]:
        """Those not trained yet; of runs with the same content the first."""
        due: dict[str, Run] = {}
        for run in runs.values():
            if run.hash not in due and find_run(self.folder, run) is None:
                due[run.hash] = run
        return list(due.values())

    def speed(self, runs: Sequence[Run]) -> Speed:
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

    def train(self, runs: Mapping[Any, Run]) -> None:
        """Train what is due."""
        due = {run.name: run for run in self.due(runs)}
        if not due:
            return
        tasks = [
            {"kind": "train", "run": name, "label": f"training {run.arm}, seed {run.seed}"}
            for name, run in due.items()
        ]
        self.follower.launched(f"training {len(tasks)} models", len(tasks))
        told: Callable[[Any], None] = partial(_tell, self.follower)
        self.engine.launch(tasks, Training(self.folder, due), told)

    def result(self, run: Run) -> Result:
        """What a trained run came to."""
        path = find_run(self.folder, run)
        if path is None:
            raise CorpusError(run.name, "was trained, yet left no result", do="run again")
        return read_run(path, run)


@dataclass
class _Trial:
    recipe: Recipe
    planned: Sequence[Arm]
    folder: Path
    engine: LocalEngine
    follower: Follower
    options: Options
    runs: dict[tuple[str, int], Run] = field(default_factory=dict)
    results: dict[tuple[str, int], Result] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.arms = {arm.name: arm for arm in self.planned}
        self.trial, self.mix = trial_of(self.recipe), mix_of(self.recipe)
        self.trainer = Trainer(self.folder, self.engine, self.follower)

    def run(self) -> TrialReport:
        """Everything after building."""
        from .checks import self_test_runs, slower_runs
        from .report import TrialReport, write_report

        wanted = self.trial.tokens or self.mix.tokens
        design = design_of(self.recipe, self.arms, wanted)
        usual = self._settings(design, wanted, Machine())
        if not self._compares(design):
            report = TrialReport.of_nothing(design, usual)
            write_report(self.folder, report, {})
            return report
        machine = self.trainer.machine(design.run(BASE_ARM, 0, usual))
        fitted = self._fitted(design, wanted, machine)
        tokens, looks = fitted.tokens, self._looks(fitted)
        settings = self._settings(design, tokens, machine)
        design = design_of(self.recipe, self.arms, settings.tokens)
        seeds = looks[0].seeds
        first = design.runs(settings, range(seeds))
        if self.options.self_test:
            first |= self_test_runs(design, settings, seeds)
        if self.options.lr_check:
            first |= slower_runs(design, settings, seeds)
        due = self.trainer.due(first)
        speed = self.trainer.speed(due) if due else None
        prospect = self._prospect(design, settings, looks, (len(first), len(due)), speed)
        self.follower.foreseen(prospect)
        self._train(first)
        verdicts = self._verdicts(design, settings, prospect, fitted.more)
        report = TrialReport.of(design, settings, prospect, self.options, verdicts, self.results)
        write_report(self.folder, report, self.runs)
        return report

    def _compares(self, design: Design) -> bool:
        return len(design.data) > 1 or self.options.self_test

    def _settings(self, design: Design, tokens: int, machine: Machine) -> Settings:
        return settings_of(self.trial, self.mix, design.data[BASE_ARM].vocab, tokens, machine)

    def _train(self, runs: Mapping[tuple[str, int], Run]) -> None:
        self.trainer.train(runs)
        self.runs |= runs
        self.results |= {key: self.trainer.result(run) for key, run in runs.items()}

    def _verdicts(
        self, design: Design, settings: Settings, prospect: Prospect, more: int
    ) -> dict[str, ArmVerdict]:
        """Compare at every look; at the next one only what is still undecided.

        Args:
            more: models that may be trained after the first look.
        """
        from .report import compared

        found: dict[str, ArmVerdict] = {}
        active = [arm for arm in design.data if arm != BASE_ARM]
        every, looks = len(active), prospect.looks
        for number, look in enumerate(looks):
            if number:
                seeds = range(looks[number - 1].seeds, look.seeds)
                models = len(seeds) * (1 + len(active))
                if not active or models > more:
                    break
                more -= models
                self._train(design.runs(settings, seeds, [BASE_ARM, *active]))
            found |= compared(self.results, design, look, active, every, prospect.margin)
            active = [arm for arm in active if found[arm].undecided]
            if number + 1 < len(looks):
                self.follower.looked(look.seeds, active)
        return found

    def _fitted(self, design: Design, tokens: int, machine: Machine) -> Fit:
        """Seeds and tokens: as the recipe says, or as the budget allows."""
        from .looks import MOST_SEEDS
        from .prospect import Fit

        if self.options.budget is not None:
            return self._fit(design, self.options.budget, machine)
        seeds = last = self.trial.seeds
        if self.options.until_decided:
            last = max(seeds, min(LONGER * seeds, MOST_SEEDS))
        return Fit(seeds, tokens, last, (last - seeds) * len(design.data))

    def _looks(self, fitted: Fit) -> tuple[Look, ...]:
        from .looks import looks_until, one_look

        if self.options.until_decided:
            return looks_until(fitted.seeds, fitted.last, ALPHA)
        return one_look(fitted.seeds, ALPHA)

    def _fit(self, design: Design, budget: float, machine: Machine) -> Fit:
        """Seeds and tokens for a time; the same again for the same trial."""
        from .prospect import Fit, fit, remembered_fit

        tokens = self.trial.tokens or self.mix.tokens
        settings = self._settings(design, tokens, machine)
        contents = {arm: dict(data.contents) for arm, data in design.data.items()}
        key = [
            budget, self.recipe.to_canonical(), contents, self.engine.workers,
            self.options.self_test, self.options.lr_check, self.options.until_decided,
        ]  # fmt: skip
        known = remembered_fit(self.folder, key)
        if known is not None:
            return known
        seeds = self.trial.seeds
        speed = self.trainer.speed(list(design.runs(settings, range(seeds)).values()))
        least = min(FEWEST_STEPS * self.mix.sequence_length, settings.tokens)
        wanted = Fit(seeds, settings.tokens, seeds)
        found = fit(budget, speed, self._shape(design), wanted, least)
        return remembered_fit(self.folder, key, found) or found

    def _shape(self, design: Design) -> Shape:
        from .checks import DAMAGE
        from .prospect import Shape

        arms = len(design.data)
        extra = (1 + len(DAMAGE)) * self.options.self_test + arms * self.options.lr_check
        return Shape(arms, extra, self.options.until_decided)

    def _prospect(
        self, design: Design, settings: Settings, looks: tuple[Look, ...], runs: tuple[int, int],
        speed: Speed | None,
    ) -> Prospect:  # fmt: skip
        from .prospect import Prospect, margin_of, power_at

        documents = sum(design.heldout.corpora[corpus] for corpus in design.headline)
        arms, corpora = max(1, len(design.data) - 1), len(design.heldout.corpora)
        power = power_at(looks[-1], documents, arms, corpora)
        declared = self.trial.margin
        return Prospect(
            *runs, looks, settings.tokens, speed, power, margin_of(power, declared),
            declared is not None,
        )  # fmt: skip


def _tell(follower: TrainingFollower, seen: Any) -> None:
    follower.trained(seen.tasks, seen.documents, seen.bytes / 1000)
