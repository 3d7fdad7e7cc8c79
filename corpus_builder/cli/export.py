"""`export`: a finished run in the layout that a trainer reads."""

from __future__ import annotations

from pathlib import Path

import click

from ..export.formats import FORMATS, WHATS
from .common import (
    counted,
    emit,
    json_option,
    out_option,
    plan_of,
    recipe_argument,
    set_option,
    size_text,
)

EPILOG = "\b\nFormats, each with what it can hold (the default first):\n" + "\n".join(
    f"  {name:<10} {entry.about}: {', '.join(entry.whats)}" for name, entry in FORMATS.items()
)
HOLDS = "; ".join(f"{name}: {about}" for name, about in WHATS.items())


@click.command("export", epilog=EPILOG)
@recipe_argument
@click.option("--to", required=True, type=click.Choice(list(FORMATS)), help="Format.")
@click.option(
    "--what", type=click.Choice(list(WHATS)), help=f"{HOLDS}.  [default: by format, see below]"
)
@click.option(
    "--target", metavar="PATH",
    help="Folder to make.  [default: exports/FORMAT-WHAT in the run's folder]",
)  # fmt: skip
@out_option
@set_option
@json_option
def export_command(
    recipe: str, to: str, what: str | None, target: str | None, out: Path | None,
    overrides: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Lay out the finished run of RECIPE for a trainer.

    The folder appears whole or not at all, with corpus-export.json (what it was made from, counts,
    a hash of every file, how to read it) and tokenizer.json. Exporting again what is there already
    hashes it and changes nothing.
    """
    from ..export.run import export, target_of

    plan = plan_of(recipe, overrides, out)
    place = target_of(plan.out, target, to, what)
    replaced = place.resolve() == Path.cwd()
    report = export(plan.context, plan.recipe.name, to, place, what)
    if as_json:
        emit({"target": str(place), "written": report.written,
              **report.manifest.model_dump(mode="json")})  # fmt: skip
        return
    state = "written" if report.written else "there already, complete"
    files = counted(len(report.manifest.files), "file")
    click.echo(f"{place}: {state}, {files}, {size_text(report.bytes)}")
    for corpus, counts in report.manifest.counts["corpora"].items():
        shown = ", ".join(f"{number:,} {name}" for name, number in counts.items())
        click.echo(f"  {corpus}: {shown}")
    click.echo(f"read it with: {report.manifest.reads}")
    if replaced and report.written:
        click.echo('this folder was replaced: cd "$PWD" enters the new one')
