"""`trial`: the arms of a recipe compared by training small models."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import (
    MEMORY,
    console,
    counted,
    emit,
    json_option,
    load,
    note_arms_apart,
    out_option,
    recipe_argument,
    set_option,
)
from .progress import TerminalWatcher
from .trial_report import print_report

if TYPE_CHECKING:
    from rich.console import Console

    from ..trial.prospect import Prospect

_SECONDS = {"s": 1, "m": 60, "h": 3600}


class Duration(click.ParamType[float]):
    """A time above 0 with its unit: 90s, 5m, 2h."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            seconds = float(text[:-1]) * _SECONDS[text[-1:]]
        except (KeyError, ValueError):
            seconds = math.nan
        if not 0 < seconds < math.inf:
            allowed = "a number above 0 with s, m or h, such as 5m"
            self.fail(f"{value!r} is not a time; allowed: {allowed}", param, ctx)
        return seconds


@click.command("trial")
@recipe_argument
@out_option
@set_option
@click.option(
    "--budget", type=Duration(), metavar="TIME",
    help="Fit tokens and seeds to this training time, e.g. 5m.  [default: as the recipe says]",
)  # fmt: skip
@click.option(
    "--self-test", is_flag=True,
    help="Also train the base on data drawn anew (it must not differ) and on shuffled tokens (they "
    "must be seen to be worse, in order); else the report is void.",
)  # fmt: skip
@click.option(
    "--lr-check", is_flag=True,
    help="Also train everything at a tenth of the learning rate: does each sign hold?",
)  # fmt: skip
@click.option(
    "--until-decided", is_flag=True,
    help="Go on with more seeds for arms on which the trial cannot tell (to 4 times the recipe's "
    "seeds, or as --budget allows); alpha is spread over the looks.",
)  # fmt: skip
@click.option(
    "--forecast", is_flag=True,
    help="Build what the arms need, say what training would cost and could detect, and train "
    "nothing.",
)  # fmt: skip
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: all cores]")
@click.option("--memory", type=MEMORY, help="Memory for all of them, e.g. 4G.")
@click.option("--quiet", "-q", is_flag=True, help="Print the report alone.")
@json_option
def trial_command(
    recipe: str, out: Path | None, overrides: tuple[str, ...], budget: float | None,
    self_test: bool, lr_check: bool, until_decided: bool, forecast: bool,
    workers: int | None, memory: int | None, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Compare the arms of RECIPE by training small models on each, with the same seeds.

    Builds what the arms need (what they share, once), says what training will cost and the
    smallest difference it could detect, trains, and says of every arm: better, worse, equivalent
    or cannot tell. Finished models are kept: after an interruption or with another arm, the same
    command trains only what is missing. The exit code is 0 whatever the verdicts, and 1 where
    --self-test makes the report void.
    """
    from ..plan import resources
    from ..recipe_trial import arms_apart
    from ..trial.trial import Options, forecast_trial, run_trial

    loaded = load(recipe, overrides)
    folder = out or Path("runs") / loaded.name
    given = resources(workers, memory)
    options = Options(budget, self_test, lr_check, until_decided)
    if not quiet:
        note_arms_apart(console(stderr=True), arms_apart(loaded))
    watcher = TrialWatcher(console(stderr=True), quiet=quiet or as_json, tells=not forecast)
    if forecast:
        with watcher:
            prospect = forecast_trial(loaded, folder, given, watcher, options)
        print_forecast(prospect, as_json=as_json)
        return
    with watcher:
        report = run_trial(loaded, folder, given, watcher, options)
    if as_json:
        emit(report.as_json())
    else:
        print_report(console(), report, folder / "trial")
    if report.void:
        raise SystemExit(1)


class TrialWatcher(TerminalWatcher):
    """Shows building as `run` does, then the prospect, then one bar for all models.

    Args:
        tells: show the prospect.
    """

    def __init__(self, console: Console, *, quiet: bool = False, tells: bool = True) -> None:
        super().__init__(console, quiet=quiet)
        self._tells = tells and not quiet
        self._tokens = 0
        self._models = (0, 0)
        self._seen = (0, 0.0)
        self._loss = ""

    def foreseen(self, prospect: Prospect) -> None:
        """What training will cost and what it could see."""
        self._tokens = prospect.tokens
        if self._tells:
            for line in prospect_lines(prospect):
                self.console.print(line)

    def launched(self, title: str, tasks: int) -> None:
        """A new bar; of models, once it is known how long they are."""
        super().launched(title, tasks)
        self._models, self._seen, self._loss = (0, tasks), (0, 0.0), ""

    def looked(self, seeds: int, undecided: Sequence[str], models: int, seconds: float) -> None:
        """Say what goes on, and what it will cost."""
        if self.quiet:
            return
        what = "no arm goes on: each is decided, or no number of seeds would decide it"
        if undecided:
            more = (
                f"{counted(models, 'model')} more" if models else "the budget has no room for more"
            )
            cost = f", about {duration_text(seconds)}" if seconds else ""
            what = f"undecided: {', '.join(undecided)}; {more}{cost}"
        self.console.print(f"[bold]look[/]     after {seeds} seeds, {what}")

    def trained(self, runs: int, tokens: int, nats: float) -> None:
        """Move the bar; the loss is a mean over what was trained since it last moved."""
        if tokens > self._seen[0]:
            loss = (nats - self._seen[1]) / (tokens - self._seen[0])
            self._seen, self._loss = (tokens, nats), f", training loss {loss:.3f}"
        if self._progress and self._task is not None:
            seconds = max(time.monotonic() - self._began, 1e-9)
            rate = f"{tokens:,} tokens, {tokens / seconds:,.0f}/s{self._loss}, {runs} models done"
            total = self._models[1] * self._tokens
            self._progress.update(self._task, completed=tokens, total=total, rate=rate)
        elif not self.quiet and runs > self._models[0]:
            self._models = (runs, self._models[1])
            self.console.print(f"  {runs} of {self._models[1]} models trained{self._loss}")


def print_forecast(prospect: Prospect, *, as_json: bool) -> None:
    """Cost and power, where they are all that was asked for."""
    if as_json:
        emit(prospect.as_json())
        return
    for line in prospect_lines(prospect):
        console().print(line)


def prospect_lines(prospect: Prospect) -> list[str]:
    """Cost and power, for people."""
    speed = prospect.speed
    lines = [
        f"[bold]trial[/]    {prospect.runs} models ({prospect.seeds} seeds), "
        f"{prospect.tokens:,} tokens each; {prospect.runs - prospect.to_train} are trained already"
    ]
    if speed is not None:
        lines.append(
            f"[bold]cost[/]     about {duration_text(prospect.seconds)} at "
            f"{speed.tokens_per_second:,.0f} tokens/s in {processes_text(speed.processes)}"
        )
    looks = prospect.looks
    if len(looks) > 1:
        shown = ", ".join(str(look.seeds) for look in looks)
        lines.append(f"[bold]looks[/]    after {shown} seeds; an arm goes on while it is undecided")
    power = prospect.design
    lines.append(
        f"[bold]detects[/]  a difference of {prospect.smallest:.3f} bits per byte in the headline "
        f"with {power.power:.0%} power, if paired differences spread as assumed (sd "
        f"{power.sd_seeds:g} between seeds, {power.sd_documents:g} between documents)"
    )
    lines.append(f"[bold]margin[/]   {prospect.margin:.3f} bits per byte, {_margin(prospect)}")
    return lines


def _margin(prospect: Prospect) -> str:
    """Where it comes from, and whether to expect "equivalent"."""
    if prospect.margin_declared:
        return "declared"
    if prospect.resolvable <= prospect.margin:
        return "which so many seeds could resolve"
    return (
        f"the widest that is not declared; so many seeds could resolve {prospect.resolvable:.3f}, "
        'so do not expect "equivalent"'
    )


def processes_text(processes: int) -> str:
    """Of a rate: "one process", "each of 2 processes"."""
    return "one process" if processes == 1 else f"each of {processes:,} processes"


def duration_text(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
