"""A trial's report in the terminal: scores, differences, verdicts, and what to say of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .common import literal

if TYPE_CHECKING:
    from rich.console import Console

    from ..train.statistics.comparison import Comparison
    from ..trial.checks import SelfTests, SlowerRate
    from ..trial.report import TrialReport

_COLOURS = {"better": "green", "worse": "red", "equivalent": "cyan", "cannot tell": "yellow"}


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
        f"comparisons together (Holm, 5 %{_looks(report)}) · margin {prospect.margin:.3f}"
    )


def _looks(report: TrialReport) -> str:
    """How alpha is spread, and its part at the looks where arms were compared last."""
    count = len(report.prospect.looks)
    if count == 1:
        return ""
    last = dict.fromkeys(found.look for found in report.verdicts.values())
    parts = ", ".join(f"{look.alpha:.2%} after {look.seeds} seeds" for look in last)
    return f" spread over {count} looks: {parts}"


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
    series, alarm = found.series, found.aa.false_alarm
    losses = ", ".join(
        f"{damage:.0%} {loss:.3f}" for damage, loss in zip(series.damage, series.means, strict=True)
    )
    least = series.smallest_seen
    seen = "none called worse" if least is None else f"called worse from {least:.0%}"
    rate = "" if alarm is None else f" (a sound trial fails in {alarm:.0%} of cases)"
    return [
        f"self-test, A/A: {_passed(found.aa.passed)}: {found.aa.reason}{rate}",
        f"self-test, shuffled tokens: {_passed(series.test.passed)}: {series.test.reason} "
        f"({losses} bits per byte; {seen})",
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
        justify: Literal["right", "left"] = "right" if numeric else "left"
        table.add_column(title, justify=justify, no_wrap=title != "verdict")
    for arm in report.arms[1:]:
        for name, found in report.of_arm(arm).items():
            low, high = found.interval
            colour = _COLOURS[str(found.verdict)]
            table.add_row(
                arm, name, f"{found.difference:+.4f}", f"{_end(low)} to {_end(high)}",
                f"{found.p_holm:.3g}", f"[{colour}]{found.verdict}[/]{_needed(found)}",
            )  # fmt: skip
    return table


def _end(bound: float) -> str:
    """Of an interval; 0 alone where it is cut off there, as a difference is shown."""
    return "0" if bound == 0 else f"{bound:+.4f}"


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
        possible = found.needed.possible
        return " (more seeds may do)" if possible else " (needs more documents, not seeds)"
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
        text += (
            f"; headline at a tenth of the learning rate {_slower(report.slower[arm], headline)}"
        )
    return text


def _slower(found: SlowerRate, usual: Comparison) -> str:
    """Whether a verdict stands at the lower rate, which may show what the usual one does not."""
    shown = str(found.comparison.verdict)
    if found.holds is not None:
        said = "the sign holds" if found.holds else "[red]the sign turns[/]"
    elif shown in ("better", "worse"):
        said = f"{shown} there only"
    else:
        said = (
            "too little to tell"
            if str(usual.verdict) in ("better", "worse")
            else "no sign there either"
        )
    return f"{found.comparison.difference:+.4f}: {said}"
