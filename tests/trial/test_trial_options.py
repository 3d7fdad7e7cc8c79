"""The options of `corpus trial`, and what its exit code means."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from spine import Inline, write_recipe
from trials import HALF, Tried, recipe, tried

from corpus_builder import runner
from corpus_builder.cli.main import cli
from corpus_builder.train import machine
from corpus_builder.trial import report, trial
from corpus_builder.trial.prospect import Speed


@pytest.fixture
def tiny(documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(runner, "LocalEngine", Inline)
    monkeypatch.setattr(trial, "LocalEngine", Inline)
    monkeypatch.setattr(machine, "choose_precision", lambda *_, **__: "fp32")
    monkeypatch.setattr(trial.Trainer, "speed", lambda self, due: Speed(1_600, 1, 0))
    return write_recipe(tmp_path / "tiny.yaml", recipe(documents, {"half": HALF}, tokens=1_600))


def run(path: Path, *options: str) -> Result:
    return CliRunner().invoke(
        cli, ["trial", str(path), "--out", str(path.parent / "out"), *options]
    )


def test_every_check_is_told_and_a_sound_report_exits_with_0(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = report.judge_self_tests
    monkeypatch.setattr(report, "judge_self_tests", lambda *a: replace(judge(*a), void=()))
    options = ("--self-test", "--lr-check", "--until-decided", "--budget", "60s")
    done = run(tiny, *options, "--workers", "1", "--memory", "2G", "--quiet")
    assert done.exit_code == 0
    words = " ".join(done.stdout.split())
    for said in ("self-test, A/A", "shuffled tokens", "tenth of the learning rate", "looks: "):
        assert said in words
    content = json.loads(run(tiny, *options, "--json").stdout)
    assert content["self_tests"]["series"]["damage"][0] == 0
    assert len(content["looks"]) > 1
    assert "slower_rate" in content["arms"]["half"]


def test_a_forecast_says_what_the_trial_would_and_trains_nothing(tiny: Path) -> None:
    said = run(tiny, "--forecast", "--quiet")
    assert said.exit_code == 0
    assert [line.split()[0] for line in said.stdout.splitlines() if line[0] != " "][:2] == [
        "trial", "cost",
    ]  # fmt: skip
    content = json.loads(run(tiny, "--forecast", "--json", "--until-decided").stdout)
    assert content["models"] == content["to_train"] == 4 and len(content["looks"]) > 1
    assert (content["seeds"], content["seeds_at_most"]) == (2, content["looks"][-1][0]) == (2, 8)
    assert content["models_at_most"] == 2 * 8
    assert content["seconds_at_most"] == pytest.approx(4 * content["seconds"])
    words = " ".join(run(tiny, "--forecast", "--until-decided").output.split())
    for said in ("to the first look, scoring included", "; at most ", "power after 8 seeds"):
        assert said in words
    assert not [*(tiny.parent / "out" / "trial").glob("*/run.json")]
    report = json.loads(run(tiny, "--json").stdout)
    content = json.loads(run(tiny, "--forecast", "--json").stdout)
    assert content["to_train"] == 0
    assert content["smallest_detectable"] == report["smallest_detectable"]["forecast"]
    assert content["margin"] == report["margin"]


def test_a_forecast_of_a_variant_leaves_the_trial_s_stages_on_record(tiny: Path) -> None:
    out = tiny.parent / "out"
    run(tiny)
    records = {path.name: path.read_bytes() for path in (out / "recipes").iterdir()}
    assert len(records) == 2 and runner.unreferenced(out) == []
    variant, alone = ("--set", "heldout.max_documents=7"), ("--set", "trial.arms.half=off")
    for options in (variant, (*variant, *alone, "--self-test")):
        assert run(tiny, "--forecast", *options).exit_code == 0
    assert {path.name: path.read_bytes() for path in (out / "recipes").iterdir()} == records
    assert run(tiny, *variant).exit_code == 0
    assert runner.unreferenced(out) != [], "a trial of it does take its place"


def test_verify_names_the_mix_that_a_trial_does_not_build(tiny: Path) -> None:
    run(tiny)
    done = CliRunner().invoke(cli, ["verify", str(tiny), "--out", str(tiny.parent / "out")])
    assert done.exit_code == 0 and done.output.rstrip().endswith("(not built: mix)")


def test_a_void_report_says_so_and_exits_with_1(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = report.judge_self_tests
    why = "the base was called better than itself"
    monkeypatch.setattr(report, "judge_self_tests", lambda *a: replace(judge(*a), void=(why,)))
    done = run(tiny, "--self-test", "--quiet")
    assert done.exit_code == 1
    assert "The report is void" in done.stdout
    assert json.loads(run(tiny, "--self-test", "--json").stdout)["void"] == [why]


def test_before_training_the_margin_says_whether_to_expect_equivalent(tiny: Path) -> None:
    said = " ".join(run(tiny).output.split())
    assert "0.025 bits per byte, the widest that is not declared" in said
    assert 'so do not expect "equivalent"' in said
    declared = tiny.with_name("declared.yaml")
    declared.write_text(tiny.read_text().replace("trial:\n", "trial:\n  margin: 3.0\n"))
    said = run(declared).output
    assert "3.000 bits per byte, declared" in " ".join(said.split())
    assert "equivalent" in said


def test_a_budget_that_is_no_time_is_refused(tiny: Path) -> None:
    done = run(tiny, "--budget", "soon")
    assert done.exit_code == 2
    assert "such as 5m" in done.output


def test_a_variation_of_a_trial_keeps_its_report(documents: Path, tmp_path: Path) -> None:
    first: Tried = tried(recipe(documents, {"half": HALF}, tokens=640), tmp_path)
    report = (first.out / "trial" / "report.json").read_bytes()
    tried(recipe(documents, {"half": HALF}, tokens=1280), tmp_path)
    (kept,) = (first.out / "trial").glob("former-*")
    assert (kept / "report.json").read_bytes() == report
    assert (first.out / "trial" / "report.json").read_bytes() != report
