"""`corpus run` ends with the recipe's trial, where there is what it takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from spine import Inline, write_recipe
from trials import HALF, recipe

import corpus_builder as cb
from corpus_builder import runner
from corpus_builder.cli.main import cli
from corpus_builder.train import machine
from corpus_builder.trial import trial


@pytest.fixture
def tiny(documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe with a trial."""
    monkeypatch.setattr(runner, "LocalEngine", Inline)
    monkeypatch.setattr(trial, "LocalEngine", Inline)
    monkeypatch.setattr(machine, "choose_precision", lambda *_, **__: "fp32")
    return write_recipe(tmp_path / "tiny.yaml", recipe(documents, {"half": HALF}, tokens=1_600))


def run(path: Path, *options: str) -> Result:
    out = str(path.parent / "out")
    return CliRunner().invoke(cli, ["run", str(path), "--out", out, *options])


def test_the_corpus_is_built_and_then_tried(tiny: Path) -> None:
    done = run(tiny)
    assert done.exit_code == 0
    funnel, table = done.output.index("mix ·"), done.output.index("difference to the base")
    assert funnel < table
    content = json.loads(run(tiny, "--json").stdout)
    assert content["trial"]["arms"]["half"]["comparisons"]["headline"]["verdict"]
    assert content["units_done"] == {}


@pytest.mark.parametrize("options", [("--no-trial",), ("--until", "notes.dedup")])
def test_the_trial_is_left_out_where_it_is_not_wanted(tiny: Path, options: tuple[str]) -> None:
    assert json.loads(run(tiny, *options, "--json").stdout)["trial"] is None
    assert not (tiny.parent / "out" / "trial").exists()


def test_from_python_the_same_report(tiny: Path) -> None:
    found = cb.load(tiny).plan(tiny.parent / "out").trial(workers=1)
    content = json.loads(run(tiny, "--json").stdout)
    assert json.loads(json.dumps(found.as_json())) == content["trial"]
    assert not found.void


def test_without_torch_the_corpus_is_built_and_a_note_says_what_is_missing(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "find_spec", lambda name: None if name == "torch" else name)
    done = run(tiny)
    assert done.exit_code == 0
    assert "needs torch" in done.output.replace("\n", " ")
    assert "corpus-builder[trial]" in done.output.replace("\n", "")
    assert (tiny.parent / "out" / "mix").exists()
