"""Patches keep the grammar: they find things by name, merge mappings, replace the rest, repeat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder import yamlfile
from corpus_builder.recipe_patch import item_name, patch, patch_all, stage_key
from corpus_builder.store.errors import RecipeError
from corpus_builder.yamlfile import Node

BASE = """\
corpora:
  web:
    source: {jsonl: a.jsonl, text: body, split_size: 1MB}
    stages:
      - language: {keep: [en]}
      - filter: [gopher, {fineweb: {short_line_fraction.max: 0.7}}, ./rules/mine.yaml]
      - filter as strict: [c4]
      - transform: [c4-lines]
      - dedup
tokenizer: t.json
mix: {tokens: 1M, weights: {web: 1}}
"""


def patched(path: str, value: Any, text: str = BASE) -> Any:
    tree = yamlfile.parse(text, "r.yaml")
    return patch(tree, path, yamlfile.node_of(value, "here")).plain()


def stages(recipe: Any) -> Any:
    return recipe["corpora"]["web"]["stages"]


@pytest.mark.parametrize(
    ("path", "value", "index", "stage"),
    [
        ("dedup.threshold", 0.7, 4, {"dedup": {"threshold": 0.7}}),
        ("dedup", {"threshold": 0.7}, 4, {"dedup": {"threshold": 0.7}}),
        ("dedup", "off", 4, {"dedup": "off"}),
        ("language.keep", ["de"], 0, {"language": {"keep": ("de",)}}),
        ("language", {"min_score": 0.5}, 0, {"language": {"keep": ("en",), "min_score": 0.5}}),
        ("strict", ["gopher"], 2, {"filter as strict": ("gopher",)}),
        (
            "strict.c4.n_sentences",
            "off",
            2,
            {"filter as strict": ({"c4": {"n_sentences": "off"}},)},
        ),
        ("strict", {"c4": "off"}, 2, {"filter as strict": ({"c4": "off"},)}),
        (
            "transform.c4-lines.min_words_per_line",
            5,
            3,
            {"transform": ({"c4-lines": {"min_words_per_line": 5}},)},
        ),
    ],
)
def test_paths_find_things_by_name(path: str, value: Any, index: int, stage: Any) -> None:
    before, after = (
        stages(yamlfile.parse(BASE, "r").plain()),
        stages(patched(f"corpora.web.{path}", value)),
    )
    assert after[index] == stage
    assert [*after[:index], *after[index + 1 :]] == [*before[:index], *before[index + 1 :]]


def test_rule_sets_keep_their_other_overrides() -> None:
    after = patched(
        "corpora.web.filter.fineweb", {"short_line_fraction.max": 0.6, "on_null": "drop"}
    )
    fineweb = {"short_line_fraction": {"max": 0.6}, "on_null": "drop"}
    assert stages(after)[1]["filter"][1] == {"fineweb": fineweb}
    mine = patched("corpora.web.filter.mine.rule.max", 3)
    assert stages(mine)[1]["filter"][2] == {"./rules/mine.yaml": {"rule": {"max": 3}}}


@pytest.mark.parametrize(
    ("path", "value", "source"),
    [
        ("source.warc", "x.gz", {"split_size": "1MB", "warc": "x.gz"}),
        ("source", {"sample": "code"}, {"split_size": "1MB", "sample": "code"}),
        ("source.parquet", "p", {"text": "body", "split_size": "1MB", "parquet": "p"}),
        ("source.jsonl", "b", {"jsonl": "b", "text": "body", "split_size": "1MB"}),
    ],
)
def test_another_kind_of_source_replaces_the_kind(path: str, value: Any, source: Any) -> None:
    assert patched(f"corpora.web.{path}", value)["corpora"]["web"]["source"] == source


def test_the_two_ways_to_a_tokenizer_replace_each_other() -> None:
    trained = patched("tokenizer.train.vocab", 300)
    assert trained["tokenizer"] == {"train": {"vocab": 300}}
    text = BASE.replace("t.json", "{train: {vocab: 5000, max_bytes: 1MB}}")
    assert patched("tokenizer.path", "u.json", text)["tokenizer"] == {"path": "u.json"}
    assert patched("tokenizer", "u.json", text)["tokenizer"] == "u.json"
    kept = patched("tokenizer.train.vocab", 300, text)["tokenizer"]
    assert kept == {"train": {"vocab": 300, "max_bytes": "1MB"}}
    text = BASE.replace("t.json", "{path: t.json, eos: x}")
    assert patched("tokenizer.train", {}, text)["tokenizer"] == {"train": {}}


def test_mappings_merge_and_the_rest_replaces() -> None:
    assert patched("mix.weights", {"code": 2})["mix"]["weights"] == {"web": 1, "code": 2}
    assert patched("mix.weights", [1])["mix"]["weights"] == (1,)
    assert patched("mix", {"weights.code": 2, "seed": 1})["mix"] == {
        "tokens": "1M",
        "weights": {"web": 1, "code": 2},
        "seed": 1,
    }
    assert patched("heldout.share", "1%")["heldout"] == {"share": "1%"}
    new = {"source": {"warc": "b"}, "stages": ["dedup"]}
    after = patched("corpora.books", new)["corpora"]["books"]
    assert after == {"source": {"warc": "b"}, "stages": ("dedup",)}


def test_what_was_switched_off_can_be_switched_on() -> None:
    text = BASE.replace("- dedup", "- dedup: off").replace("[c4]", "[{c4: off}]")
    assert stages(patched("corpora.web.dedup", {}, text))[4] == {"dedup": {}}
    assert stages(patched("corpora.web.strict.c4", {}, text))[2] == {
        "filter as strict": ({"c4": {}},)
    }


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("corpora.web.dedpu.rows", "corpora.web has no 'dedpu'; allowed: .*'dedup'"),
        ("corpora.web.filter.c4", "corpora.web.filter has no 'c4'.*to add one, set the list"),
        ("corpora.web.strict.goph", "corpora.web.strict has no 'goph'"),
        ("corpora.wbe.dedup", "no corpus 'wbe'; allowed: web .did you mean 'web'"),
        ("mix.tokens.of", "mix.tokens.of leads into mix.tokens, which is '1M'"),
        ("corpora.web.stages.dedup", "leads into corpora.web.stages, which is a list"),
        ("corpora.web.language.keep.en", "leads into corpora.web.language.keep, which is a list"),
        ("mix.", "not a dotted path"),
        ("", "not a dotted path"),
    ],
)
def test_paths_that_lead_nowhere_are_refused_at_the_patch(path: str, part: str) -> None:
    with pytest.raises(RecipeError, match=f"^here: .*{part}"):
        patched(path, 1)


def test_a_changed_part_says_where_the_change_came_from() -> None:
    tree = yamlfile.parse(BASE, "r.yaml")
    after = patch(tree, "mix.weights", yamlfile.node_of({"code": 2}, "--set mix.weights"))
    assert after.locate(["mix", "weights", "code"]) == "--set mix.weights"
    assert after.locate(["mix", "weights", "web"]) == "r.yaml:11"


def test_names_of_stages_and_items() -> None:
    assert stage_key("filter") == ("filter", "filter")
    assert stage_key("filter as strict") == ("filter", "strict")
    assert item_name("./rules/mine.yaml") == "mine"
    assert item_name("gopher-repetition") == "gopher-repetition"


changes = st.lists(
    st.sampled_from(
        [
            ("mix.tokens", 5),
            ("mix.weights", {"web": 2}),
            ("mix.weights", {"code": 3}),
            ("mix.weights.web", 4),
            ("mix", {"weights": {"x": 1}, "seed": 2}),
            ("tokenizer", "u.json"),
            ("tokenizer.train", {"vocab": 300}),
            ("tokenizer.path", "v.json"),
            ("corpora.web.dedup", "off"),
            ("corpora.web.dedup", {"rows": 4}),
            ("corpora.web.dedup.bands", 3),
            ("corpora.web.filter.gopher", {"n_words.max": 3}),
            ("corpora.web.filter.gopher.n_words", "off"),
            ("corpora.web.filter.gopher", "off"),
            ("corpora.web.filter.mine.a.b", 1),
            ("corpora.web.filter", {"fineweb": {"newline_word_ratio": {"max": 1}}}),
            ("corpora.web.source.warc", "w"),
            ("corpora.web.source", {"parquet": ["p", "q"], "text": "t"}),
            ("corpora.web.source.sample", "code"),
            ("corpora.web.documents.columns", ["lang"]),
            ("heldout", {"share": "3%"}),
            ("heldout", "off"),
            ("trial.arms.a", {"mix.weights.web": 0, "mix.seed": 1}),
        ]
    ),
    max_size=5,
)


def applied(tree: Node, patches: list[tuple[str, Any]]) -> Node:
    for path, value in patches:
        tree = patch(tree, path, yamlfile.node_of(value, "p"))
    return tree


@given(changes)
def test_repeating_the_last_patch_changes_nothing(patches: list[tuple[str, Any]]) -> None:
    once = applied(yamlfile.parse(BASE, "r"), patches)
    assert applied(once, patches[-1:]).plain() == once.plain()


@given(changes, st.integers(1, 9))
def test_the_last_patch_wins_and_leaves_the_rest_alone(
    patches: list[tuple[str, Any]], tokens: int
) -> None:
    before = applied(yamlfile.parse(BASE, "r"), patches)
    after = applied(before, [("mix.tokens", tokens)]).plain()
    assert after["mix"].pop("tokens") == tokens
    rest: Any = before.plain()
    rest["mix"].pop("tokens")
    assert after == rest


@given(changes)
def test_a_patch_never_changes_its_input(patches: list[tuple[str, Any]]) -> None:
    tree = yamlfile.parse(BASE, "r")
    before: Any = tree.plain()
    applied(tree, patches)
    assert tree.plain() == before


@pytest.mark.parametrize("path", ["corpora.wep.dedup", "corpora.wep", "corpora"])
def test_a_corpus_that_is_not_there_is_named_with_the_nearest(path: str) -> None:
    value = {"corpora": {"wep": {"dedup": "off"}}}
    for step in path.split("."):
        value = value[step]
    with pytest.raises(
        RecipeError, match=r"no corpus 'wep'; allowed: web .*mean 'web'.*to add one"
    ):
        patched(path, value)
    assert patched("corpora.new", {"source": {"sample": "code"}})["corpora"]["new"]


def test_a_mapping_of_patches_is_applied_in_order() -> None:
    given_changes: Mapping[str, Node] = {
        "mix.seed": yamlfile.node_of(1, "p"),
        "mix": yamlfile.node_of({"seed": 2}, "p"),
    }
    after: Any = patch_all(yamlfile.parse(BASE, "r"), given_changes).plain()
    assert after["mix"]["seed"] == 2
