"""What a mix comes to is told with the recipe: stages without a sequence, weights of none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.mixing.allocation import Phase, allocate_phases
from corpus_builder.recipe import load_recipe
from corpus_builder.recipe_arithmetic import check_arithmetic, described
from corpus_builder.recipe_check import Problems
from corpus_builder.recipe_mix import Mix
from corpus_builder.store.errors import CorpusError, RecipeError
from corpus_builder.yamlfile import node_of

HEAD = """\
name: m
corpora:
  a: {source: {sample: code}}
  b: {source: {sample: code}}
heldout: {share: 2%}
"""


def said(tmp_path: Path, body: str) -> list[str]:
    path = tmp_path / "m.yaml"
    path.write_text(HEAD + body)
    with pytest.raises(RecipeError) as error:
        load_recipe(path)
    return str(error.value).replace(f"{path}:", "").splitlines()


def test_stages_without_a_sequence_and_weights_of_none_are_told_with_their_lines(
    tmp_path: Path,
) -> None:
    assert said(tmp_path, """\
mix:
  tokens: 1M
  sequence_length: 256
  stages:
    - {until: 0.01%, weights: {a: 1, b: 0}}
    - {until: 40%, weights: {a: 1, b: 0.00001}}
    - weights: {a: 1, b: 1}
""") == [
        "10: mix.stages[0]: none of the 3,906 sequences of mix.tokens is in it; "
        "make the stage longer or raise mix.tokens",
        "11: mix.stages[1].weights.b: its 0.0156 of 1,562 sequences rounds to none; it gets one "
        "for sure from 100,001 sequences on; raise mix.tokens, make the stage longer, "
        "raise the weight or set it to 0",
    ]  # fmt: skip


def test_the_shorter_budget_of_a_trial_and_its_arms_are_looked_at_too(tmp_path: Path) -> None:
    mix = "mix: {tokens: 1M, sequence_length: 256, weights: {a: 1, b: 0.01}}\n"
    (one,) = said(tmp_path, mix + "trial: {model: 1M, tokens: 10k, arms: {}}\n")
    assert one.startswith("6: mix.weights.b: its 0.386 of 39 sequences rounds to none")
    assert "raise trial.tokens" in one
    trial = "trial: {model: 1M, tokens: 100k, arms: {less: {mix.weights.b: 0.0001}}}\n"
    (one,) = said(tmp_path, mix + trial)
    assert one.startswith("7: arm 'less': mix.weights.b: its 0.039 of 390 sequences")
    (one,) = said(tmp_path, mix + trial.replace("tokens: 100k, ", ""))
    assert one.startswith("7: arm 'less': mix.weights.b: its 0.391 of 3,906 sequences")
    path = tmp_path / "m.yaml"
    path.write_text(HEAD + mix + trial.replace("100k", "20M"))
    assert load_recipe(path).arm("less").mix, "an arm is trained, never mixed at mix.tokens"


def test_what_others_may_leave_it_is_for_the_data_to_say() -> None:
    """With `redistribute` a corpus may get more than its weight; a stage keeps its length."""
    weights = {"weights": {"a": 1, "b": 0.0001}}
    tiny = {"stages": ({"until": 0.0001, **weights}, weights)}
    for mix, count in ((weights, 0), (tiny, 1)):
        problems = Problems()
        made = Mix.model_validate(
            {"tokens": 1000, "sequence_length": 10, "on_short": "redistribute", **mix}
        )
        check_arithmetic(made, 1000, "mix.tokens", node_of({}, "here"), problems)
        assert len(problems.found) == count


@given(
    st.lists(st.tuples(st.integers(1, 99), st.integers(0, 30), st.integers(1, 999)), max_size=3),
    st.integers(1, 120),
)
def test_it_refuses_what_the_mix_would_refuse_whatever_the_data(  # type: ignore[no-untyped-def]
    drawn, total
) -> None:
    ends = sorted({until for until, _, _ in drawn})
    steps = [
        {"until": until / 100, "weights": {"a": a / 10, "b": b / 10}}
        for until, (_, a, b) in zip([*ends, 100], [*drawn, (0, 5, 5)], strict=False)
    ]
    steps[-1]["until"] = 1.0
    mix = Mix.model_validate({"tokens": total * 8, "sequence_length": 8, "stages": tuple(steps)})
    problems = Problems()
    check_arithmetic(mix, mix.tokens, "mix.tokens", node_of({}, "here"), problems)
    phases = [Phase(step.until, step.weights) for step in mix.steps]
    try:
        allocate_phases(
            {"a": 10**6, "b": 10**6}, phases, tokens=mix.tokens, sequence_length=8, max_epochs=4
        )
    except CorpusError:
        assert problems.found
    else:
        assert not problems.found


def test_a_mix_is_described_by_the_shares_it_asks_for() -> None:
    head = {"tokens": 10_000, "sequence_length": 16}
    mix = Mix.model_validate({**head, "weights": {"a": "400k", "b": "1.2M", "c": 0}})
    assert described(mix) == ["mix: 10,000 tokens, 625 sequences: b 75 %, a 25 %"]
    stages = ({"until": "80%", "weights": {"a": 1}}, {"weights": {"a": 1, "b": 2}})
    assert described(Mix.model_validate({**head, "stages": stages})) == [
        "mix: 10,000 tokens, 625 sequences",
        "  up to 80 %: a 100 %",
        "  up to 100 %: b 66.7 %, a 33.3 %",
    ]
    (line,) = described(Mix.model_validate({**head, "sampler": {"temperature": 0.5}}))
    assert line.endswith("; weights from the corpora's sizes (temperature)")
