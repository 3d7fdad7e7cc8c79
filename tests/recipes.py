"""A recipe with a bit of everything, ways to change it, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus_builder.recipe import load_recipe
from corpus_builder.store.errors import RecipeError

QUICKSTART = """\
name: quickstart
description: two domains
corpora:
  web:
    source: {sample: web-docs}
    stages:
      - extract: {tool: trafilatura}
      - language: {keep: [en], min_score: 0.65}
      - filter:
        - gopher
        - fineweb: {short_line_fraction.max: 0.7}
      - transform: [c4-lines]
      - filter as strict: [c4]
      - dedup
    documents: {columns: [lang, n_words]}
  code:
    source: {jsonl: code/*.jsonl.gz, text: content, split_size: 8MB}
    stages:
      - tag: [code, text]
      - filter: [{code-basic: {mean_line_length: {max: 90}}}]
      - dedup: {ngram: 5, bands: 14, rows: 8, threshold: 80%}
dedup: {corpora: [code, web], threshold: 0.9}
heldout: {share: 2%, max_documents: 1k}
tokenizer: {train: {vocab: 4096}}
mix:
  tokens: 1.5M
  sequence_length: 256
  weights: {web: 0.7, code: 0.3}
trial:
  model: 1M
  arms:
    half-code: {mix.weights: {web: 0.5, code: 0.5}}
    looser: {corpora.web.filter.gopher.mean_word_length.max: 12}
    no-dedup: {corpora.web.dedup: off}
"""


def changed(old: str, new: str) -> str:
    assert QUICKSTART.count(old) == 1, old
    return QUICKSTART.replace(old, new)


def refused(path: Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    return str(caught.value).replace(f"{path.parent}/", "")
