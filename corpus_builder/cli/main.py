"""The command group, its shared options, and how errors leave the program."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import click

from ..store.errors import CorpusError, of_the_machine

EXIT_CODES = """
\b
Exit codes: 0 done · 1 other failure · 2 recipe or usage wrong · 3 input cannot be read
4 the data does not allow it · 5 a file is not what its manifest says · 6 a task or worker
failed · 7 another run holds the folder · 130 interrupted
"""

# Verb -> (module of this package, one line of help shown without importing it).
VERBS = {
    "ls": ("shelf", "List shipped recipes, rule sets, signals, transforms, extractors, samples."),
    "new": ("shelf", "Copy a shipped recipe or rule set to edit."),
    "check": ("build", "Validate a recipe without touching data."),
    "plan": ("build", "Show stages, shards, fingerprints, what is done, disk and memory."),
    "run": ("build", "Build the corpus of a recipe; resumes where it stopped."),
    "status": ("look", "Show how far a run is."),
    "funnel": ("look", "Show what every stage kept and lost, and why."),
    "peek": ("look", "Show single documents and what became of them."),
    "mix": ("look", "Show which documents are in a sequence of the mix."),
    "verify": ("look", "Hash again everything that the manifests claim."),
    "export": (
        "export",
        "Lay out a finished run for a trainer: hf, parquet, megatron, litdata ...",
    ),
    "trial": ("trial", "Compare the arms of a recipe by training small models."),
    "optimise": ("optimise", "Find the best mix for a target by training small models on many."),
    "sample": ("shelf", "Fetch or describe the sample that the quick start runs on."),
    "gc": ("shelf", "Remove stages that no recipe refers to, after saying what."),
}


class _Lazy(click.Group):
    """A group that knows its verbs' names and imports their modules when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        from importlib import import_module

        module = import_module(f".{VERBS[cmd_name][0]}", __package__)
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from ..store.errors import did_you_mean

            raise click.UsageError(f"no verb {args[0]!r}; {did_you_mean(args[0], VERBS, 20)}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Lazy,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="corpus-builder", prog_name="corpus")
def cli() -> None:
    """From raw web archives to a training-ready corpus, accounted for document by document.

    \b
    Begin with:
      corpus run quickstart            a small real corpus, in minutes
      corpus funnel quickstart         what became of every document
      corpus new web my.yaml           a recipe for crawls of your own
    """


def main(args: list[str] | None = None) -> Any:
    """Entry point: runs a verb and turns errors into messages and exit codes."""
    try:
        cli.main(args=args, prog_name="corpus", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except CorpusError as error:
        _fail(error)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted: run the same command again to go on", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        known = of_the_machine(error)
        if known is None:
            raise
        _fail(known)


def _fail(error: CorpusError) -> NoReturn:
    click.secho("error: ", fg="red", bold=True, err=True, nl=False)
    click.echo(str(error), err=True)
    sys.exit(error.exit_code)
