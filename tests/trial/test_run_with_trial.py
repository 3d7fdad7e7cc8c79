"""`corpus run` ends with the recipe's trial, where there is what it takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from spine import Inline, write_recipe
from trials import HALF, recipe

import corpus_builder as cb
from corpus_builder import runner
from corpus_builder.cli.main import cli
from corpus_builder.store.errors import RecipeError
from corpus_builder.train import machine
from corpus_builder.trial import trial

STRICTER = {"corpora.notes.filter.gopher.n_words.min": 120}


@pytest.fixture
def tiny(documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe with a trial."""
    monkeypatch.setattr(runner, "LocalEngine", Inline)
    monkeypatch.setattr(trial, "LocalEngine", Inline)
    monkeypatch.setattr(machine, "choose_precision", lambda *_, **__: "fp32")
    return write_recipe(tmp_path / "tiny.yaml", recipe(documents, {"half": HALF}, tokens=1_600))


def run(path: Path, *options: str, catch: bool = True) -> Result:
    out = str(path.parent / "out")
    args = ["run", str(path), "--out", out, *options]
    return CliRunner().invoke(cli, args, catch_exceptions=catch)


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


@pytest.mark.parametrize(
    ("trial", "said"),
    [
        ({"pairs": {"mine": "no/such.jsonl"}}, "there is no file"),
        ({"arms": {"stricter": STRICTER}}, "no arm can be compared"),
        ({"target": {"mine": 1.0}}, "heldout.texts.mine: texts in it: 1; at least 2 are needed"),
    ],
)
def test_what_keeps_the_trial_from_being_run_is_said_before_anything_is_built(
    tiny: Path, documents: Path, trial: dict[str, Any], said: str
) -> None:
    content = recipe(documents, **({"arms": {"half": HALF}} | trial))
    (tiny.parent / "own.jsonl").write_text(json.dumps({"body": "A text."}) + "\n")
    own = {"files": str(tiny.parent / "own.jsonl"), "text": "body"}
    content["heldout"]["texts"] = {"mine": own}
    write_recipe(tiny, content)
    with pytest.raises(RecipeError, match=said):
        run(tiny, catch=False)
    assert not (tiny.parent / "out" / "stages").exists()


def test_arms_left_out_are_named_before_anything_is_built(tiny: Path, documents: Path) -> None:
    write_recipe(tiny, recipe(documents, {"half": HALF, "stricter": STRICTER}))
    for verb in ("check", "plan"):
        done = CliRunner().invoke(cli, [verb, str(tiny)])
        assert "not comparable, and left out: stricter." in " ".join(done.output.split())
    said = " ".join(run(tiny).output.split())
    assert said.index("not comparable, and left out: stricter.") < said.index("mix ·")
