"""`status`, `funnel`, `peek`, `verify`: what a run came to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import (
    console,
    counted,
    emit,
    json_option,
    literal,
    out_option,
    plan_of,
    recipe_argument,
    set_option,
    size_text,
)

if TYPE_CHECKING:
    from ..plan import Plan
    from ..report.peek import Seen
    from ..report.verify import Finding


@click.command("status")
@recipe_argument
@out_option
@set_option
@json_option
def status_command(
    recipe: str, out: Path | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Show how far the run of RECIPE is: units done of each stage, whether it is sealed, models of
    its trial."""
    plan = plan_of(recipe, overrides, out)
    sealed = {manifest.name for manifest in plan.manifests()}
    rows = [
        {"stage": name, "done": done, "units": units, "sealed": name in sealed}
        for name, (done, units) in plan.progress().items()
    ]
    trial = plan.out / "trial"
    models, reported = len(list(trial.glob("*/run.json"))), (trial / "report.json").exists()
    if as_json:
        trained = {"models": models, "report": reported}
        emit({"out": str(plan.out), "stages": rows, "trial": trained if trial.exists() else None})
        return
    screen = console()
    for row in rows:
        mark = "[green]✓[/]" if row["sealed"] else "[yellow]…[/]" if row["done"] else "[dim]·[/]"
        total = "?" if row["units"] is None else f"{row['units']:,}"
        screen.print(f"{mark} {row['stage']:<32} {row['done']:>6,} of {total} units")
    screen.print(f"{len(sealed)} of {len(rows)} stages sealed in {literal(plan.out)}")
    if trial.exists():
        report = "the report of the latest is written" if reported else "no report yet"
        screen.print(f"trials here: {counted(models, 'model')} trained, {report}")


@click.command("funnel")
@recipe_argument
@out_option
@set_option
@click.option("--rules", is_flag=True, help="Also show every rule: dropped first, at all, only.")
@json_option
def funnel_command(
    recipe: str, out: Path | None, overrides: tuple[str, ...], rules: bool, as_json: bool
) -> None:
    """Show what every stage kept and lost, by cause; in = out + losses in every row."""
    from ..report.funnel import as_json as funnel_json
    from ..report.funnel import render
    from ..store.errors import DataError

    plan = plan_of(recipe, overrides, out)
    manifests = plan.manifests()
    if not manifests:
        raise DataError(str(plan.out), "nothing is built yet", do=f"corpus run {recipe}")
    if as_json:
        emit(funnel_json(manifests))
        return
    screen = console()
    for part in render(manifests, rules=rules):
        screen.print(part)
        screen.print()


@click.command("peek")
@recipe_argument
@out_option
@set_option
@click.option("--corpus", help="Only this corpus.")
@click.option("--dropped-by", metavar="CAUSE", help="Dropped for this, e.g. gopher.n_words.")
@click.option("--doc", metavar="ID|URL", help="What became of this document (doc_id or URL).")
@click.option(
    "--number",
    "-n",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="How many to show.",
)
@click.option("--full", is_flag=True, help="Show whole texts, not their beginnings.")
@json_option
def peek_command(
    recipe: str, out: Path | None, overrides: tuple[str, ...], corpus: str | None,
    dropped_by: str | None, doc: str | None, number: int, full: bool, as_json: bool,
) -> None:  # fmt: skip
    """Show single documents: kept ones, those dropped by a cause, or the fate of one.

    \b
    corpus peek quickstart --dropped-by gopher.n_words
    corpus peek quickstart --doc https://example.org/page.html
    """
    plan = plan_of(recipe, overrides, out)
    found = list(islice(_seen(plan, corpus, dropped_by, doc), number))
    if as_json:
        from dataclasses import asdict

        emit([asdict(item) for item in found])
        return
    if not found:
        click.echo("nothing found")
    for item in found:
        _print_seen(item, full)


def _seen(plan: Plan, corpus: str | None, dropped_by: str | None, doc: str | None) -> Any:
    from ..report import peek
    from ..store.errors import RecipeError, did_you_mean

    if corpus is not None and corpus not in plan.splits:
        allowed = did_you_mean(corpus, plan.splits)
        raise RecipeError("--corpus", f"no corpus {corpus!r}", allowed=allowed)
    sealed = {manifest.name for manifest in plan.manifests()}
    stages = [
        stage for name, stage in plan.stages.items()
        if name in sealed and corpus in (None, stage.corpus)
    ]  # fmt: skip
    if doc is not None:
        return peek.fates(plan.context, stages, doc)
    if dropped_by is not None:
        causes = peek.causes(plan.manifests())
        if not any(peek.same_cause(known, dropped_by) for known in causes):
            allowed = did_you_mean(dropped_by, causes)
            raise RecipeError(
                "--dropped-by", f"nothing was dropped by {dropped_by!r}", allowed=allowed
            )
        return peek.dropped(plan.context, stages, dropped_by)
    return peek.kept(plan.context, stages)


def _print_seen(item: Seen, full: bool) -> None:
    screen = console()
    color = "green" if item.fate == "kept" else "red"
    detail = f" · {literal(item.detail)}" if item.detail else ""
    screen.print(f"[bold]{literal(item.url) or '(no url)'}[/]  [dim]{item.corpus} {item.doc_id}[/]")
    screen.print(f"[{color}]{item.fate}[/]{detail}")
    text = item.text if full or len(item.text) <= 600 else item.text[:600] + " …"
    screen.print(literal(text), style="dim" if item.fate != "kept" else "")
    screen.print()


@click.command("verify")
@recipe_argument
@out_option
@set_option
@json_option
def verify_command(
    recipe: str, out: Path | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Hash again every file that the manifests of RECIPE's stages, trial and swarm claim, check
    every sum.

    Exits with 5 if anything is not as claimed.
    """
    from dataclasses import asdict

    from ..report.verify_trial import arm_manifests, verify_all
    from ..store.errors import DataError, IntegrityError

    plan = plan_of(recipe, overrides, out)
    manifests = plan.manifests()
    if not manifests:
        raise DataError(str(plan.out), "nothing is built yet", do=f"corpus run {recipe}")
    findings, files, size = [], 0, 0
    own, _ = arm_manifests(plan, {manifest.stage for manifest in manifests})
    total = sum(len(unit.files) for manifest in [*manifests, *own] for unit in manifest.units)
    with _hashing(total, not as_json) as tick:
        for checked in verify_all(plan, manifests):
            tick()
            files, size = files + 1, size + checked.bytes
            if checked.finding:
                findings.append(checked.finding)
    if as_json:
        emit({"checked": files, "bytes": size, "findings": [asdict(item) for item in findings]})
    if findings:
        what = f"{len(findings)} of {files} checks failed:\n{_findings_text(findings)}"
        raise IntegrityError(str(plan.out), what)
    if not as_json:
        stages = f"{len(manifests)} of {len(plan.stages)} stages sealed"
        if left := plan.stages.keys() - {manifest.name for manifest in manifests}:
            stages += f" (not built: {', '.join(sorted(left))})"
        click.echo(f"all is well: {files:,} checks, {size_text(size)} hashed, {stages}")


def _findings_text(findings: Sequence[Finding]) -> str:
    """A line each, and under all that ask for the same what that is."""
    lines = []
    for do in dict.fromkeys(item.do for item in findings):
        lines += [f"  {item.where}: {item.what}" for item in findings if item.do == do]
        lines.append(f"  → {do}")
    return "\n".join(lines)


def _hashing(total: int, show: bool) -> Any:
    from contextlib import contextmanager

    @contextmanager
    def bar() -> Any:
        screen = console(stderr=True)
        if not (show and screen.is_terminal):
            yield lambda: None
            return
        from rich.progress import Progress

        with Progress(console=screen, transient=True) as progress:
            task = progress.add_task("hashing", total=total)
            yield lambda: progress.advance(task)

    return bar()


@click.command("mix")
@recipe_argument
@out_option
@set_option
@click.option("--show", "number", type=int, required=True, metavar="N", help="Sequence number.")
@json_option
def mix_command(
    recipe: str, out: Path | None, overrides: tuple[str, ...], number: int, as_json: bool
) -> None:
    """Show which documents are in a sequence of the mix, and where they came from."""
    from dataclasses import asdict

    from ..report.sequence import show
    from ..stages.mix import MixStage
    from ..store.errors import DataError

    plan = plan_of(recipe, overrides, out)
    mix = next((stage for stage in plan.stages.values() if isinstance(stage, MixStage)), None)
    if mix is None or mix.name not in {manifest.name for manifest in plan.manifests()}:
        raise DataError(str(plan.out), "the mix is not built yet", do=f"corpus run {recipe}")
    view = show(plan.context, mix, number)
    if as_json:
        emit(asdict(view))
        return
    screen = console()
    screen.print(
        f"[bold]sequence {view.number:,}[/]  sequence {view.index:,} of corpus {view.corpus}, "
        f"epoch {view.epoch}"
    )
    for piece in view.pieces:
        origin = literal(piece.url or piece.file)
        screen.print(
            f"[bold]{piece.start:>5}-{piece.stop}[/]  {origin}  [dim]{piece.file} {piece.doc_id}[/]"
        )
        screen.print(literal(piece.text[:300]), style="dim")
