"""`check`, `plan`, `run`: from a recipe to a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import (
    MEMORY,
    again,
    console,
    counted,
    emit,
    json_option,
    literal,
    load,
    note_arms_apart,
    out_option,
    plan_of,
    recipe_argument,
    set_option,
    size_text,
)

if TYPE_CHECKING:
    from ..plan import Plan, Resources
    from ..runner import RunReport
    from ..trial.report import TrialReport


CUT_OFF = ("truncated", "corrupt_gzip_member", "corrupt_zstd_frame")
"""Losses of JSON Lines behind which there may have been more."""


@click.command("check")
@recipe_argument
@set_option
@json_option
def check_command(recipe: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Validate RECIPE (a shipped name or a YAML file) without touching data.

    Unknown keys, wrong types, unknown signals and impossible arithmetic are reported all at once,
    each with file:line, what is allowed and the nearest name.
    """
    from ..recipe_arithmetic import described
    from ..recipe_files import check_trial_files
    from ..recipe_trial import refuse_if_all_apart

    loaded = load(recipe, overrides)
    check_trial_files(loaded)
    note_arms_apart(console(stderr=True), refuse_if_all_apart(loaded))
    if as_json:
        emit(loaded.to_canonical())
        return
    stages = sum(len(corpus.stages) for corpus in loaded.corpora.values())
    corpora = counted(len(loaded.corpora), "corpus", "corpora")
    click.echo(f"{recipe} is valid: {corpora}, {counted(stages, 'stage')}")
    for line in described(loaded.mix) if loaded.mix else ():
        click.echo(line)


@click.command("plan")
@recipe_argument
@out_option
@set_option
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: all cores]")
@click.option("--memory", type=MEMORY, help="Memory for all of them, e.g. 4G.")
@json_option
def plan_command(
    recipe: str, out: Path | None, overrides: tuple[str, ...], workers: int | None,
    memory: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Show what `run` would do: stages, shards, fingerprints, what is done, disk and memory.

    Reads listings only, no data.
    """
    from ..forecast import forecast
    from ..plan import resources
    from ..recipe_files import check_tokenizer
    from ..recipe_trial import arms_apart

    plan = plan_of(recipe, overrides, out)
    check_tokenizer(plan.recipe)
    note_arms_apart(console(stderr=True), arms_apart(plan.recipe))
    given = resources(workers, memory)
    expected = forecast(plan, given)
    rows = [
        {
            "stage": name, "id": plan.stages[name].id, "fingerprint": plan.stages[name].fingerprint,
            "units": units, "done": done,
        }
        for name, (done, units) in plan.progress().items()
    ]  # fmt: skip
    if as_json:
        emit({"out": str(plan.out), "stages": rows, "forecast": expected})
        return
    _print_plan(plan, rows)
    screen = console()
    screen.print(
        f"[bold]expects[/]  disk {size_text(expected['disk_bytes'])} in {literal(plan.out)} "
        f"({size_text(expected['free_bytes'])} free) · memory "
        f"{size_text(expected['memory_bytes'])} for {given.workers} workers, of which "
        f"{size_text(expected['dedup_bytes'])} for the dedup component table"
    )
    if expected["disk_bytes"] > expected["free_bytes"]:
        screen.print("[yellow]note[/] that is more than the disk has free")


def _print_plan(plan: Plan, rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title, justify in (
        ("stage", "left"),
        ("fingerprint", "left"),
        ("units", "right"),
        ("done", "right"),
        ("", "left"),
    ):
        table.add_column(title, justify="right" if justify == "right" else "left")
    for row in rows:
        units = row["units"]
        whole = units is not None and row["done"] == units
        note = "[green]nothing to do[/]" if whole else "[yellow]to do[/]"
        shown = "after its inputs" if units is None else f"{units:,}"
        table.add_row(row["stage"], row["fingerprint"][:8], shown, f"{row['done']:,}", note)
    screen = console()
    screen.print(table)
    for corpus, splits in plan.splits.items():
        files = {split.file.name: split.file.size for split in splits}
        screen.print(
            f"[bold]{corpus}[/]: {counted(len(files), 'file')}, {size_text(sum(files.values()))}, "
            f"{counted(len(splits), 'split')}"
        )


@click.command("run")
@recipe_argument
@out_option
@set_option
@click.option("--until", metavar="STAGE", help="Stop after this stage, e.g. web.filter.")
@click.option("--no-trial", is_flag=True, help="Leave out the recipe's trial.")
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: all cores]")
@click.option(
    "--memory",
    type=MEMORY,
    help="Memory for all of them, e.g. 4G.  [default: 80 % of what is free]",
)
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@json_option
def run_command(
    recipe: str, out: Path | None, overrides: tuple[str, ...], until: str | None, no_trial: bool,
    workers: int | None, memory: int | None, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Build the corpus of RECIPE (a shipped name or a YAML file), then run its trial.

    Finished shards are never redone: after an interruption, kill -9 or a change of the recipe, the
    same command does only what is missing. Results do not depend on --workers or --memory. A trial
    whose arms are declared in the recipe follows where PyTorch is installed (see corpus trial).
    """
    from ..plan import resources
    from ..runner import run_plan
    from .progress import TerminalWatcher

    silent = quiet or as_json
    plan = plan_of(recipe, overrides, out)
    given = resources(workers, memory)
    trial = plan.recipe.trial
    wanted = trial is not None and trial.arms and not until and not no_trial
    trying = wanted and _can_try(plan, again("trial", recipe, out, overrides), quiet=quiet)
    with TerminalWatcher(console(stderr=True), quiet=silent) as watcher:
        report = run_plan(plan, given, until=until, watcher=watcher)
    if not silent:
        verbs = ("funnel", "verify", "peek")
        _print_report(plan, report, [again(verb, recipe, out, overrides) for verb in verbs])
    tried = _try(plan, given, silent=silent) if trying else None
    if as_json:
        emit({**_report_json(plan, report), "trial": tried.as_json() if tried else None})


def _can_try(plan: Plan, command: str, *, quiet: bool) -> bool:
    """Whether the trial can follow; what keeps it from being run is said before anything is built.

    Args:
        command: that runs the trial alone.
    """
    from ..recipe_trial import arms_apart
    from ..trial.trial import check_before, missing_packages

    screen, missing = console(stderr=True), missing_packages()
    if missing:
        if not quiet:
            screen.print(
                f"[yellow]note[/] the recipe's trial will be left out: it needs "
                f"{' and '.join(missing)}; pip install 'corpus-builder\\[trial]', then "
                f"{literal(command)}"
            )
        return False
    check_before(plan.recipe)
    if not quiet:
        note_arms_apart(screen, arms_apart(plan.recipe))
    return True


def _try(plan: Plan, given: Resources, *, silent: bool) -> TrialReport:
    """The recipe's trial."""
    from ..trial.trial import run_trial
    from .trial import TrialWatcher
    from .trial_report import print_report

    watcher = TrialWatcher(console(stderr=True), quiet=silent)
    with watcher:
        report = run_trial(plan.recipe, plan.out, given, watcher)
    if not silent:
        console().print()
        print_report(console(), report, plan.out / "trial")
    return report


def _report_json(plan: Plan, report: RunReport) -> dict[str, Any]:
    from ..report.funnel import as_json as funnel_json

    return {
        "out": str(plan.out),
        "seconds": round(report.seconds, 3),
        "units_done": report.done,
        "units_reused": report.reused,
        "funnel": funnel_json(report.manifests),
    }


def _print_report(plan: Plan, report: RunReport, next_: list[str]) -> None:
    from ..report.funnel import render

    screen = console()
    for part in render(report.manifests):
        screen.print()
        screen.print(part)
    screen.print()
    done, reused = sum(report.done.values()), sum(report.reused.values())
    screen.print(f"{counted(done, 'unit')} done, {reused:,} reused, in {report.seconds:.1f} s")
    if (plan.out / "mix").exists():
        screen.print(
            f"[bold]mix[/]        {literal(plan.out / 'mix')}   datasets.load_from_disk opens it"
        )
    screen.print(f"[bold]documents[/]  {literal(plan.out / 'documents')}   Parquet, by corpus")
    screen.print(f"[bold]next[/]       {literal(' · '.join(next_))}", soft_wrap=True)
    for manifest in report.manifests:
        cut = {cause: n for cause, n in manifest.counts.lost.items() if cause in CUT_OFF}
        if cut and manifest.name.endswith(".read"):
            causes = ", ".join(f"{cause} {n:,}" for cause, n in cut.items())
            screen.print(
                f"[yellow]note[/] {manifest.stage}: files end too soon or are damaged ({causes}); "
                "what lay behind that is in no count: fetch them again"
            )
