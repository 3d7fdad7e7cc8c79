"""The mix block: weights, samplers, stages; exactly one of them, each settable from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus_builder.recipe import Recipe, load_recipe
from corpus_builder.store.errors import RecipeError

HEAD = """
name: m
corpora:
  a: {source: {jsonl: a.jsonl}}
  b: {source: {jsonl: b.jsonl}}
mix:
  tokens: 10K
  sequence_length: 16
"""


def recipe(tmp_path: Path, mix: str, *overrides: str) -> Recipe:
    path = tmp_path / "m.yaml"
    path.write_text(HEAD + mix)
    return load_recipe(path, overrides)


def test_steps_of_plain_weights_are_one_stretch_of_the_whole_budget(tmp_path: Path) -> None:
    mix = recipe(tmp_path, "  weights: {a: 3, b: 1}\n").mix
    assert mix is not None
    assert [(step.until, step.weights) for step in mix.steps] == [(1.0, {"a": 3.0, "b": 1.0})]


def test_stages_rise_and_end_the_budget(tmp_path: Path) -> None:
    text = "  stages:\n    - {until: 80%, weights: {a: 1, b: 1}}\n    - weights: {a: 0, b: 1}\n"
    mix = recipe(tmp_path, text).mix
    assert mix is not None
    assert [step.until for step in mix.steps] == [0.8, 1.0]


@pytest.mark.parametrize(
    "stages",
    [
        "[{until: 80%, weights: {a: 1, b: 1}}]",
        "[{until: 80%, weights: {a: 1, b: 1}}, {until: 20%, weights: {a: 1, b: 1}}]",
        "[{weights: {a: 1, b: 1}}, {weights: {a: 1, b: 1}}]",
    ],
)
def test_stages_that_do_not_rise_to_the_end_are_refused(tmp_path: Path, stages: str) -> None:
    with pytest.raises(RecipeError, match="until"):
        recipe(tmp_path, f"  stages: {stages}\n")


@pytest.mark.parametrize("mix", ["", "  weights: {a: 1, b: 1}\n  sampler: unimax\n"])
def test_exactly_one_way_to_weights(tmp_path: Path, mix: str) -> None:
    with pytest.raises(RecipeError, match="exactly one of weights, sampler, stages"):
        recipe(tmp_path, mix)


def test_an_override_replaces_the_other_way_to_weights(tmp_path: Path) -> None:
    mix = recipe(tmp_path, "  weights: {a: 1, b: 1}\n", "mix.sampler={temperature: 0.5}").mix
    assert mix is not None
    assert mix.weights is None
    assert mix.to_canonical()["sampler"] == {"temperature": 0.5}


def test_a_stage_names_every_corpus_and_no_other(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as error:
        recipe(tmp_path, "  stages: [{weights: {a: 1, c: 1}}]\n")
    assert "there is no corpus 'c'" in str(error.value)
    assert "has none for corpus 'b'" in str(error.value)


def test_epochs_may_differ_between_corpora(tmp_path: Path) -> None:
    mix = recipe(tmp_path, "  weights: {a: 1, b: 1}\n  max_epochs: {a: 2}\n").mix
    assert mix is not None
    assert mix.max_epochs == {"a": 2.0}
    with pytest.raises(RecipeError, match="there is no corpus 'x'"):
        recipe(tmp_path, "  weights: {a: 1, b: 1}\n  max_epochs: {x: 2}\n")
