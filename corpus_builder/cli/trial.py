"""`trial`: the arms of a recipe compared by training small models."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import (
    MEMORY,
    console,
    counted,
    emit,
    json_option,
    literal,
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

    from ..trial.looks import Looked
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

    def looked(self, found: Looked) -> None:
        """Say what each arm's headline came to, what goes on, and what it will cost."""
        if not self.quiet:
            self.console.print(look_text(found))

    def trained(self, runs: int, tokens: int, nats: float) -> None:
        """Move the bar; the loss is a mean over what was trained since it last moved."""
        if tokens > self._seen[0]:
            loss = (nats - self._seen[1]) / (tokens - self._seen[0])
            self._seen, self._loss = (tokens, nats), f", training loss {loss:.3f}"
        if self._progress and self._task is not None:
            seconds = max(time.monotonic() - self._began, 1e-9)
            rate = f"{tokens:,} tokens, {tokens / seconds:,.0f}/s{self._loss}"
            done = f"{runs}/{self._models[1]} models"
            total = self._models[1] * self._tokens
            self._progress.update(self._task, completed=tokens, total=total, done=done, rate=rate)
        elif not self.quiet and runs > self._models[0]:
            self._models = (runs, self._models[1])
            self.console.print(f"  {runs} of {self._models[1]} models trained")


def print_forecast(prospect: Prospect, *, as_json: bool) -> None:
    """Cost and power, where they are all that was asked for."""
    if as_json:
        emit(prospect.as_json())
        return
    for line in prospect_lines(prospect):
        console().print(line)


def look_text(found: Looked) -> str:
    """What a look found, and what follows it, for people."""
    states = dict[str, list[str]]()
    for arm, verdict in found.verdicts.items():
        state = str(verdict.headline.verdict)
        if state == "cannot tell":
            state = "undecided" if verdict.undecided else "for more documents to decide, not seeds"
        states.setdefault(state, []).append(arm)
    said = "; ".join(f"{', '.join(arms)} {state}" for state, arms in states.items())
    follows = "no arm goes on"
    if found.models:
        there = found.models - found.to_train
        follows = f"{counted(found.models, 'model')} more"
        if there:
            follows += f", {there if found.to_train else 'all'} of them trained already"
        if found.seconds:
            follows += f", about {duration_text(found.seconds)}"
    elif found.undecided:
        follows = "the budget has no room for more"
    return f"[bold]look[/]     by the headline, at {found.seeds} seeds: {said} · {follows}"


def prospect_lines(prospect: Prospect) -> list[str]:
    """Cost and power, for people."""
    speed = prospect.speed
    lines = [
        f"[bold]trial[/]    {prospect.runs} models ({prospect.seeds} seeds), "
        f"{prospect.tokens:,} tokens each; {prospect.runs - prospect.to_train} are trained already"
    ]
    if speed is not None:
        first = " to the first look" if prospect.more else ""
        whole = prospect.seconds_at_most
        most = f"; at most {duration_text(whole)}" if prospect.more and whole else ""
        lines.append(
            f"[bold]cost[/]     about {duration_text(prospect.seconds)}{first}, scoring included, "
            f"at {speed}{most}"
        )
    looks = prospect.looks
    if len(looks) > 1:
        shown = ", ".join(str(look.seeds) for look in looks)
        lines.append(
            f"[bold]looks[/]    after {shown} seeds; an arm goes on while its headline is undecided"
        )
    power = prospect.design
    lines.append(
        f"[bold]detects[/]  a difference of {prospect.smallest:.3f} bits per byte in the headline "
        f"with {power.power:.0%} power after {power.seeds} seeds, if paired differences spread as "
        f"assumed (sd {power.sd_seeds:g} between seeds, {power.sd_documents:g} between documents)"
    )
    lines.append(f"[bold]margin[/]   {prospect.margin:.3f} bits per byte, {_margin(prospect)}")
    return [*lines, *(f"[yellow]note[/]     {literal(caution)}" for caution in prospect.cautions)]


def _margin(prospect: Prospect) -> str:
    """Where it comes from, and whether to expect "equivalent"."""
    if prospect.margin_declared:
        return "declared"
    seeds = prospect.design.seeds
    if prospect.resolvable <= prospect.margin:
        return f"which {seeds} seeds could resolve"
    above = math.ceil(prospect.resolvable * 1000) / 1000  # not as the margin, which it exceeds
    return (
        f"the widest that is not declared; {seeds} seeds could resolve {above:.3f}, "
        'so do not expect "equivalent"'
    )


def duration_text(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
