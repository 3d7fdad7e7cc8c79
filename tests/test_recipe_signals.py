"""What a corpus can read: signals of families, and the scores that its own input brings."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus_builder.recipe import Recipe, load_recipe
from corpus_builder.store.columns import BASE_COLUMNS
from corpus_builder.store.errors import RecipeError

RULES = """\
name: mine
version: 1
cite: none
rules:
  educational:
    keep: "edu_score >= min"
    min: 3
"""
RECIPE = """\
name: scored
corpora:
  web:
    source:
      parquet: data/*.parquet
      scores: {edu_score: score, dclm: fasttext}
    stages:
      - filter: [MINE]
    documents: {columns: [edu_score, n_words]}
  notes:
    source: {jsonl: notes.jsonl}
heldout: {share: 2%}
mix:
  tokens: 10K
  sequence_length: 16
  weights: {web: 1, notes: 1}
  buckets:
    web: {by: dclm, edges: [0.5], times: [1, 2]}
trial:
  model: 1M
  target: {web: 1, notes: 1}
  arms:
    other: {corpora.web.source.scores.edu_score: int_score}
"""


def load(folder: Path, *changes: tuple[str, str], rules: str = RULES) -> Recipe:
    text = RECIPE.replace("MINE", f"{folder}/mine.yaml")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "mine.yaml").write_text(rules)
    (folder / "r.yaml").write_text(text)
    return load_recipe(folder / "r.yaml")


def refused(folder: Path, *changes: tuple[str, str], rules: str = RULES) -> str:
    with pytest.raises(RecipeError) as caught:
        load(folder, *changes, rules=rules)
    return str(caught.value).replace(f"{folder}/", "")


def test_rules_columns_and_buckets_read_the_scores_of_their_corpus(tmp_path: Path) -> None:
    recipe = load(tmp_path)
    assert recipe.corpora["web"].source.scores == {"edu_score": "score", "dclm": "fasttext"}
    assert recipe.corpora["notes"].source.scores is None
    canonical = recipe.to_canonical()["corpora"]
    assert canonical["web"]["source"]["scores"] == {"edu_score": "score", "dclm": "fasttext"}
    assert "scores" not in canonical["notes"]["source"], "recipes without scores are as they were"


def test_arms_and_patches_change_scores_like_anything_else(tmp_path: Path) -> None:
    recipe = load(tmp_path)
    arm = recipe.arm("other").corpora["web"].source
    assert arm.scores == {"edu_score": "int_score", "dclm": "fasttext"}
    added = recipe.with_patch({"corpora.notes.source.scores": {"ppl": "perplexity"}})
    assert added.corpora["notes"].source.scores == {"ppl": "perplexity"}
    message = refused(tmp_path, ("edu_score: int_score}", "edu_scor.x: int_score}"))
    assert message.startswith("r.yaml:23: arm 'other': corpora.web.source.scores.edu_scor is")


def test_a_source_without_columns_takes_the_scores_away(tmp_path: Path) -> None:
    recipe = load(tmp_path, ("    documents: {columns: [edu_score, n_words]}\n", ""),
                  (f"\n      - filter: [{tmp_path}/mine.yaml]", " []"),
                  ("  buckets:\n    web: {by: dclm, edges: [0.5], times: [1, 2]}\n", ""),
                  ("corpora.web.source.scores.edu_score: int_score", "tokenizer: x"))  # fmt: skip
    sample = recipe.with_patch({"corpora.web.source.sample": "code"})
    assert sample.corpora["web"].source.scores is None


@pytest.mark.parametrize(
    ("old", "new", "start", "parts"),
    [
        ("dclm: fasttext", "dclm-prob: fasttext", "r.yaml:6: corpora.web.source.scores.dclm-prob: ",
         ["'dclm-prob' cannot name a signal"]),
        ("dclm: fasttext", "Dclm: fasttext", "r.yaml:6", ["'Dclm' cannot name a signal"]),
        ("dclm: fasttext", "1st: fasttext", "r.yaml:6", ["'1st' cannot name a signal"]),
        ("dclm: fasttext", "in: fasttext", "r.yaml:6", ["'in' cannot name a signal", "keyword"]),
        ("dclm: fasttext", "dclm: 3", "r.yaml:6: corpora.web.source.scores.dclm is 3",
         ["allowed: text"]),
        ("dclm: fasttext", "dclm: ''", "r.yaml:6: corpora.web.source.scores.dclm is ''", []),
        ("dclm: fasttext", "dclm: [a]", "r.yaml:6: corpora.web.source.scores.dclm is", []),
        ("{edu_score: score, dclm: fasttext}", "{}", "r.yaml:6: corpora.web.source.scores is {}",
         ["1 or more"]),
        ("{edu_score: score, dclm: fasttext}", "[score]", "r.yaml:6: corpora.web.source.scores is",
         ["allowed: a mapping"]),
        ("dclm: fasttext", "n_words: fasttext", "r.yaml:6: corpora.web.source.scores: 'n_words'",
         ["the name of a signal that is computed", "give the score another name"]),
        ("dclm: fasttext", "lang_score: fasttext", "r.yaml:6", ["a signal that is computed"]),
        ("parquet: data/*.parquet", "warc: a.warc.gz", "r.yaml:6: corpora.web.source.scores: ",
         ["a warc source has no columns of numbers; remove it"]),
        ("parquet: data/*.parquet", "sample: code", "r.yaml:6: corpora.web.source.scores: ",
         ["a sample source has no columns of numbers; remove it"]),
        ("{columns: [edu_score, n_words]}", "{columns: [edu_scores]}",
         "r.yaml:9: corpora.web.documents: no signal named 'edu_scores'",
         ["did you mean 'edu_score'?", "add it to corpora.web.source.scores"]),
        ("by: dclm", "by: dclm_prob", "r.yaml:18: mix.buckets.web.by: no signal named 'dclm_prob'",
         ["did you mean 'dclm'?", "add it to corpora.web.source.scores"]),
        ("edu_score: score", "education_score: score",
         "mine.yaml:5: corpora.web.filter: rule mine.educational reads 'edu_score'",
         ["did you mean 'education_score'?", "add it to corpora.web.source.scores"]),
        ("edu_score: score", "edu_score: score, min: least",
         "mine.yaml:5: corpora.web.filter: parameter 'min' of rule mine.educational",
         ["hides the score of that name", "rename the score in corpora.web.source.scores"]),
    ],
)  # fmt: skip
def test_what_cannot_be_is_found_when_the_recipe_is_read(
    tmp_path: Path, old: str, new: str, start: str, parts: list[str]
) -> None:
    found = refused(tmp_path, (old, new)).splitlines()
    (message,) = [line for line in found if line.startswith(start)]
    for part in parts:
        assert part in message


@pytest.mark.parametrize("name", BASE_COLUMNS)
def test_columns_that_every_document_has_are_no_scores(tmp_path: Path, name: str) -> None:
    message = refused(tmp_path, ("dclm: fasttext", f"{name}: fasttext"))
    start = f"r.yaml:6: corpora.web.source.scores: {name!r} is the name of a column that every"
    assert message.startswith(start)


@pytest.mark.parametrize(
    ("stage", "start"),
    [
        ("stages: [{filter: [MINE]}]",
         "mine.yaml:5: corpora.notes.filter: rule mine.educational reads 'edu_score'"),
        ("documents: {columns: [edu_score]}",
         "r.yaml:12: corpora.notes.documents: no signal named 'edu_score'"),
    ],
)  # fmt: skip
def test_a_score_is_of_one_corpus_alone(tmp_path: Path, stage: str, start: str) -> None:
    stage = stage.replace("MINE", f"{tmp_path}/mine.yaml")
    source = "    source: {jsonl: notes.jsonl}\n"
    message = refused(tmp_path, (source, f"{source}    {stage}\n"))
    assert message.startswith(start)
    assert "add it to corpora.notes.source.scores" in message


def test_a_bucket_reads_the_scores_of_the_corpus_it_cuts(tmp_path: Path) -> None:
    message = refused(tmp_path, ("    web: {by: dclm", "    notes: {by: dclm"))
    assert message.startswith("r.yaml:18: mix.buckets.notes.by: no signal named 'dclm'")


def test_pages_are_not_told_to_add_scores(tmp_path: Path) -> None:
    source = "    source: {jsonl: notes.jsonl}\n"
    pages = "    source: {warc: a.warc.gz}\n    stages: [{extract: {tool: resiliparse}}]\n"
    pages += "    documents: {columns: [edu_score]}\n"
    message = refused(tmp_path, (source, pages))
    assert "r.yaml:13: corpora.notes.documents: no signal named 'edu_score'" in message
    assert "source.scores" not in message


@pytest.mark.parametrize("keep", ["edu_score", "edu_score == 'a'", "edu_score and dclm > 1"])
def test_a_score_is_a_number_to_a_rule(tmp_path: Path, keep: str) -> None:
    message = refused(tmp_path, rules=RULES.replace("edu_score >= min", f"{keep} or dclm > min"))
    assert message.startswith("mine.yaml:5: corpora.web.filter: rule mine.educational")
    assert "number" in message
