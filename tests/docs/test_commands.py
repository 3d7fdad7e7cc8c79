"""The command lines and Python of the documentation work.

Every `corpus ...` in a page is parsed as the program parses it. Those of the README and the quick
start are also run, in order, where `pipelines/quickstart.yaml` and `pipelines/web.yaml` are
stand-ins: the shipped recipes over a small synthetic input, with a smaller mix. Tasks run in this
process; the real quick start runs where `CORPUS_TEST_QUICKSTART` is set.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import click
import manual
import pytest
import spine
import yaml
from click.testing import CliRunner

from corpus_builder import runner
from corpus_builder.cli.main import VERBS, cli
from corpus_builder.recipe import load_recipe
from corpus_builder.sources.sample import ensure_sample
from corpus_builder.store.errors import CorpusError, SourceError
from corpus_builder.trial import trial

COMMANDS = [pair for page in manual.PAGES for pair in manual.commands(page)]
MENTIONS = [pair for page in manual.PAGES for pair in manual.mentions(page)]
README, QUICKSTART = manual.ROOT / "README.md", manual.ROOT / "docs" / "quickstart.md"
NOT_HERE = {"sample"}
"""Verbs that a stand-in cannot stand for: they fetch through pip."""

NEED_TORCH = {"trial", "optimise"}


def ids(pairs: list[tuple[str, list[str]]]) -> list[str]:
    return [where for where, _ in pairs]


def parse(arguments: list[str]) -> None:
    """Parse a command line as the program does; raises what it would."""
    verb, *rest = arguments
    command = cli.get_command(click.Context(cli), verb)
    if command is None:
        raise click.UsageError(f"no verb {verb!r}")
    command.make_context(verb, list(rest))


@pytest.fixture
def named_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with the folders that commands in the pages name."""
    for name in ("runs/quickstart", "runs/mine", "DIR"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


# --- parsed --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("named_folders")
@pytest.mark.parametrize(("where", "arguments"), COMMANDS, ids=ids(COMMANDS))
def test_command_lines_parse(where: str, arguments: list[str]) -> None:
    parse(arguments)


@pytest.mark.usefixtures("named_folders")
@pytest.mark.parametrize(("where", "arguments"), MENTIONS, ids=ids(MENTIONS))
def test_commands_in_the_text_exist(where: str, arguments: list[str]) -> None:
    verb, *rest = arguments
    assert verb in VERBS
    if rest:
        parse(arguments)


@pytest.mark.parametrize(
    "line",
    [
        "rum quickstart",
        "run quickstart --worker-count 2",
        "run",
        "run quickstart --memory lots",
        "check quickstart web",
        "ls nothing",
        "gc --out not-there",
    ],
)
def test_what_the_program_refuses_does_not_parse(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(line.split())


CHECKS = [
    (where, arguments)
    for where, arguments in COMMANDS
    if arguments[0] == "check" and not arguments[1].endswith(".yaml")
]


@pytest.mark.parametrize(("where", "arguments"), CHECKS, ids=ids(CHECKS))
def test_patches_shown_are_valid(where: str, arguments: list[str]) -> None:
    assert CliRunner().invoke(cli, arguments, catch_exceptions=False).exit_code == 0


# --- run on a stand-in ---------------------------------------------------------------------------


def stand_in(folder: Path, name: str, source: dict[str, dict[str, Any]]) -> None:
    """`pipelines/<name>.yaml`: the shipped recipe over another input, with a smaller mix."""
    text = (manual.ROOT / "pipelines" / f"{name}.yaml").read_text("utf-8")
    content = yaml.safe_load(text.replace(": off", ": 'off'"))  # a word, as recipes read it
    for corpus, part in source.items():
        content["corpora"][corpus]["source"] = part
    for stage in content["corpora"].get("web", {"stages": []})["stages"]:
        if "language" in stage:
            stage["language"]["model"] = str(folder / "lid.bin")
    content["tokenizer"] = {"train": {"vocab": 300, "max_bytes": "100KB"}}
    content["mix"] |= {"tokens": 4000, "sequence_length": 64, "max_epochs": 10}
    if "trial" in content:
        content["trial"] |= {"model": {"layers": 1, "width": 32}, "seeds": 2, "tokens": 1280}
        content["heldout"]["share"] = "20%"
    path = folder / "pipelines" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which `quickstart` and `web` are small."""
    folder = tmp_path_factory.mktemp("desk")
    members = spine.pages(30)
    members[20] = spine.response(f"{spine.SITE}/short", spine.html("Too short. And yet a page."))
    near = spine.nearly(spine.prose("page 22", 10), "near")
    members[21] = spine.response(f"{spine.SITE}/near", spine.html(near))
    spine.write_warc(folder / "crawl" / "a.warc.gz", members)
    rows = [{"id": row["id"], "text": row["text"], "url": row["url"]} for row in spine.code(40)]
    spine.write_jsonl(folder / "code.jsonl", rows)
    spine.language_model(folder / "lid.bin")
    crawl, code = {"warc": "crawl/*.warc.gz"}, {"jsonl": "code.jsonl"}
    stand_in(folder, "quickstart", {"web": crawl, "code": code})
    stand_in(folder, "web", {"web": crawl})
    (folder / "data").mkdir()
    texts = "".join(json.dumps(row) + "\n" for row in spine.notes(200)).encode()
    (folder / "data" / "a.jsonl.gz").write_bytes(gzip.compress(texts))
    stand_in(folder, "files", {"texts": {"jsonl": "data/*.jsonl*"}})
    (folder / "runs").mkdir()
    return folder


@pytest.fixture
def at_the_desk(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(desk)
    (desk / "my.yaml").unlink(missing_ok=True)
    monkeypatch.setattr(runner, "LocalEngine", spine.Inline)
    monkeypatch.setattr(trial, "LocalEngine", spine.Inline)
    return desk


def run_all(page: Path) -> dict[str, str]:
    """Run a page's commands in order; what each printed, by its arguments."""
    printed = {}
    for where, arguments in manual.commands(page):
        if arguments[0] in NOT_HERE or (arguments[0] in NEED_TORCH and trial.missing_packages()):
            continue
        result = CliRunner().invoke(cli, arguments, input="y\n")
        assert result.exception is None, f"{where}: {result.exception}"
        printed[" ".join(arguments)] = result.output
    return printed


def test_the_readmes_commands_and_python_run(
    at_the_desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = run_all(README)
    assert "gopher.n_words · value 6" in printed["peek quickstart --dropped-by gopher.n_words"]
    change = "--set corpora.web.filter.gopher.n_words.min=100"
    lines = printed[f"plan quickstart {change}"].splitlines()
    notes = {words[0]: words[4:] for line in lines if len(words := line.split()) > 4}
    assert notes["web.filter.signals"] == ["nothing", "to", "do"]
    assert notes["web.filter"] == ["to", "do"]
    assert "all is well" in printed["verify quickstart"]
    assert (at_the_desk / "my.yaml").is_file()
    assert (at_the_desk / "runs" / "mine" / "mix" / "state.json").is_file()
    (block,) = manual.blocks(README, "python")
    names: dict[str, Any] = {}
    exec(compile(block.text, block.where, "exec"), names)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("extract ")
    assert lines[-2].startswith("runs/quickstart/mix ")
    assert lines[-1] == "runs/quickstart/exports/megatron-documents"
    assert names["report"].reused["web.extract"] > 0
    assert "web.extract" not in names["report"].done
    assert names["plan"].verify() == []
    shown = tree_of(README)
    assert {path for path in shown if not (at_the_desk / path).exists()} == set()


def tree_of(page: Path) -> set[str]:
    """Folders and files that the page's picture of a run names directly below the run."""
    (text,) = [block.text for block in manual.blocks(page, "text") if "timing.json" in block.text]
    root, *lines = text.splitlines()
    names = [line.split()[0] for line in lines if re.match(r"  \S", line)]
    return {root + name for name in names}


def test_the_quick_starts_commands_run(at_the_desk: Path) -> None:
    printed = run_all(QUICKSTART)
    assert "dropped only" in printed["funnel quickstart --rules"]
    assert "Jaccard" in printed["peek quickstart --dropped-by dedup.near"]
    again = printed["run quickstart --set corpora.web.filter.gopher.n_words.min=100"]
    assert re.search(r"[1-9]\d* reused", again)
    assert "freed" in printed["gc --out runs/quickstart"]
    (block,) = manual.blocks(QUICKSTART, "python")
    pytest.importorskip("datasets")
    names: dict[str, Any] = {}
    exec(compile(block.text, block.where, "exec"), names)
    assert len(names["mix"][0]["input_ids"]) == 64


def test_a_crawl_too_small_for_its_mix_says_what_would_fit(at_the_desk: Path) -> None:
    """As the README says of the own-data command."""
    small = ["--set", "mix.tokens=100M", "--out", "runs/small", "--quiet"]
    result = CliRunner().invoke(cli, ["run", "web", *small])
    assert isinstance(result.exception, CorpusError)
    assert result.exception.exit_code == 4
    assert "short" in str(result.exception)
    assert "tokens" in str(result.exception)


def test_stand_ins_are_the_shipped_recipes(at_the_desk: Path) -> None:
    """Same stages and rule sets: what runs here is what a user runs."""
    for name in ("quickstart", "web"):
        shipped = load_recipe(manual.ROOT / "pipelines" / f"{name}.yaml")
        here = load_recipe(name)
        for corpus, part in shipped.corpora.items():
            ours = [(stage.verb, stage.name) for stage in here.corpora[corpus].stages]
            assert ours == [(stage.verb, stage.name) for stage in part.stages]


# --- the real one --------------------------------------------------------------------------------


def test_the_real_quick_start_gives_the_readmes_funnel(tmp_path: Path) -> None:
    """In a process of its own, with workers, as a user runs it."""
    if not os.environ.get("CORPUS_TEST_QUICKSTART"):
        pytest.skip("takes minutes: set CORPUS_TEST_QUICKSTART=1 to run the real quick start")
    try:
        ensure_sample()
    except SourceError as error:
        pytest.skip(f"the sample is not cached and cannot be fetched: {error}")
    command = spine.command("run", "quickstart", "--quiet")
    subprocess.run(command, cwd=tmp_path, env=spine.environment(), check=True)
    command = spine.command("funnel", "quickstart")
    done = subprocess.run(
        command, cwd=tmp_path, env=spine.environment(), check=True, capture_output=True, text=True
    )
    (block,) = [part for part in manual.blocks(README, "text") if "funnel" in part.mark]
    built_with = dict(re.findall(r"([\w-]+) (\d[\w.]*\d)", block.mark.partition(" with ")[2]))
    from importlib.metadata import version

    if other := {name for name, number in built_with.items() if version(name) != number}:
        pytest.skip(f"the README's funnel was made with other versions of {', '.join(other)}")
    assert [line.rstrip() for line in done.stdout.strip().splitlines()] == block.text.splitlines()
