"""Every signal equals its published definition on real documents and on strings made to differ.

The oracle is `reference.py`, built from datatrove's helpers; and, above it, datatrove's filters
themselves: the reason for which they drop a document follows from our signals alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import (
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    fineweb_quality_filter,
    gopher_quality_filter,
    gopher_repetition_filter,
)
from hypothesis import given, settings
from signals import reference
from signals.texts import array, nasty, real_texts

from corpus_builder.signals import FAMILIES

Values = dict[str, Any]


def expected(family: str, text: str) -> Values:
    values = reference.FAMILIES[family](text)
    return {k: float(np.round(v, 6)) if isinstance(v, float) else v for k, v in values.items()}


@pytest.fixture(scope="module")
def texts(shared_data: Path) -> list[str]:
    return real_texts(shared_data, per_file=50)


@pytest.mark.parametrize("family", FAMILIES)
def test_real_documents(family: str, texts: list[str]) -> None:
    got = FAMILIES[family].compute(array(texts)).to_pylist()
    wrong = [
        (text[:80], value, want)
        for text, value in zip(texts, got, strict=True)
        if value != (want := expected(family, text))
    ]
    assert wrong == []


@pytest.mark.parametrize("family", FAMILIES)
@given(text=nasty)
@settings(max_examples=300, deadline=None)
def test_nasty_strings(family: str, text: str) -> None:
    assert FAMILIES[family].compute(array([text])).to_pylist() == [expected(family, text)]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_rows_do_not_depend_on_their_batch(family: Any, texts: list[str]) -> None:
    chosen = array(["", *texts[::40], ""])
    whole = family.compute(chosen)
    for start, length in ((0, 5), (1, 1), (7, 11), (len(chosen) - 1, 1), (3, 0)):
        assert family.compute(chosen.slice(start, length)).equals(whole.slice(start, length))


@pytest.fixture
def whitespace_words(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (gopher_quality_filter, gopher_repetition_filter, fineweb_quality_filter):
        monkeypatch.setattr(module, "split_into_words", lambda text, language: text.split())


def gopher_reason(v: Values) -> str | None:
    rules = (
        ("gopher_short_doc", v["n_non_symbol_words"] < 50),
        ("gopher_long_doc", v["n_non_symbol_words"] > 100_000),
        ("gopher_below_avg_threshold", v["mean_word_length"] < 3),
        ("gopher_above_avg_threshold", v["mean_word_length"] > 10),
        ("gopher_too_many_hashes", v["hash_ratio"] > 0.1),
        ("gopher_too_many_ellipsis", v["ellipsis_ratio"] > 0.1),
        ("gopher_too_many_bullets", v["bullet_line_fraction"] > 0.9),
        ("gopher_too_many_end_ellipsis", v["ellipsis_line_fraction"] > 0.3),
        ("gopher_below_alpha_threshold", v["alpha_word_fraction"] < 0.8),
        ("gopher_enough_stop_words", v["stop_word_count"] < 2),
    )
    return next((reason for reason, drops in rules if drops), None)


def repetition_reason(v: Values) -> str | None:
    rules = [
        ("dup_para_frac", v["duplicate_paragraph_fraction"] > 0.3),
        ("dup_para_char_frac", v["duplicate_paragraph_char_fraction"] > 0.2),
        ("dup_line_frac", v["duplicate_line_fraction"] > 0.3),
        ("dup_line_char_frac", v["duplicate_line_char_fraction"] > 0.2),
    ]
    for n, limit in ((2, 0.2), (3, 0.18), (4, 0.16)):
        rules.append((f"top_{n}_gram", v[f"top_{n}gram_char_fraction"] > limit))
    for n, limit in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10)):
        rules.append((f"duplicated_{n}_n_grams", v[f"duplicate_{n}gram_char_fraction"] > limit))
    return next((reason for reason, drops in rules if drops), None)


def fineweb_reason(v: Values) -> str | None:
    rules = (
        ("line_punct_ratio", v["line_punctuation_fraction"] < 0.12),
        ("short_line_ratio", v["short_line_fraction"] > 0.67),
        ("char_dup_ratio", v["fineweb_duplicate_line_char_fraction"] > 0.01),
        ("list_ratio", v["newline_word_ratio"] > 0.3),
    )
    return next((reason for reason, drops in rules if drops), None)


@pytest.mark.usefixtures("whitespace_words")
@pytest.mark.parametrize(
    ("family", "block", "reason"),
    [
        ("gopher", GopherQualityFilter, gopher_reason),
        ("gopher-repetition", GopherRepetitionFilter, repetition_reason),
        ("fineweb", FineWebQualityFilter, fineweb_reason),
    ],
)
def test_signals_explain_every_verdict_of_the_filters(
    family: str, block: Any, reason: Any, texts: list[str]
) -> None:
    oracle = block()
    reasons = []
    for text, values in zip(texts, FAMILIES[family].compute(array(texts)).to_pylist(), strict=True):
        verdict = oracle.filter(Document(text=text, id=""))
        theirs = None if verdict is True else verdict[1]
        assert reason(values) == theirs, text[:200]
        reasons.append(theirs)
    assert len(set(reasons)) >= 4  # the sample exercises the rules
