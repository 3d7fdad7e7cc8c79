"""Recipes: what they hold once read, what identifies them, and arms that patch them."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from typing import Any

import pytest
from recipes import QUICKSTART, changed, refused

from corpus_builder.fingerprint import fingerprint
from corpus_builder.recipe import Recipe, load_recipe
from corpus_builder.recipe_models import Dedup, Extract, Language
from corpus_builder.recipe_stages import Filter, Tag, Transform
from corpus_builder.store.errors import RecipeError


@pytest.fixture
def recipe(write: Any) -> Recipe:
    return load_recipe(write(QUICKSTART))


# What a recipe holds


def test_stages_come_named_typed_and_in_order(recipe: Recipe) -> None:
    web = recipe.corpora["web"]
    assert [(stage.verb, stage.name) for stage in web.stages] == [
        ("extract", "extract"),
        ("language", "language"),
        ("filter", "filter"),
        ("transform", "transform"),
        ("filter", "strict"),
        ("dedup", "dedup"),
    ]
    extract, language, filter_, transform, strict, dedup = (stage.config for stage in web.stages)
    assert isinstance(extract, Extract)
    assert (extract.tool, extract.timeout, extract.max_bytes) == ("trafilatura", 30.0, 10_000_000)
    assert isinstance(language, Language)
    assert (language.keep, language.min_score) == (("en",), {"default": 0.65})
    assert isinstance(filter_, Filter)
    assert [part.name for part in filter_.rule_sets] == ["gopher", "fineweb"]
    limits = {rule.name: rule.params for rule in filter_.rule_sets[1].rules}
    assert limits["fineweb.short_line_fraction"] == {"max": 0.7}
    assert isinstance(transform, Transform)
    assert transform.transforms[0].options.terminal_punctuation is True
    assert isinstance(strict, Filter)
    assert "has_curly_bracket" in strict.signals
    assert isinstance(dedup, Dedup)
    assert (dedup.ngram, dedup.bands, dedup.rows, dedup.threshold) == (5, 14, 8, 0.8)
    assert web.documents.columns == ("lang", "n_words")
    assert web.stages[2].where.endswith("r.yaml:9")


def test_blocks_come_with_units_read_and_defaults_filled(recipe: Recipe) -> None:
    code = recipe.corpora["code"]
    assert (code.source.kind, code.source.patterns) == ("jsonl", ("code/*.jsonl.gz",))
    assert code.source.columns["text"] == "content"
    assert code.source.required_columns == ("text",)
    assert code.source.split_size == 8_000_000
    assert code.stages[0].config == Tag(("code", "text"))
    assert recipe.dedup is not None
    assert (recipe.dedup.corpora, recipe.dedup.threshold) == (("code", "web"), 0.9)
    assert recipe.heldout is not None
    assert str(recipe.heldout.exact_share) == "1/50"
    assert recipe.heldout.max_documents == 1000
    assert recipe.tokenizer.train is not None
    assert recipe.tokenizer.train.vocab == 4096
    assert recipe.mix is not None
    assert (recipe.mix.tokens, recipe.mix.max_epochs, recipe.mix.seed) == (1_500_000, 4.0, 0)
    assert recipe.trial is not None
    assert (recipe.trial.model, recipe.trial.seeds) == ("1M", 5)


def test_a_recipe_may_end_at_documents(write: Any) -> None:
    text = "name: d\ncorpora:\n  a:\n    source: {parquet: [a.parquet, b.parquet]}\n"
    recipe = load_recipe(write(text))
    assert (recipe.mix, recipe.trial, recipe.heldout, recipe.dedup) == (None,) * 4
    assert recipe.corpora["a"].stages == ()
    assert recipe.tokenizer.train is not None


def test_off_leaves_a_stage_rule_set_rule_or_block_out(write: Any) -> None:
    text = changed("      - dedup\n", "      - dedup: off\n")
    text = text.replace(
        "        - gopher\n", "        - gopher: off\n        - c4: {n_sentences: off}\n"
    )
    text = text[: text.index("trial:")].replace("dedup: {corpora", "dedup: off # {corpora")
    recipe = load_recipe(write(text))
    stages = recipe.corpora["web"].stages
    assert "dedup" not in [stage.name for stage in stages]
    assert isinstance(stages[2].config, Filter)
    rules = [rule.name for part in stages[2].config.rule_sets for rule in part.rules]
    assert rules[:3] == ["c4.lorem_ipsum", "c4.curly_bracket", "fineweb.line_punctuation_fraction"]
    assert recipe.dedup is None


@pytest.mark.parametrize(
    ("override", "tokens"), [("1000", 1000), ("2k", 2000), ("1.5B", 1_500_000_000), ("1 M", 10**6)]
)
def test_counts_are_read_in_the_units_people_write(write: Any, override: str, tokens: int) -> None:
    recipe = load_recipe(write(QUICKSTART), [f"mix.tokens={override}"])
    assert recipe.mix is not None
    assert recipe.mix.tokens == tokens


def test_bytes_know_decimal_and_binary_units(write: Any) -> None:
    path = write(QUICKSTART)
    for text, size in (("64MiB", 64 << 20), ("1GB", 10**9), ("5000", 5000), ("0.5MB", 500_000)):
        source = (
            load_recipe(path, [f"corpora.code.source.split_size={text}"]).corpora["code"].source
        )
        assert source.split_size == size


# Identity


def test_the_canonical_form_is_plain_stable_and_blind_to_wording(
    write: Any, recipe: Recipe
) -> None:
    canonical = recipe.to_canonical()
    assert json.loads(json.dumps(canonical)) == canonical
    assert load_recipe(write(QUICKSTART)).to_canonical() == canonical
    same = changed("description: two domains", "description: reworded  # and commented")
    same = same.replace("tokens: 1.5M", "tokens: 1500000").replace(
        "threshold: 80%", "threshold: 0.8"
    )
    same = same.replace("      - dedup\n", "      - dedup: {keep: longest}\n")
    assert fingerprint(load_recipe(write(same)).to_canonical()) == fingerprint(canonical)


@pytest.mark.parametrize(
    "override",
    [
        "corpora.web.extract.timeout=31",
        "corpora.web.language.min_score={default: 0.7}",
        "corpora.web.filter.gopher.stop_words.min=3",
        "corpora.web.filter.gopher.on_null=drop",
        "corpora.web.filter.gopher.hash_ratio=off",
        "corpora.web.transform.c4-lines.min_words_per_line=4",
        "corpora.web.strict=off",
        "corpora.web.strict.c4.n_sentences.min=3",
        "corpora.web.source.warc=a.warc.gz",
        "corpora.web.documents.columns=[lang]",
        "corpora.code.tag=[code]",
        "corpora.code.dedup.max_comparisons=1M",
        "corpora.code.source.max_record_bytes=1MB",
        "dedup.keep=newest",
        "heldout.ngram=13",
        "tokenizer=t.json",
        "tokenizer.train.max_bytes=1MB",
        "mix.max_epochs=2.5",
        "mix.on_short=redistribute",
        "mix.weights.code=0.4",
        "trial.seeds=7",
        "trial.model={layers: 2, width: 64}",
    ],
)
def test_everything_a_stage_reads_has_a_path_and_counts(
    recipe: Recipe, write: Any, override: str
) -> None:
    assert load_recipe(write(QUICKSTART), [override]).to_canonical() != recipe.to_canonical()


def test_a_recipe_survives_a_process_border(recipe: Recipe) -> None:
    copy = pickle.loads(pickle.dumps(recipe))  # noqa: S301 (our own bytes)
    assert copy == recipe
    assert copy.arm("no-dedup") == recipe.arm("no-dedup")


# Arms


def test_arms_are_recipes_without_a_trial(recipe: Recipe) -> None:
    arm = recipe.arm("half-code")
    assert arm.trial is None
    assert arm.mix is not None
    assert arm.mix.weights == {"web": 0.5, "code": 0.5}
    assert "dedup" not in [stage.name for stage in recipe.arm("no-dedup").corpora["web"].stages]
    base = recipe.arm("base")
    assert base.to_canonical() == {**recipe.to_canonical(), "trial": None}
    with pytest.raises(RecipeError, match="did you mean 'looser'"):
        recipe.arm("loser")


def test_with_patch_is_what_an_arm_does(recipe: Recipe) -> None:
    changes = {"corpora.web.filter.gopher.mean_word_length.max": 12}
    assert recipe.arm("base").with_patch(changes) == recipe.arm("looser")
    with pytest.raises(RecipeError, match=r"^patch: mix\.tokens is -1; allowed: "):
        recipe.with_patch({"mix.tokens": -1})
    with pytest.raises(RecipeError, match=r"^patch: nan is not a finite number"):
        recipe.with_patch({"mix.weights.web": float("nan")})


@pytest.mark.parametrize(
    ("arm", "parts"),
    [
        (
            "x: {mix.weigths: {web: 1}}",
            ["r.yaml:34: arm 'x': unknown key mix.weigths", "'weights'?"],
        ),
        ("x: {corpora.web.dedpu: off}", ["arm 'x': corpora.web has no 'dedpu'", "mean 'dedup'"]),
        ("x: {corpora.wbe.dedup: off}", ["there is no corpus 'wbe'", "did you mean 'web'"]),
        ("x: {corpora.web.filter.gofer: off}", ["has no 'gofer'", "did you mean 'gopher'"]),
        ("x: {corpora.web.filter.gopher.n_word.max: 3}", ["no rule 'n_word'", "'n_words'"]),
        ("x: {corpora.web.filter.gopher.n_words.mx: 3}", ["no parameter 'mx'", "'max'"]),
        ("x: {corpora.web.filter.gopher.n_words.max: many}", ["allowed: a number"]),
        ("x: {corpora.web.language: off}", ["reads 'lang', which no stage above it adds"]),
        ("x: {mix.tokens.deep: 1}", ["mix.tokens.deep leads into mix.tokens, which is '1.5M'"]),
        ("x: {corpora.web.stages.dedup: off}", ["leads into corpora.web.stages, which is a list"]),
        ("x: {mix.seed: 0}", ["arm 'x': changes nothing"]),
        ("x: {}", ["arm 'x': changes nothing"]),
        ("x: {trial.seeds: 5}", ["trial.seeds cannot differ between arms"]),
        ("x: {heldout.share: 3%}", ["heldout.share cannot differ between arms"]),
        ("x: {mix..tokens: 1}", ["'mix..tokens' is not a dotted path"]),
        ("X: {mix.seed: 1}", ["trial.arms.X", "is not a name"]),
        ("base: {mix.seed: 1}", ["means the recipe as it stands"]),
        ("x: 3", ["trial.arms.x is 3"]),
    ],
)
def test_a_wrong_arm_is_found_when_the_recipe_is_read(
    write: Any, arm: str, parts: list[str]
) -> None:
    message = refused(write(changed("    no-dedup: {corpora.web.dedup: off}\n", f"    {arm}\n")))
    assert message.startswith("r.yaml:")
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_reading_a_recipe_loads_neither_arrow_nor_compiled_code(write: Any) -> None:
    code = (
        "import sys; from corpus_builder.recipe import load_recipe; load_recipe(sys.argv[1]);"
        "print([name for name in ('pyarrow', 'numba', 'numpy', 'torch') if name in sys.modules])"
    )
    recipe = changed("text: content,", "text: content, scores: {stars: stars},")
    command = [sys.executable, "-c", code, str(write(recipe))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
