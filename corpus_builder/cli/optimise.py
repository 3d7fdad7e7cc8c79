"""`optimise`: the best mix for a target, from a swarm of small models."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import (
    MEMORY,
    again,
    console,
    emit,
    json_option,
    literal,
    load,
    out_option,
    recipe_argument,
    set_option,
)
from .progress import TerminalWatcher
from .trial import Duration, duration_text

if TYPE_CHECKING:
    from rich.console import Console

    from ..optimise.answer import Interval
    from ..optimise.proxies import Cost
    from ..optimise.report import OptimiseReport


@click.command("optimise")
@recipe_argument
@out_option
@set_option
@click.option(
    "--runs", type=click.IntRange(12), default=64, show_default=True, metavar="N",
    help="Models to train, each on another mix; better 10 to a corpus, 4 at least.",
)  # fmt: skip
@click.option(
    "--budget", type=Duration(), metavar="TIME",
    help="Fit the models' tokens, then their number, to this training time, e.g. 30m.  "
    "[default: trial.tokens]",
)  # fmt: skip
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: all cores]")
@click.option("--memory", type=MEMORY, help="Memory for all of them, e.g. 4G.")
@click.option("--quiet", "-q", is_flag=True, help="Print the answer alone.")
@json_option
def optimise_command(
    recipe: str, out: Path | None, overrides: tuple[str, ...], runs: int, budget: float | None,
    workers: int | None, memory: int | None, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Find the weights of RECIPE's corpora that make the best model of its trial.target.

    Trains a swarm of small models (trial.model, trial.tokens), each on another mix within
    mix.max_epochs, fits how the loss on the target follows from the mix, and searches for the best
    one. Says how sure that is, which corpus helps which target, and when the optimum is flat:
    when nothing found is better than mixing corpora by their sizes.

    Writes optimise/best.yaml into the folder of the run: your recipe with these weights and a trial
    against the natural and the uniform mix. That trial uses seeds that the swarm did not; believe
    the mix when it holds there.

    Finished models are kept: the same command trains only what is missing, and --runs 96 after
    --runs 64 trains 32.
    """
    from ..optimise.optimise import run_optimise
    from ..plan import resources

    loaded = load(recipe, overrides)
    folder = out or Path("runs") / loaded.name
    watcher = SwarmWatcher(console(stderr=True), quiet=quiet or as_json)
    with watcher:
        report = run_optimise(
            loaded, folder, resources(workers, memory), watcher, runs=runs, budget=budget
        )
    if as_json:
        emit(report.as_json() | {"best_recipe": str(report.path)})
    else:
        print_report(console(), report, folder)


class SwarmWatcher(TerminalWatcher):
    """Shows building as `run` does, then the cost, then one bar for all models."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        super().__init__(console, quiet=quiet)
        self._goal, self._models, self._done = 0, 0, 0

    def expected(self, cost: Cost) -> None:
        """What the swarm will cost."""
        self._goal, self._models = cost.to_train * cost.tokens, cost.to_train
        if self.quiet:
            return
        self.console.print(
            f"[bold]swarm[/]    {cost.runs} models on as many mixes, {cost.tokens:,} tokens each; "
            f"{cost.runs - cost.to_train} are trained already"
        )
        if cost.speed is not None:
            about = f"about {duration_text(cost.seconds)}, scoring included"
            self.console.print(f"[bold]cost[/]     {about}, at {cost.speed}")

    def trained(self, runs: int, tokens: int, nats: float) -> None:
        """Move the bar."""
        if self._progress and self._task is not None:
            seconds = max(time.monotonic() - self._began, 1e-9)
            loss = f", loss {nats / tokens:.2f}" if tokens else ""
            rate = f"{tokens:,} tokens, {tokens / seconds:,.0f}/s{loss}"
            done, task = f"{runs}/{self._models} models", self._task
            self._progress.update(task, completed=tokens, total=self._goal, done=done, rate=rate)
        elif not self.quiet and runs > self._done:
            self._done = runs
            self.console.print(f"  {runs} of {self._models} models trained")

    def fitting(self) -> None:
        """All models are trained."""
        self.launched("fitting and resampling", 1)


def print_report(screen: Console, report: OptimiseReport, folder: Path) -> None:
    """The answer in the terminal."""
    answer, regression = report.answer, report.answer.regression
    screen.print(_weights(report))
    target = ", ".join(f"{weight:.0%} {corpus}" for corpus, weight in report.target.items())
    screen.print(
        f"best for: {target} of held-out text · {len(report.mixes)} runs of "
        f"{report.settings.tokens:,} tokens · by the {regression.name}, which explains "
        f"{max(0.0, regression.explained):.0%} of what differs between runs left out"
    )
    for name, gain in answer.gains.items():
        screen.print(
            f"predicted: {gain.value:.4f} bits per byte below the {name} mix "
            f"({gain.low:+.4f} to {gain.high:+.4f})"
        )
    if answer.finding == "cannot tell":
        screen.print(
            "[yellow]cannot tell[/]: the regression explains nothing of the runs left out, so the "
            "mix chosen means little; more runs may help (--runs)"
        )
    elif answer.finding == "flat":
        screen.print(
            "[yellow]flat optimum[/]: the swarm does not tell this mix from the natural one, which "
            "may be as good"
        )
    for name in report.binding:
        screen.print(f"[yellow]cap[/]  {name} would have more if mix.max_epochs let it")
    screen.print(_effects(report))
    for warning in report.warnings:
        screen.print(f"[yellow]note[/] {literal(warning)}")
    screen.print(f"[bold]recipe[/] {literal(report.path)}")
    for label, verb in (("test it: ", "trial"), ("run it:  ", "run")):
        command = again(verb, str(report.path), folder)
        screen.print(f"{label} {literal(command)}", soft_wrap=True)


def _weights(report: OptimiseReport) -> Any:
    from rich.table import Table

    table = Table(title="mix", box=None, pad_edge=False, title_justify="left")
    for title in ("corpus", "natural", "chosen", "best: 5-95 %", "not shown worse", "at most"):
        table.add_column(title, justify="left" if title == "corpus" else "right")
    for name, most in zip(report.room.names, report.room.most, strict=True):
        region, alike = report.answer.best[name], report.answer.alike[name]
        table.add_row(
            name, f"{report.natural[name]:.3f}", f"[bold]{report.weights[name]:.3f}[/]",
            f"{region.low:.3f} to {region.high:.3f}", f"{alike[0]:.3f} to {alike[1]:.3f}",
            f"{most:.3f}" if most < 1 else "-",
        )  # fmt: skip
    return table


def _effects(report: OptimiseReport) -> Any:
    from rich.table import Table

    title = (
        "\nwhat one more point of a corpus does, from the natural mix "
        "(1/1000 bit per byte; below 0 it helps; ?: sign not clear)"
    )
    table = Table(title=title, box=None, pad_edge=False, title_justify="left")
    table.add_column("held-out text")
    for name in report.room.names:
        table.add_column(name, justify="right")
    for target, row in report.effects.items():
        table.add_row(target, *(_effect(row[name]) for name in report.room.names))
    return table


def _effect(effect: Interval) -> str:
    low, high = 1000 * effect.low, 1000 * effect.high
    colour = {-1: "green", 0: "dim", 1: "red"}[effect.sign]
    mark = "" if effect.sign else "?"
    return f"[{colour}]{1000 * effect.value:+.1f}{mark}[/]\n[dim]{low:+.1f}..{high:+.1f}[/]"
