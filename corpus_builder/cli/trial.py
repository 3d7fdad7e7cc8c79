"""`trial`: the arms of a recipe compared by training small models."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import (
    Size,
    console,
    emit,
    json_option,
    load,
    out_option,
    recipe_argument,
    set_option,
)
from .progress import TerminalWatcher

if TYPE_CHECKING:
    from rich.console import Console

    from ..train.statistics.comparison import Comparison
    from ..trial.prospect import Prospect
    from ..trial.report import TrialReport

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_COLOURS = {"better": "green", "worse": "red", "equivalent": "cyan", "cannot tell": "yellow"}


class Duration(click.ParamType[float]):
    """A time with its unit: 90s, 5m, 2h."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            return float(text[:-1]) * _SECONDS[text[-1:]]
        except (KeyError, ValueError):
            self.fail(f"{value!r} is not a time; allowed: a number with s, m or h, such as 5m")


@click.command("trial")
@recipe_argument
@out_option
@set_option
@click.option(
    "--budget", type=Duration(), metavar="TIME",
    help="Fit tokens and seeds to this training time, e.g. 5m.  [default: as the recipe says]",
)  # fmt: skip
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: all cores]")
@click.option("--memory", type=Size(), help="Memory for all of them, e.g. 4G.")
@click.option("--quiet", "-q", is_flag=True, help="Print the report alone.")
@json_option
def trial_command(
    recipe: str, out: Path | None, overrides: tuple[str, ...], budget: float | None,
    workers: int | None, memory: int | None, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Compare the arms of RECIPE by training small models on each, with the same seeds.

    Builds what the arms need (what they share, once), says what training will cost and the
    smallest difference it could detect, trains, and says of every arm: better, worse, equivalent
    or cannot tell. Finished models are kept: after an interruption or with another arm, the same
    command trains only what is missing. The exit code is 0 whatever the verdicts.
    """
    from ..plan import resources
    from ..trial.trial import run_trial

    loaded = load(recipe, overrides)
    folder = out or Path("runs") / loaded.name
    given = resources(workers, memory)
    watcher = TrialWatcher(console(stderr=True), quiet=quiet or as_json)
    with watcher:
        report = run_trial(loaded, folder, given, watcher, budget=budget)
    if as_json:
        emit(report.as_json())
    else:
        print_report(console(), report, folder / "trial")


class TrialWatcher(TerminalWatcher):
    """Shows building as `run` does, then the prospect, then one bar for all models."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        super().__init__(console, quiet=quiet)
        self._goal = 0
        self._models = (0, 0)

    def foreseen(self, prospect: Prospect) -> None:
        """What training will cost and what it could see."""
        self._goal = prospect.to_train * prospect.tokens
        self._models = (0, prospect.to_train)
        if not self.quiet:
            for line in prospect_lines(prospect):
                self.console.print(line)

    def trained(self, runs: int, tokens: int) -> None:
        """Move the bar."""
        if self._progress and self._task is not None:
            seconds = max(time.monotonic() - self._began, 1e-9)
            rate = f"{tokens:,} tokens, {tokens / seconds:,.0f}/s, {runs} models done"
            self._progress.update(self._task, completed=tokens, total=self._goal, rate=rate)
        elif not self.quiet and runs > self._models[0]:
            self._models = (runs, self._models[1])
            self.console.print(f"  {runs} of {self._models[1]} models trained")


def prospect_lines(prospect: Prospect) -> list[str]:
    """Cost and power, for people."""
    if not prospect.runs:
        return []
    speed = prospect.speed
    lines = [
        f"[bold]trial[/]    {prospect.runs} models ({prospect.seeds} seeds), "
        f"{prospect.tokens:,} tokens each; {prospect.runs - prospect.to_train} are trained already"
    ]
    if speed is not None:
        lines.append(
            f"[bold]cost[/]     about {duration_text(prospect.seconds)} at "
            f"{speed.tokens_per_second:,.0f} tokens/s in each of {speed.processes} processes"
        )
    power = prospect.design
    lines.append(
        f"[bold]detects[/]  a difference of {prospect.smallest:.3f} bits per byte in the headline "
        f"with {power.power:.0%} power, if paired differences spread as assumed (sd "
        f"{power.sd_seeds:g} between seeds, {power.sd_documents:g} between documents)"
    )
    what = "declared" if prospect.margin_declared else "what so many seeds could resolve"
    lines.append(f"[bold]margin[/]   {prospect.margin:.3f} bits per byte, {what}")
    return lines


def duration_text(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def print_report(screen: Console, report: TrialReport, folder: Path) -> None:
    """The report in the terminal."""
    from ..trial.report import HEADLINE

    if report.comparisons is not None:
        screen.print(_scores(report))
        screen.print(_comparisons(report))
        shown = ", ".join(f"{share:.0%} {corpus}" for corpus, share in report.headline.items())
        declared = "the declared target" if report.target_declared else "the base's mix"
        screen.print(
            f"headline: {shown} of held-out text ({declared}) · {report.prospect.seeds} paired "
            f"seeds of {report.settings.tokens:,} tokens · intervals and p-values hold for all "
            f"comparisons together (Holm, 5 %) · margin {report.prospect.margin:.3f}"
        )
        for arm in report.arms[1:]:
            screen.print(_about(report, arm, report.of_arm(arm).get(HEADLINE)))
    for arm, changed in report.apart.items():
        screen.print(
            f"[bold]{arm}[/]: [yellow]not comparable[/]: it changes which texts "
            f"{', '.join(changed)} holds, so held-out text made by the base would favour the base; "
            f"declare trial.target (weights over held-out corpora) to compare it all the same"
        )
    for warning in report.warnings:
        screen.print(f"[yellow]note[/] {warning}")
    screen.print(f"[bold]files[/]  {folder}   report.json, measurements and curves as Parquet")


def _scores(report: TrialReport) -> Any:
    from rich.table import Table

    names = list(next(iter(report.scores.values())))
    table = Table(
        title="bits per byte, 95 % interval", box=None, pad_edge=False, title_justify="left"
    )
    table.add_column("arm")
    for name in names:
        table.add_column(name, justify="right")
    for arm, scores in report.scores.items():
        cells = [f"{s.value:.4f} [dim]±{s.high - s.value:.4f}[/]" for s in scores.values()]
        table.add_row(arm, *cells)
    return table


def _comparisons(report: TrialReport) -> Any:
    from rich.table import Table

    table = Table(title="\ndifference to the base", box=None, pad_edge=False, title_justify="left")
    for title in ("arm", "on", "difference", "interval", "p (Holm)", "verdict"):
        numeric = title in ("difference", "interval", "p (Holm)")
        table.add_column(title, justify="right" if numeric else "left")
    for arm in report.arms[1:]:
        for name, found in report.of_arm(arm).items():
            low, high = found.interval
            colour = _COLOURS[str(found.verdict)]
            table.add_row(
                arm, name, f"{found.difference:+.4f}", f"{low:+.4f} to {high:+.4f}",
                f"{found.p_holm:.3g}", f"[{colour}]{found.verdict}[/]{_needed(found)}",
            )  # fmt: skip
    return table


def _needed(found: Comparison) -> str:
    """What a verdict leaves to say."""
    if found.identical:
        return " (identical: it trained on the same tokens)"
    if found.within_margin and str(found.verdict) != "equivalent":
        return " (within the margin)"
    if found.needed is None:
        return ""
    seeds = found.needed.difference
    if seeds is None:
        return " (no number of seeds would do: hold out more documents)"
    return f" (about {seeds:,} seeds would, if the difference is as seen)"


def _about(report: TrialReport, arm: str, headline: Comparison | None) -> str:
    """How an arm was paired, and what its gap is worth at a larger scale."""
    pairing, odds = report.pairing[arm], report.odds[arm]
    text = f"[bold]{arm}[/]: {pairing['same_sequences']:.0%} of its sequences are the base's"
    if arm in report.own_tokenizer:
        text += "; its tokenizer is its own, so its initial weights differ"
    if headline is None or headline.identical:
        return text
    return (
        f"{text}; of {odds.pairs:,} pairs of mixes with such a gap at 1M parameters, "
        f"{odds.share:.0%} kept their order at 60M (RegMix, 2407.01492)"
    )
