"""The mix block: weights, samplers, stages; exactly one of them, each settable from outside."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from corpus_builder.assemble_mix import mix_config
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


def test_weights_may_be_shares_or_counts_with_units(tmp_path: Path) -> None:
    for text in ("{a: 40%, b: 60%}", "{a: 400k, b: 0.6M}", "{a: 4, b: 6.0}"):
        mix = recipe(tmp_path, f"  weights: {text}\n").mix
        assert mix is not None and mix.weights is not None
        assert mix.weights["a"] / sum(mix.weights.values()) == pytest.approx(0.4)
    with pytest.raises(RecipeError, match=r"'4 of 10' is no weight, such as 0\.4, 40% or 400k"):
        recipe(tmp_path, "  weights: {a: 4 of 10, b: 1}\n")
    with pytest.raises(RecipeError, match=r"a is '-40%'; allowed: greater than"):
        recipe(tmp_path, "  weights: {a: -40%, b: 1}\n")


def test_a_count_may_be_a_float_that_is_whole(tmp_path: Path) -> None:
    mix = recipe(tmp_path, "  weights: {a: 1, b: 1}\n", "mix.tokens=1e6").mix
    assert mix is not None and mix.tokens == 1_000_000
    with pytest.raises(RecipeError, match=r"mix\.tokens is 1000000\.5; allowed: a whole number"):
        recipe(tmp_path, "  weights: {a: 1, b: 1}\n", "mix.tokens=1000000.5")


def test_what_is_wrong_in_a_list_is_said_once(tmp_path: Path) -> None:
    buckets = "  weights: {a: 1, b: 1}\n  buckets: {a: {by: n_words, quantiles: [100%]}}\n"
    with pytest.raises(RecipeError) as caught:
        recipe(tmp_path, buckets)
    assert "quantiles[0] is '100%'; allowed: less than 1" in str(caught.value)
    assert "1 or more" not in str(caught.value)


def test_token_counts_do_for_weights(tmp_path: Path) -> None:
    mix = recipe(tmp_path, "  weights: {a: 15e12, b: 999999999999999}\n").mix
    assert mix is not None
    stores: Any = [SimpleNamespace(encode=SimpleNamespace(part=name)) for name in "ab"]
    ((_, weights),) = mix_config(mix, stores).steps
    assert weights == {"a": 15 * 10**12, "b": 999_999_999_999_999}
    with pytest.raises(RecipeError, match="weights"):
        recipe(tmp_path, "  weights: {a: 1e16, b: 1}\n")


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


@pytest.mark.parametrize("weights", ["{a: 40%, b: 5}", "{a: 1, b: 40%}", "{b: 0.4, a: 200k}"])
def test_a_share_beside_a_count_is_refused_as_the_slip_it_is(tmp_path: Path, weights: str) -> None:
    with pytest.raises(
        RecipeError, match=r"m\.yaml:9: mix\.weights: . has .*: a share beside a count"
    ):
        recipe(tmp_path, f"  weights: {weights}\n")


@pytest.mark.parametrize("weights", ["{a: 40%, b: 0.6}", "{a: 40%, b: 0}", "{a: 2, b: 0.5}"])
def test_shares_however_written_and_ratios_are_taken(tmp_path: Path, weights: str) -> None:
    assert recipe(tmp_path, f"  weights: {weights}\n").mix


# --- buckets -------------------------------------------------------------------------------------

WEIGHTS = "  weights: {a: 1, b: 1}\n"
CUT = "  buckets:\n    a:\n      by: n_words\n      quantiles: [50%, 90%]\n      times: [0, 1, 4]\n"


def test_a_corpus_may_be_cut_into_buckets_that_are_read_at_rates(tmp_path: Path) -> None:
    mix = recipe(tmp_path, WEIGHTS + CUT).mix
    assert mix is not None
    assert mix.buckets is not None
    assert mix.buckets["a"].cuts == (0.5, 0.9)
    assert mix.buckets["a"].times == (0.0, 1.0, 4.0)
    assert mix.buckets["a"].on_null is None


def test_an_override_addresses_the_rates_and_edges_replace_quantiles(tmp_path: Path) -> None:
    path = "mix.buckets.a."
    changes = (f"{path}times=[0, 1, 8]", f"{path}edges=[10, 99.5]", f"{path}on_null=0")
    mix = recipe(tmp_path, WEIGHTS + CUT, *changes).mix
    assert mix is not None
    assert mix.buckets is not None
    assert mix.buckets["a"].model_dump() == {
        "by": "n_words", "edges": (10.0, 99.5), "quantiles": None, "times": (0.0, 1.0, 8.0),
        "on_null": 0,
    }  # fmt: skip
    again = recipe(tmp_path, WEIGHTS + CUT, *changes, f"{path}quantiles=[1%, 2%]").mix
    assert again is not None
    assert again.buckets is not None
    assert again.buckets["a"].cuts == (0.01, 0.02)


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (("by: n_words", "by: n_word"), 12, ["no signal named 'n_word'", "did you mean 'n_words'"]),
        (("by: n_words", "by: has_curly_bracket"), 12, ["is a bool", "signals that are numbers"]),
        (("by: n_words", "by: lang_score"), 12, [".by reads 'lang_score'", "language"]),
        (("by: n_words", "bye: n_words"), 12, ["unknown key mix.buckets.a.bye", "'by'"]),
        (("    a:\n", "    ab:\n"), 11, ["there is no corpus 'ab'"]),
        (("[0, 1, 4]", "[0, 1]"), 11, ["2 quantiles make 3 buckets, but times has 2 numbers"]),
        (("[0, 1, 4]", "[0, 0, 0]"), 11, ["all times are 0"]),
        (("[0, 1, 4]", "[0, 1, -4]"), 14, ["mix.buckets.a.times[2] is -4"]),
        (("[50%, 90%]", "[90%, 50%]"), 11, ["quantiles must rise"]),
        (("[50%, 90%]", "[50%, 50%]"), 11, ["quantiles must rise"]),
        (("[50%, 90%]", "[50%, 100%]"), 13, ["mix.buckets.a.quantiles[1]"]),
        (("quantiles:", "edges: [1, 2]\n      quantiles:"), 11, ["it has edges and quantiles"]),
        (("      quantiles: [50%, 90%]\n", ""), 11, ["needs exactly one", "it has neither"]),
        (("[0, 1, 4]\n", "[0, 1, 4]\n      on_null: 3\n"), 11, ["on_null is 3; the last bucket"]),
        (("[0, 1, 4]\n", "[0, 1, 4]\n      on_null: drop\n"), 15, ["'drop' is neither `error`"]),
    ],
)  # fmt: skip
def test_buckets_that_cannot_be_are_refused_at_their_line(
    tmp_path: Path, change: tuple[str, str], line: int, says: list[str]
) -> None:
    assert change[0] in CUT
    with pytest.raises(RecipeError) as error:
        recipe(tmp_path, WEIGHTS + CUT.replace(*change))
    assert f"m.yaml:{line}: " in str(error.value)
    for part in says:
        assert part in str(error.value)
