"""From a recipe to its best mix: build the corpora, train the swarm, fit, and write what was found.

Invariant: the same recipe, data and options give the same runs and the same answer; whatever kills
it, the same command trains only what is missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..engine import LocalEngine
from ..fingerprint import fingerprint
from ..plan import Resources, make_plan
from ..recipe import Recipe
from ..recipe_mix import Mix
from ..recipe_trial import BASE_ARM
from ..store.atomic import read_json, run_lock, write_json
from ..store.errors import DataError, RecipeError
from ..trial.arms import Arm, mix_of, trial_of
from ..trial.data import ArmData, Heldout, heldout_of
from ..trial.prospect import SPARE, Speed
from ..trial.runs import Run
from ..trial.settings import FEWEST_STEPS, Machine, Settings, settings_of
from ..trial.trainer import Trainer
from ..trial.trial import PRELOAD, build, require_packages
from .answer import HEADLINE, answer, effects, resamples
from .choosing import FEWEST, Swarm
from .proxies import Cost, Follower, base_data, bits_per_byte, runs_of
from .recipe import rounded, shortest
from .report import OptimiseReport, write_report
from .solving import Array
from .swarm import MOST_RUNS, Room, room_of, swarm

FEWEST_RUNS = 12


def run_optimise(
    recipe: Recipe, out: Path, resources: Resources, follower: Follower,
    *, runs: int, budget: float | None = None,
) -> OptimiseReport:  # fmt: skip
    """Find the best mix of a recipe for its `trial.target`.

    Args:
        out: the run's folder; models lie in `trial/` below it, the answer in `optimise/`.
        runs: of the swarm, FEWEST_RUNS to MOST_RUNS.
        budget: seconds that training may take; fits the runs' tokens, then their number, to it.

    Raises:
        RecipeError: no trial, no target, a mix in stages or buckets, one corpus, a name taken, too
            few runs, or too small a budget.
        DataError: the corpora are too short for the mix, hold too little out, or leave too few
            mixes to choose from.
        CorpusError: whatever building or training raised; finished runs are kept.
    """
    require_packages()
    target = target_of(recipe)
    if not FEWEST_RUNS <= runs <= MOST_RUNS:
        what, allowed = f"{runs:,} runs", f"allowed: {FEWEST_RUNS} to {MOST_RUNS:,}"
        raise RecipeError("runs", what, allowed=allowed, do="better 4 to 10 for each corpus")
    base = Arm(BASE_ARM, make_plan(recipe, out))
    build([base], resources, follower)
    with run_lock(out), LocalEngine(out / ".engine", resources.workers, PRELOAD) as engine:
        trainer = Trainer(out / "trial", engine, follower, resources.whole)
        return _Optimisation(recipe, base, target, out, trainer, follower).run(runs, budget)


def target_of(recipe: Recipe) -> dict[str, float]:
    """What the mix is to be good at: weights over held-out corpora, summing to 1.

    Raises:
        RecipeError: the recipe declares none, its mix is not one set of weights over at least two
            corpora, or a held-out text is called HEADLINE.
    """
    target = recipe.trial.target if recipe.trial else None
    if target is None:
        where = recipe.tree.locate(["trial"])
        what = "trial.target is missing: what is the mix to be good at?"
        example = f"trial: {{model: 1M, target: {{{next(iter(recipe.corpora))}: 1}}}}"
        raise RecipeError(where, what, do=f"name held-out corpora with weights, as in `{example}`")
    _refuse_name(recipe)
    _refuse_mix(recipe, mix_of(recipe))
    total = sum(target.values())
    return {name: weight / total for name, weight in target.items()}


def _refuse_name(recipe: Recipe) -> None:
    for path in recipe.scored_as(HEADLINE):
        what = f"{'.'.join(path)}: optimise calls the weighted mean of its targets so"
        raise RecipeError(recipe.tree.locate(path), what, do="rename it")


def _refuse_mix(recipe: Recipe, mix: Mix) -> None:
    if mix.stages is not None:
        where = recipe.tree.locate(["mix", "stages"])
        do = "give mix.weights or mix.sampler in their place"
        raise RecipeError(where, "optimise finds one set of weights, not stages", do=do)
    if mix.buckets is not None:
        where = recipe.tree.locate(["mix", "buckets"])
        do = "make each bucket a corpus of its own by a filter"
        raise RecipeError(where, "optimise weighs whole corpora, not buckets", do=do)
    weighted = [name for name in recipe.corpora if not mix.weights or mix.weights[name] > 0]
    if len(weighted) < 2:
        where = recipe.tree.locate(["mix", "weights" if mix.weights else "sampler"])
        do = "give at least two corpora a weight above 0"
        raise RecipeError(where, f"corpus {weighted[0]!r} alone leaves nothing to optimise", do=do)


@dataclass
class _Optimisation:
    recipe: Recipe
    base: Arm
    target: Mapping[str, float]
    out: Path
    trainer: Trainer
    follower: Follower

    def __post_init__(self) -> None:
        self.trial, self.mix = trial_of(self.recipe), mix_of(self.recipe)
        self.engine = self.trainer.engine
        self.available = self.base.mix.available(self.base.plan.context)
        self.max_epochs: Mapping[str, Fraction] = self.base.mix.mix.max_epochs
        budget = self.mix.tokens // self.mix.sequence_length
        room_of(self.available, self.max_epochs, [budget])  # refuses what is too short
        self.data: ArmData = base_data(self.base, self.available)
        self.heldout: Heldout = heldout_of(self.base, list(self.target))

    def run(self, runs: int, budget: float | None) -> OptimiseReport:
        tokens = self.trial.tokens or self.mix.tokens
        first, _ = self._proxies(1, self._settings(tokens, Machine()))
        machine = self.trainer.machine(first[0])
        if budget is not None:
            runs, tokens = self._fitted(runs, tokens, budget, machine)
        settings = self._settings(tokens, machine)
        made, mixes = self._proxies(runs, settings)
        refuse_alike(len(made), runs, settings)
        self._refuse_tight(settings)
        every = {run.name: run for run in made}
        due = self.trainer.due(every)
        speed = self.trainer.speed(due) if due else None
        self.follower.expected(Cost(len(made), len(due), settings.tokens, speed))
        self.trainer.train(every)
        self.follower.fitting()
        results = [self.trainer.result(run) for run in made]
        report = self._answered(mixes, bits_per_byte(results), settings)
        return write_report(self.out / "optimise", report, made, results)

    def _answered(
        self, mixes: Array, losses: Mapping[str, Array], settings: Settings
    ) -> OptimiseReport:
        seed, room = self.mix.seed, self._room(settings)
        measured = Swarm(
            mixes,
            np.stack([losses[corpus] for corpus in self.target]),
            np.array(list(self.target.values())),
        )
        return OptimiseReport(
            recipe=self.recipe,
            target=self.target,
            settings=settings,
            room=room,
            sequences=self.mix.tokens // self.mix.sequence_length,
            available=self.available,
            mixes=mixes,
            losses=losses,
            answer=answer(room, measured, seed),
            effects=effects(room, mixes, losses, resamples(len(mixes), seed), self.target),
        )

    def _refuse_tight(self, settings: Settings) -> None:
        """Before training: whether mixes can be written down for a run of this length."""
        room, sequences = self._room(settings), self.mix.tokens // self.mix.sequence_length
        rounded(room, room.natural, shortest(sequences, settings))

    def _settings(self, tokens: int, machine: Machine) -> Settings:
        return settings_of(self.trial, self.mix, self.data.vocab, tokens, machine)

    def _room(self, settings: Settings) -> Room:
        length = self.mix.sequence_length
        budgets = [settings.tokens // length, self.mix.tokens // length]
        return room_of(self.available, self.max_epochs, budgets)

    def _proxies(self, runs: int, settings: Settings) -> tuple[tuple[Run, ...], Array]:
        room = self._room(settings)
        mixes = swarm(room, runs, self.mix.seed)
        return runs_of(room, mixes, self.data, self.max_epochs, settings, self.heldout)

    def _fitted(self, runs: int, tokens: int, budget: float, machine: Machine) -> tuple[int, int]:
        """Runs and tokens for a time; the same again for the same optimisation."""
        key = [budget, runs, self.recipe.to_canonical(), dict(self.data.contents),
               self.engine.workers]  # fmt: skip
        path = self.out / "optimise" / "budgets" / f"{fingerprint(key)[:16]}.json"
        if not path.exists():
            settings = self._settings(tokens, machine)
            speed = self.trainer.speed(self._proxies(self.engine.workers, settings)[0])
            least = min(FEWEST_STEPS * self.mix.sequence_length, settings.tokens)
            found = fitted(budget, speed, (runs, settings.tokens), least)
            write_json(path, dict(zip(("runs", "tokens"), found, strict=True)))
        known = read_json(path)
        return int(known["runs"]), int(known["tokens"])


def refuse_alike(distinct: int, runs: int, settings: Settings) -> None:
    """Raise `DataError` unless enough of the swarm's mixes differ for a regression."""
    if distinct < FEWEST:
        sequences = settings.steps * settings.sequences
        what = (
            f"{runs} mixes come to {distinct} in runs of {sequences:,} sequences: the caps leave "
            "nothing to choose"
        )
        do = "lower mix.tokens or raise mix.max_epochs, or give each run more tokens"
        raise DataError("mix", what, allowed=f"at least {FEWEST} must differ", do=do)


def fitted(budget: float, speed: Speed, wanted: tuple[int, int], least: int) -> tuple[int, int]:
    """Runs and tokens of each that take about `budget` seconds.

    Tokens are given up before runs, down to `least`: many short runs say more of mixes than a few
    long ones (2407.01492, section 4).

    Raises:
        RecipeError: not even FEWEST_RUNS of `least` tokens fit.
    """
    runs, tokens = wanted
    while runs > FEWEST_RUNS and speed.seconds(runs, least) > budget:
        runs -= 1
    needed = speed.seconds(runs, least)
    if needed > budget:
        what = f"{budget:.0f} s are too few for {runs} runs, {least:,} tokens each, at {speed}"
        raise RecipeError("--budget", what, do=f"give it {math.ceil(SPARE * needed)} s")
    return runs, max(least, min(tokens, int(speed.affordable(runs, budget))))
