"""A trial from recipe to report: build what the arms share, forecast, train, compare, write.

Invariant: what is trained, and when it is compared, is decided before the first run ends; whatever
kills a trial, the same command trains only what is missing and comes to the same report.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..engine import LocalEngine
from ..plan import Resources
from ..recipe import Recipe
from ..recipe_files import check_trial_files
from ..recipe_trial import BASE_ARM, FEWEST_DOCUMENTS, refuse_if_all_apart
from ..runner import Silent, Watcher, run_plan
from ..sources.texts import list_texts, read_texts
from ..store.atomic import run_lock
from ..store.errors import CorpusError, RecipeError
from .arms import Arm, forget_former_arms, mix_of, plan_arms, trial_of
from .design import Design, design_of
from .probes import Probe, probes_of
from .runs import Result, Run
from .settings import FEWEST_STEPS, Machine, Settings, settings_of
from .trainer import Trainer, TrainingFollower

if TYPE_CHECKING:
    from ..stages.base import Stage
    from ..store.manifest import StageManifest
    from .looks import Look, Looked
    from .prospect import Fit, Prospect, Shape, Speed
    from .report import ArmVerdict, TrialReport

PACKAGES = ("torch", "scipy")
PRELOAD = tuple(f"corpus_builder.{name}" for name in ("train.loop", "train.evaluate", "trial.work"))
"""Importing torch takes longer than training a tiny model: workers inherit it."""


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

    def goes_on(self, arms: int) -> bool:
        """Whether undecided arms may; the base alone (one of `arms`) leaves nothing to decide."""
        return self.until_decided and arms > 1


class Follower(TrainingFollower, Protocol):
    """Who is told what a trial is doing."""

    def foreseen(self, prospect: Prospect) -> None:
        """The corpora are built; this is what training will cost, and what it could see."""

    def looked(self, found: Looked) -> None:
        """The arms were compared, and could be again."""


class Unfollowed(Silent):
    """A follower that tells nobody."""

    def foreseen(self, prospect: Prospect) -> None: ...

    def looked(self, found: Looked) -> None: ...

    def trained(self, runs: int, tokens: int, nats: float) -> None: ...


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
        RecipeError: the recipe has no trial, or nothing to compare, or the budget is too small, or
            a file of minimal pairs is not one.
        DataError: a corpus is too short for an arm's weights, or holds too little out.
        CorpusError: whatever building or training raised; finished runs are kept.
    """
    with _built(recipe, out, resources, follower, options) as trial:
        return trial.run()


def forecast_trial(
    recipe: Recipe, out: Path, resources: Resources, follower: Follower,
    options: Options = Options(),
) -> Prospect:  # fmt: skip
    """What the trial of a recipe would cost and could see: builds what it needs, measures how fast
    a model trains, and trains none. Arguments and errors are those of `run_trial`.
    """
    with _built(recipe, out, resources, follower, options, looks=True) as trial:
        return trial.foresee().prospect


@contextmanager
def _built(
    recipe: Recipe, out: Path, resources: Resources, follower: Follower, options: Options, *,
    looks: bool = False,
) -> Iterator[_Trial]:  # fmt: skip
    """A trial whose arms are built; it holds the folder.

    Args:
        looks: what is on record of the recipe's name stays so.
    """
    require_packages()
    if options.budget is not None and not 0 < options.budget < math.inf:
        raise RecipeError("trial", f"a budget of {options.budget} seconds", allowed="above 0")
    trial = trial_of(recipe)
    if not trial.arms and not options.self_test:
        where = recipe.tree.locate(["trial"])
        do = "add `arms: {name: {path: value}}`, or try the trial itself with --self-test"
        raise RecipeError(where, "the trial has no arms", do=do)
    probes = check_before(recipe, options)
    arms = plan_arms(recipe, out)
    build([arm for arm in arms if arm.comparable(trial)], resources, follower, looks=looks)
    if not looks:
        forget_former_arms(recipe, out)
    with run_lock(out), LocalEngine(out / ".engine", resources.workers, PRELOAD) as engine:
        trainer = Trainer(out / "trial", engine, follower, resources.whole)
        yield _Trial(recipe, arms, probes, trainer, follower, options)


def check_before(recipe: Recipe, options: Options = Options()) -> tuple[Probe, ...]:
    """What can be known of a trial before anything is built.

    Raises:
        RecipeError: none of its arms can be compared, a file that recipe or arm names is not there,
            a tokenizer or file of minimal pairs is none, or a set of own texts in the target is too
            small.
        DataError: a file of minimal pairs cannot be read.
        SourceError: own texts cannot be read.
    """
    if not options.self_test:
        refuse_if_all_apart(recipe)
    check_trial_files(recipe)
    _refuse_few_texts(recipe)
    return probes_of(trial_of(recipe))


def _refuse_few_texts(recipe: Recipe) -> None:
    target, own = trial_of(recipe).target, recipe.heldout.texts if recipe.heldout else {}
    for name in (name for name in target or () if name in own):
        files = list_texts(own[name].files, own[name].text)
        texts = (row for file in files for row in read_texts(file))
        if (found := len([*islice(texts, FEWEST_DOCUMENTS)])) < FEWEST_DOCUMENTS:
            where = recipe.tree.locate(["heldout", "texts", name])
            what = f"heldout.texts.{name}: texts in it: {found}"
            allowed = f"at least {FEWEST_DOCUMENTS} are needed: intervals are about new texts"
            raise RecipeError(where, what, allowed=allowed, do="give it more")


def build(
    arms: Sequence[Arm], resources: Resources, follower: Watcher, *, looks: bool = False
) -> None:
    """The stages that a trial reads; of the base first, which lends to the others."""
    watcher = _News(follower)
    for arm in arms:
        run_plan(arm.plan, resources, until=arm.wanted, watcher=watcher, looks=looks)


class _News:
    """Passes on what is sealed for the first time: arms share most of their stages."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher, self._seen = watcher, set[str]()
        self.launched, self.progressed = watcher.launched, watcher.progressed

    def sealed(self, stage: Stage, manifest: StageManifest) -> None:
        if stage.id not in self._seen:
            self._seen.add(stage.id)
            self._watcher.sealed(stage, manifest)


@dataclass(frozen=True)
class _Foreseen:
    """What is going to be trained.

    Attributes:
        first: models up to the first look.
    """

    design: Design
    settings: Settings
    first: Mapping[tuple[str, int], Run]
    prospect: Prospect


@dataclass
class _Trial:
    recipe: Recipe
    planned: Sequence[Arm]
    probes: tuple[Probe, ...]
    trainer: Trainer
    follower: Follower
    options: Options
    runs: dict[tuple[str, int], Run] = field(default_factory=dict)
    results: dict[tuple[str, int], Result] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.arms = {arm.name: arm for arm in self.planned}
        self.trial, self.mix = trial_of(self.recipe), mix_of(self.recipe)
        self.folder = self.trainer.folder

    def run(self) -> TrialReport:
        """Everything after building."""
        from .report import TrialReport, write_report

        found = self.foresee()
        design, settings, prospect = found.design, found.settings, found.prospect
        self._train(found.first)
        verdicts = self._verdicts(design, settings, prospect)
        report = TrialReport.of(design, settings, prospect, self.options, verdicts, self.results)
        write_report(self.folder, report, self.runs)
        return report

    def foresee(self) -> _Foreseen:
        """Decide what is trained, and tell what it costs and could see."""
        from .checks import self_test_runs, slower_runs

        wanted = self.trial.tokens or self.mix.tokens
        design = design_of(self.recipe, self.arms, wanted, self.probes)
        usual = self._settings(design, wanted, Machine())
        machine = self.trainer.machine(design.run(BASE_ARM, 0, usual))
        fitted = self._fitted(design, wanted, machine)
        tokens, looks = fitted.tokens, self._looks(fitted, design)
        settings = self._settings(design, tokens, machine)
        design = design_of(self.recipe, self.arms, settings.tokens, self.probes)
        seeds = looks[0].seeds
        first = design.runs(settings, range(seeds))
        if self.options.self_test:
            first |= self_test_runs(design, settings, seeds)
        if self._checks_rates(design):
            first |= slower_runs(design, settings, seeds)
        due = self.trainer.due(first)
        speed = self.trainer.speed(due) if due else None
        models = len(first), len(due), fitted.more, len(design.data)
        prospect = self._prospect(design, settings, looks, models, speed)
        self.follower.foreseen(prospect)
        return _Foreseen(design, settings, first, prospect)

    def _checks_rates(self, design: Design) -> bool:
        """The base alone has no sign that could change."""
        return self.options.lr_check and len(design.data) > 1

    def _settings(self, design: Design, tokens: int, machine: Machine) -> Settings:
        return settings_of(self.trial, self.mix, design.data[BASE_ARM].vocab, tokens, machine)

    def _train(self, runs: Mapping[tuple[str, int], Run]) -> None:
        self.trainer.train(runs)
        self.runs |= runs
        self.results |= {key: self.trainer.result(run) for key, run in runs.items()}

    def _verdicts(
        self, design: Design, settings: Settings, prospect: Prospect
    ) -> dict[str, ArmVerdict]:
        """Compare at every look; at the next one only what is still undecided."""
        from .looks import Looked
        from .report import compared

        found: dict[str, ArmVerdict] = {}
        active = [arm for arm in design.data if arm != BASE_ARM]
        every, looks, more = len(active), prospect.looks, prospect.more
        for look, following in zip_longest(looks, looks[1:]):
            found |= compared(self.results, design, look, active, every, prospect.margin)
            active = [arm for arm in active if found[arm].undecided]
            if following is None:
                break
            seeds = range(look.seeds, following.seeds)
            runs = design.runs(settings, seeds, [BASE_ARM, *active]) if active else {}
            room = len(runs) <= more
            due = self.trainer.due(runs) if room else []
            seconds = prospect.speed.seconds(len(due), prospect.tokens) if prospect.speed else 0.0
            models = len(runs) if room else 0
            self.follower.looked(Looked(look.seeds, dict(found), models, len(due), seconds))
            if not runs or not room:
                break
            more -= len(runs)
            self._train(runs)
        return found

    def _fitted(self, design: Design, tokens: int, machine: Machine) -> Fit:
        """Seeds and tokens: as the recipe says, or as the budget allows."""
        from .looks import LONGER
        from .prospect import Fit

        if self.options.budget is not None:
            return self._fit(design, self.options.budget, machine)
        seeds = last = self.trial.seeds
        if self.options.goes_on(len(design.data)):
            last = LONGER * seeds
        return Fit(seeds, tokens, last, (last - seeds) * len(design.data))

    def _looks(self, fitted: Fit, design: Design) -> tuple[Look, ...]:
        from .looks import ALPHA, looks_until, one_look

        if self.options.goes_on(len(design.data)):
            return looks_until(fitted.seeds, fitted.last, ALPHA)
        return one_look(fitted.seeds, ALPHA)

    def _fit(self, design: Design, budget: float, machine: Machine) -> Fit:
        """Seeds and tokens for a time; the same again for the same trial."""
        from .prospect import Fit, fit, remembered_fit

        tokens = self.trial.tokens or self.mix.tokens
        settings = self._settings(design, tokens, machine)
        contents = {arm: dict(data.contents) for arm, data in design.data.items()}
        key = [
            budget, self.recipe.to_canonical(), contents, self.trainer.engine.workers,
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
        slower = arms * self._checks_rates(design)
        extra = (1 + len(DAMAGE)) * self.options.self_test + slower
        return Shape(arms, extra, self.options.goes_on(len(design.data)))

    def _prospect(
        self, design: Design, settings: Settings, looks: tuple[Look, ...],
        models: tuple[int, int, int, int], speed: Speed | None,
    ) -> Prospect:  # fmt: skip
        from .cautions import cautions
        from .prospect import Prospect, as_one_sample, margin_of, power_at

        documents = as_one_sample(design.headline, design.heldout.corpora)
        arms, corpora = max(1, len(design.data) - 1), len(design.heldout.corpora)
        power = power_at(looks[-1], documents, arms, corpora)
        declared = self.trial.margin
        return Prospect(
            *models, looks, settings.tokens, speed, power, margin_of(power, declared),
            declared is not None, cautions(design, settings.tokens),
        )  # fmt: skip
