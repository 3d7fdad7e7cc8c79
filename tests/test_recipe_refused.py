"""Recipes that are refused: with file, line, path, what is wrong and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from recipes import QUICKSTART, changed, refused

from corpus_builder.recipe import load_recipe


@pytest.mark.parametrize(
    ("old", "new", "line", "parts"),
    [
        ("name: quickstart", "name: Quick Start", 1, ["name is 'Quick Start'"]),
        ("name: quickstart\n", "", 1, ["missing key name"]),
        ("heldout: {", "heldouts: {", 23, ["unknown key heldouts", "did you mean 'heldout'?"]),
        ("  web:\n", "  Web:\n", 4, ["corpus name 'Web'"]),
        ("  web:\n", "  a/b:\n", 4, ["corpus name 'a/b'"]),
        ("{sample: web-docs}", "{sample: web-doc}", 5, ["no sample", "did you mean 'web-docs'?"]),
        (
            "{sample: web-docs}",
            "{sample: web-docs, warc: x}",
            5,
            ["exactly one of", "warc and sample"],
        ),
        ("{sample: web-docs}", "{}", 5, ["none of them"]),
        ("{sample: web-docs}", "{warc: []}", 5, ["corpora.web.source.warc is []"]),
        ("{sample: web-docs}", "{warc: [a, a]}", 5, ["'a' is listed twice"]),
        ("{sample: web-docs}", "{warc: x, text: y}", 5, ["no column 'text'"]),
        ("{sample: web-docs}", "web-docs", 5, ["corpora.web.source is 'web-docs'", "a mapping"]),
        ("split_size: 8MB", "split_size: 8 potatoes", 17, ["such as 32MB"]),
        ("split_size: 8MB", "split_size: 10", 17, ["split_size is 10", "greater than"]),
        ("split_size: 8MB", "splitsize: 8MB", 17, ["did you mean 'split_size'?"]),
        (
            "tool: trafilatura",
            "tool: trafilatur",
            7,
            ["no extractor", "did you mean 'trafilatura'?"],
        ),
        ("{tool: trafilatura}", "{}", 7, ["missing key corpora.web.extract.tool", "add tool:"]),
        ("{tool: trafilatura}", "trafilatura", 7, ["corpora.web.extract is 'trafilatura'"]),
        ("      - extract: {tool: trafilatura}\n", "", 4, ["reads pages but has no 'extract'"]),
        ("      - tag:", "      - extract: {tool: trafilatura}\n      - tag:", 19, ["holds text"]),
        (
            "      - transform:",
            "      - extract as e: {tool: trafilatura}\n      - transform:",
            12,
            ["corpora.web.e must be the first stage"],
        ),
        (
            "min_score: 0.65",
            "min_score: 1.5",
            8,
            ["min_score.default is 1.5", "less than or equal"],
        ),
        ("min_score: 0.65", "min_score: {fr: 0.5}", 8, ["'fr', which is not in keep"]),
        ("min_score: 0.65", "min_score: high", 8, ["min_score.default is 'high'"]),
        ("keep: [en]", "keep: [en, en]", 8, ["'en' is listed twice"]),
        (
            "        - gopher\n",
            "        - gohper\n",
            10,
            ["no rule set named 'gohper'", "'gopher'?"],
        ),
        ("        - gopher\n", "        - ./absent.yaml\n", 10, ["no file './absent.yaml'"]),
        ("        - gopher\n", "        - [gopher]\n", 10, ["neither a name nor one name"]),
        (
            "        - gopher\n",
            "        - gopher\n        - gopher\n",
            11,
            ["lists 'gopher' twice"],
        ),
        ("short_line_fraction.max", "short_line.max", 11, ["no rule 'short_line'"]),
        ("[c4-lines]", "[c4-line]", 12, ["no transform", "did you mean 'c4-lines'?"]),
        (
            "[c4-lines]",
            "[{c4-lines: {words: 3}}]",
            12,
            ["unknown key corpora.web.transform.c4-lines.words"],
        ),
        ("[c4-lines]", "[{c4-lines: {min_words_per_line: 3.5}}]", 12, ["is 3.5", "a int"]),
        ("[c4-lines]", "[{c4-lines: {min_words_per_line: -1}}]", 12, ["-1 is negative"]),
        ("[c4-lines]", "c4-lines", 12, ["a list of at least one name"]),
        (
            "filter as strict: [c4]",
            "filter: [c4]",
            13,
            ["two stages named 'filter'", "filter as <name>"],
        ),
        ("filter as strict: [c4]", "filter as a.b: [c4]", 13, ["stage name 'a.b'"]),
        ("filter as strict: [c4]", "filter as ../x: [c4]", 13, ["stage name '../x'"]),
        ("filter as strict: [c4]", "filter as source: [c4]", 13, ["stage name 'source'"]),
        ("filter as strict: [c4]", "filter as tokens: [c4]", 13, ["stage name 'tokens'", "guard"]),
        (
            "filter as strict: [c4]",
            "filtr: [c4]",
            13,
            ["no verb 'filtr'", "did you mean 'filter'?"],
        ),
        ("filter as strict: [c4]", "filter as strict: []", 13, ["a list of at least one name"]),
        (
            "filter as strict: [c4]",
            "filter as strict: [{c4: off}]",
            13,
            ["everything in", "is off"],
        ),
        ("      - dedup\n", "      - dedup\n        x: 1\n", 15, ["not valid YAML"]),
        ("      - dedup\n", "      - {dedup: {}, tag: [c4]}\n", 14, ["one verb to a stage"]),
        ("[lang, n_words]", "[lang, nwords]", 15, ["no signal named 'nwords'", "'n_words'?"]),
        ("[code, text]", "[cod, text]", 19, ["no signal family named 'cod'", "'code'?"]),
        ("[code, text]", "[language]", 19, ["write a `language` stage"]),
        ("threshold: 80%", "threshold: 0", 21, ["threshold is 0", "greater than 0"]),
        (
            "threshold: 80%",
            "threshold: 101%",
            21,
            ["threshold is '101%'", "less than or equal to 1"],
        ),
        ("bands: 14", "bands: 200", 21, ["bands x rows is 1600; at most 1024"]),
        ("bands: 14", "bands: '14'", 21, ["bands is '14'", "allowed: a whole number"]),
        ("bands: 14", "bands: true", 21, ["bands is true", "allowed: a whole number"]),
        ("bands: 14", "bands: 14.0", 21, ["bands is 14.0", "allowed: a whole number"]),
        ("ngram: 5", "ngrams: 5", 21, ["did you mean 'ngram'?"]),
        ("[code, web]", "[code, wbe]", 22, ["no corpus 'wbe'", "did you mean 'web'?"]),
        ("[code, web]", "[code]", 22, ["dedup.corpora is ['code']"]),
        ("share: 2%", "share: 100%", 23, ["heldout.share is '100%'", "less than 1"]),
        ("share: 2%", "share: 2 percent", 23, ["not a share"]),
        ("max_documents: 1k", "max_documents: 1.0005k", 23, ["not a whole number"]),
        ("vocab: 4096", "vocab: 257", 24, ["greater than or equal to 258"]),
        ("{train: {vocab: 4096}}", "{train: {}, path: x}", 24, ["both a path and a training"]),
        ("tokens: 1.5M", "tokens: 100", 25, ["100 tokens do not fill one sequence of 256"]),
        ("tokens: 1.5M", "tokens: 1.5X", 26, ["such as 1M"]),
        ("tokens: 1.5M", "token: 1.5M", 26, ["did you mean 'tokens'?"]),
        ("sequence_length: 256", "sequence_length: 4", 27, ["greater than or equal to 8"]),
        (
            "web: 0.7, code: 0.3",
            "web: 0.7",
            28,
            ["mix.weights has none for corpus 'code'", "give it 0"],
        ),
        ("web: 0.7, code: 0.3", "web: 1, code: 1, x: 1", 28, ["no corpus 'x'"]),
        ("weights: {web: 0.7, code: 0.3}", "stages: []", 28, ["stages is []", "1 or more"]),
        (
            "weights: {web: 0.7, code: 0.3}",
            "sampler: unimxa",
            28,
            ["mix.sampler is 'unimxa'", "'proportional' or 'unimax', or {temperature: 0 to 1}"],
        ),
        (
            "weights: {web: 0.7, code: 0.3}",
            "sampler: {temperature: -1}",
            28,
            ["mix.sampler.temperature is -1;"],
        ),
        (
            "weights: {web: 0.7, code: 0.3}",
            "weights: {web: 0.7, code: 0.3}\n  max_epochs: 0",
            29,
            ["mix.max_epochs is 0;"],
        ),
        (
            "weights: {web: 0.7, code: 0.3}",
            "stages: [{until: 0.8, weights: {web: 1, code: 1}}, "
            "{until: 0.5, weights: {web: 1, code: 1}}]",
            25,
            ["stages end at 0.8, 0.5 of the mix", "must rise"],
        ),
        ("web: 0.7, code: 0.3", "web: 0, code: 0", 28, ["all weights are 0"]),
        ("web: 0.7, code: 0.3", "web: -1, code: 1", 28, ["mix.weights.web is -1"]),
        ("web: 0.7, code: 0.3", "web: .nan, code: 1", 28, ["not a finite number"]),
        ("web: 0.7, code: 0.3", "web: .inf, code: 1", 28, ["not a finite number"]),
        ("  model: 1M", "  model: 2M", 30, ["trial.model is '2M'", "'1M', '4M', '15M' or '60M'"]),
        ("  model: 1M", "  model: {layers: 2}", 30, ["missing key trial.model.width"]),
        ("  model: 1M", "  model: 1M\n  seeds: 1", 31, ["trial.seeds is 1"]),
        ("corpora:\n", "corpora: off\nunused:\n", 3, ["corpora is 'off'"]),
        ("description: two domains", "description: 3", 2, ["description is 3"]),
    ],
)
def test_what_is_wrong_is_said_with_line_path_and_what_is_allowed(
    write: Any, old: str, new: str, line: int, parts: list[str]
) -> None:
    message = refused(write(changed(old, new)))
    lines = [text for text in message.split("\n") if all(part in text for part in parts)]
    assert lines, message
    assert lines[0].startswith(f"r.yaml:{line}: ")


def test_all_problems_are_listed_a_line_each(write: Any) -> None:
    text = changed("tokens: 1.5M", "tokens: none").replace("share: 2%", "share: 0")
    text = text.replace("[c4-lines]", "[c4-line]")
    lines = refused(write(text)).split("\n")
    assert len(lines) == 3
    assert all(line.startswith("r.yaml:") for line in lines)
    assert [line.split(":")[1] for line in lines] == ["12", "23", "26"]


def test_a_trial_needs_a_mix_and_held_out_text(write: Any) -> None:
    message = refused(write(changed("heldout: {share: 2%, max_documents: 1k}\n", "")))
    assert "scored on held-out text; add heldout:" in message
    assert "trains on the mix" in refused(write(QUICKSTART), "mix=off")


def test_nothing_that_a_trial_scores_is_called_as_its_mean_is(write: Any) -> None:
    named = QUICKSTART.replace("  code:\n", "  headline:\n").replace("code: 0.3", "headline: 0.3")
    named = named.replace("code: 0.5", "headline: 0.5").replace("[code, web]", "[headline, web]")
    assert "r.yaml:16: corpora.headline: a trial calls its weighted mean so; rename it" in refused(
        write(named)
    )
    own = write(changed("max_documents: 1k}", "max_documents: 1k, texts: {headline: '*.md'}}"))
    assert "heldout.texts.headline: a trial calls its weighted mean so" in refused(own)


def test_a_rule_that_reads_an_unknown_signal_names_the_rule_sets_line(
    write: Any, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(
        'name: mine\nversion: 1\ncite: none\nrules:\n  a: {keep: "n_wrds > 3"}\n'
    )
    path = write(changed("filter as strict: [c4]", f"filter as strict: [{tmp_path}/mine.yaml]"))
    message = refused(path)
    assert message.startswith("mine.yaml:5: corpora.web.strict: rule mine.a reads 'n_wrds'")
    assert "did you mean 'n_words'?" in message


def test_language_rules_need_a_language_stage_above(write: Any) -> None:
    path = write(changed("[{code-basic", "[english, {code-basic"))
    message = refused(path)
    assert "r.yaml:20: corpora.code.filter reads 'lang', which no stage above it adds" in message
    early = changed("[lang, n_words]", "[n_words]")
    early = early.replace("      - language: {keep: [en], min_score: 0.65}\n", "")
    late = "      - language: {}\n      - filter as english: [english]\n"
    recipe = load_recipe(write(early[: early.index("trial:")].replace("      - dedup\n", late)))
    assert recipe.corpora["web"].stages[-1].name == "english"


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("mix.tokens", "--set mix.tokens: has no value"),
        ("mix.tokens=", "--set mix.tokens: is empty"),
        ("mix.tokens=[1", "--set mix.tokens: not valid YAML"),
        ("mix.tokens=-3", "--set mix.tokens: mix.tokens is -3; allowed: greater than"),
        ("mix.wieghts.web=1", "unknown key mix.wieghts"),
        (
            "corpora.web.dedup.bands=many",
            "--set corpora.web.dedup.bands: corpora.web.dedup.bands is",
        ),
        ("corpora.wbe.dedup=off", "there is no corpus 'wbe'"),
        ("=3", "is not a dotted path"),
    ],
)
def test_overrides_from_the_command_line_name_themselves(
    write: Any, override: str, part: str
) -> None:
    assert part in refused(write(QUICKSTART), override)


def test_overrides_apply_in_order(write: Any) -> None:
    recipe = load_recipe(write(QUICKSTART), ["mix.seed=1", "mix={seed: 2, max_epochs: 1}"])
    assert recipe.mix is not None
    assert (recipe.mix.seed, recipe.mix.max_epochs) == (2, 1.0)


# The shared malformed configurations: none is a recipe, each must die with its place.


@pytest.mark.parametrize(
    ("name", "line", "parts"),
    [
        ("c01_unknown_key.yaml", 2, ["unknown key langid"]),
        ("c02_wrong_type.yaml", 1, ["dedup.num_perm", "unknown key"]),
        ("c02_wrong_type.yaml", 1, ["dedup.bands is -3"]),
        ("c03_tabs.yaml", 2, ["a tab where spaces must indent"]),
        ("c04_dup_keys.yaml", 2, ["duplicate key 'dedup'"]),
        ("c05_missing_file.yaml", 1, ["unknown key input"]),
        ("c07_python_tag.yaml", 1, ["tags are refused"]),
        ("c08_empty.yaml", 1, ["is empty"]),
        ("c09_weights_sum_zero.yaml", 1, ["all weights are 0"]),
        ("c10_nan_weight.yaml", 1, [".nan is not a finite number"]),
        ("c12_not_utf8.yaml", 1, ["byte 0xe9 is not UTF-8"]),
        ("c13_broken.toml", 1, ["not valid YAML"]),
        ("c15_bad_regex.yaml", 1, ["unknown key filters"]),
    ],
)
def test_malformed_configurations_die_with_file_line_and_key(
    shared_data: Path, name: str, line: int, parts: list[str]
) -> None:
    message = refused(shared_data / "malformed" / name)
    lines = message.split("\n")
    assert all(text.startswith(f"{name}:") for text in lines)
    assert any(
        text.startswith(f"{name}:{line}: ") and all(part in text for part in parts)
        for text in lines
    ), message


def test_every_malformed_configuration_is_in_the_list_above(shared_data: Path) -> None:
    expected = json.loads((shared_data / "malformed" / "expected.json").read_text())
    configs = {name for name, case in expected.items() if case["kind"] == "config"}
    marks = test_malformed_configurations_die_with_file_line_and_key.pytestmark  # type: ignore[attr-defined]
    assert configs == {case[0] for case in marks[0].args[1]}


def test_corpora_that_are_none_are_one_problem(write: Any) -> None:
    message = refused(write(changed("corpora:\n", "corpora: off\nunused:\n")))
    assert [line.split(": ", 1)[1].split(";")[0] for line in message.split("\n")] == [
        "unknown key unused", "corpora is 'off'",
    ]  # fmt: skip
