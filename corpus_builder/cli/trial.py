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
    literal,
    load,
    note_arms_apart,
    out_option,
    recipe_argument,
    set_option,
)
from .progress import TerminalWatcher

if TYPE_CHECKING:
    from rich.console import Console

    from ..train.statistics.comparison import Comparison
    from ..trial.checks import SelfTests
    from ..trial.prospect import Prospect
    from ..trial.report import TrialReport

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_COLOURS = {"better": "green", "worse": "red", "equivalent": "cyan", "cannot tell": "yellow"}


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


def print_report(screen: Console, report: TrialReport, folder: Path) -> None:
    """The report in the terminal; that it is void comes before anything that it says."""
    if report.void:
        screen.print("[red bold]The report is void[/]: its verdicts prove nothing.")
    screen.print(_scores(report))
    if report.verdicts:
        screen.print(_comparisons(report))
    screen.print(_terms(report))
    for line in _pairs(report):
        screen.print(line)
    for arm in report.arms[1:]:
        screen.print(_about(report, arm))
    for arm, changed in report.apart.items():
        screen.print(
            f"[bold]{arm}[/]: [yellow]not comparable[/]: it changes which texts "
            f"{', '.join(changed)} holds, so held-out text made by the base would favour the base; "
            f"declare trial.target (weights over held-out corpora or heldout.texts) to compare it"
        )
    for warning in report.warnings:
        screen.print(f"[yellow]note[/] {literal(warning)}")
    if report.self_tests is not None:
        for line in _self_tests(report.self_tests):
            screen.print(line)
    screen.print(
        f"[bold]files[/]  {literal(folder)}   report.json, measurements and curves as Parquet"
    )


def _terms(report: TrialReport) -> str:
    """What the numbers are of."""
    prospect = report.prospect
    shown = ", ".join(f"{share:.0%} {corpus}" for corpus, share in report.headline.items())
    declared = "the declared target" if report.target_declared else "the base's mix"
    seeds = sorted({found.look.seeds for found in report.verdicts.values()} or {prospect.seeds})
    return (
        f"headline: {shown} of held-out text ({declared}) · {' or '.join(map(str, seeds))} paired "
        f"seeds of {report.settings.tokens:,} tokens · intervals and p-values hold for all "
        f"comparisons together (Holm, 5 %{_looks(prospect)}) · margin {prospect.margin:.3f}"
    )


def _looks(prospect: Prospect) -> str:
    count = len(prospect.looks)
    return f" spread over {count} looks" if count > 1 else ""


def _pairs(report: TrialReport) -> list[str]:
    """A line a probe: how many minimal pairs each arm has right."""
    lines = []
    for probe, arms in report.pairs.items():
        parts = []
        for arm, found in arms.items():
            text = f"{arm} {found.right:.1%}"
            if found.difference is not None and found.interval is not None:
                low, high = found.interval
                text += f" ({found.difference:+.1%}, {low:+.1%} to {high:+.1%})"
            parts.append(text)
        lines.append(f"minimal pairs, {probe}: {', '.join(parts)} · chance is 50 %")
    return lines


def _self_tests(found: SelfTests) -> list[str]:
    """Whether the report stands."""
    series = ", ".join(
        f"{damage:.0%} {loss:.3f}"
        for damage, loss in zip(found.series.damage, found.series.means, strict=True)
    )
    return [
        f"self-test, A/A: {_passed(found.aa.passed)}: {found.aa.reason} (a sound trial fails in "
        f"{found.aa.false_alarm or 0:.0%} of cases)",
        f"self-test, shuffled tokens: {_passed(found.series.test.passed)}: "
        f"{found.series.test.reason} ({series} bits per byte)",
    ]


def _passed(passed: bool) -> str:
    return "[green]passed[/]" if passed else "[red]failed[/]"


def _scores(report: TrialReport) -> Any:
    from rich.table import Table

    names = list(next(iter(report.scores.values())))
    table = Table(
        title="bits per byte, 95 % interval", box=None, pad_edge=False, title_justify="left"
    )
    table.add_column("arm")
    seeds = {arm: scores[names[0]].seeds for arm, scores in report.scores.items()}
    differ = len(set(seeds.values())) > 1
    for name in ["seeds", *names] if differ else names:
        table.add_column(name, justify="right")
    for arm, scores in report.scores.items():
        cells = [f"{s.value:.4f} [dim]±{s.high - s.value:.4f}[/]" for s in scores.values()]
        table.add_row(arm, *([str(seeds[arm])] if differ else []), *cells)
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
    seen, none = found.needed.difference, found.needed.equivalence
    if seen is None and none is None:
        doubt = ", it seems" if found.needed.possible else ""
        return f" (needs more documents, not seeds{doubt})"
    cases = ((seen, "if as seen"), (none, "if equal"))
    needed = ", ".join(f"{seeds:,} {what}" for seeds, what in cases if seeds is not None)
    return f" (seeds needed: {needed})"


def _about(report: TrialReport, arm: str) -> str:
    """How an arm was paired, and what its gap is worth at a larger scale."""
    pairing, odds, headline = report.pairing[arm], report.odds[arm], report.verdicts[arm].headline
    text = f"[bold]{arm}[/]: {pairing['same_sequences']:.0%} of its sequences are the base's"
    if pairing["aligned"]:
        text += f" (in {', '.join(pairing['aligned'])}: from the same place of the same document)"
    if arm in report.own_tokenizer:
        text += "; its tokenizer is its own, so its initial weights differ"
    if headline.identical:
        return text
    text += (
        f"; of {odds.pairs:,} pairs of mixes with such a gap at 1M parameters, "
        f"{odds.share:.0%} kept their order at 60M (RegMix, 2407.01492)"
    )
    if arm in report.slower:
        slower = report.slower[arm]
        holds = {
            True: "the sign holds",
            False: "[red]the sign turns[/]",
            None: "too little to tell",
        }
        text += (
            f"; at a tenth of the learning rate {slower.comparison.difference:+.4f}: "
            f"{holds[slower.holds]}"
        )
    return text
