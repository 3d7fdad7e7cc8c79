"""`c4-lines` and the family `c4` together are datatrove's C4QualityFilter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter, c4_filters
from hypothesis import given, settings
from hypothesis import strategies as st
from signals import reference
from signals.texts import PIECES, array, nasty, real_texts

from corpus_builder.signals import FAMILIES
from corpus_builder.store.errors import RecipeError
from corpus_builder.transforms import TRANSFORMS
from corpus_builder.transforms.c4_lines import C4LinesOptions

C4 = C4LinesOptions()
FINEWEB = C4LinesOptions(terminal_punctuation=False)
BARE = C4LinesOptions(False, 0, 0, False, False, False)
STATS = {
    "too_long_word": "line-filter-too_long_word",
    "no_terminal_punctuation": "line-filter-no_terminal_punc",
    "too_few_words": "line-filter-too_few_words",
    "javascript": "line-filter-javascript",
    "policy": "line-filter-policy",
}

sentence_pieces = st.lists(
    st.sampled_from((*PIECES, *["one two three. ", "a b c.\n", "\n"] * 12)), max_size=40
).map("".join)
documents = nasty | sentence_pieces


@pytest.fixture(autouse=True, scope="module")
def our_sentences() -> Any:
    """datatrove counts sentences with the rule of `n_sentences`; all else is its own."""
    with pytest.MonkeyPatch.context() as patch:
        count = lambda line, language: [line] * reference.sentences(line)  # noqa: E731
        patch.setattr(c4_filters, "split_into_sentences", count)
        yield


def oracle(options: C4LinesOptions) -> C4QualityFilter:
    return C4QualityFilter(
        remove_citations=options.remove_citations,
        filter_no_terminal_punct=options.terminal_punctuation,
        min_words_per_line=options.min_words_per_line,
        max_word_length=options.max_word_length or -1,
        filter_javascript=options.remove_javascript,
        filter_policy=options.remove_policy,
    )


def check(text: str, options: C4LinesOptions) -> str | None:
    """Same verdict; and for a kept page the same text and the same removals by cause."""
    block, document = oracle(options), Document(text=text, id="")
    verdict = block.filter(document)
    result = TRANSFORMS["c4-lines"].apply(array([text]), options)
    signals = FAMILIES["c4"].compute(result.texts).to_pylist()[0]
    drops = {
        "lorem_ipsum": signals["has_lorem_ipsum"],
        "curly_bracket": signals["has_curly_bracket"],
        "too_few_sentences": signals["n_sentences"] < 5,
    }
    if verdict is not True:
        assert drops[verdict[1]]
        return str(verdict[1])
    assert not any(drops.values())
    assert result.texts.to_pylist() == [document.text]
    assert {cause: result.counts[cause] for cause in STATS} == {
        cause: block.stats[stat].total for cause, stat in STATS.items()
    }
    return None


@pytest.mark.parametrize("options", [C4, FINEWEB], ids=["c4", "fineweb"])
def test_real_documents(shared_data: Path, options: C4LinesOptions) -> None:
    verdicts = [check(text, options) for text in real_texts(shared_data, per_file=50)]
    assert {None, "curly_bracket", "too_few_sentences"} <= set(verdicts)


@given(documents, st.builds(C4LinesOptions, min_words_per_line=st.integers(0, 3)))
@settings(max_examples=400, deadline=None)
def test_nasty_strings_by_default(text: str, options: C4LinesOptions) -> None:
    check(text, options)


@given(
    documents,
    st.builds(
        C4LinesOptions,
        terminal_punctuation=st.booleans(),
        min_words_per_line=st.integers(0, 3),
        max_word_length=st.sampled_from((0, 1, 5, 1000)),
        remove_javascript=st.booleans(),
        remove_policy=st.booleans(),
        remove_citations=st.booleans(),
    ),
)
@settings(max_examples=600, deadline=None)
def test_nasty_strings_with_any_options(text: str, options: C4LinesOptions) -> None:
    check(text, options)


def clean(text: str, options: C4LinesOptions = C4) -> str:
    return str(TRANSFORMS["c4-lines"].apply(array([text]), options).texts[0].as_py())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A line that ends.\nOne that does not\n", "A line that ends."),
        ("Too short.\nThis is fine!", "This is fine!"),
        ("This trails off...", ""),
        ('She said "yes I will"', 'She said "yes I will"'),
        ("Please enable JavaScript to go on.", ""),
        ("We have a privacy policy here.", ""),
        ("Uses cooKies of all kinds.", ""),
        ("a b " + "x" * 1001 + ".", ""),
        ("a b " + "x" * 999 + ".", "a b " + "x" * 999 + "."),
        ("It is known.[1][22][edit] [citation needed]", ""),
        ("It is[1] known[٣].", "It is known."),
        ("Nested [[1]] stays once.", "Nested [] stays once."),
        # what makes C4 drop the page stays, to be seen
        ("This lorem ipsum javascript stays.", "This lorem ipsum javascript stays."),
        ("The { privacy policy } stays.", "The { privacy policy } stays."),
        ("The { javascript } goes away.", ""),
    ],
)
def test_by_eye(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_everything_off_only_trims_and_rejoins_lines() -> None:
    assert clean(" a \r\n\n b\u2028c ", BARE) == "a\n\nb\nc"


@given(st.lists(documents, max_size=6), st.integers(0, 6), st.integers(0, 6))
@settings(max_examples=100, deadline=None)
def test_rows_do_not_depend_on_their_batch(texts: list[str], start: int, length: int) -> None:
    transform = TRANSFORMS["c4-lines"]
    sliced = transform.apply(array(texts).slice(start, length), C4)
    sliced.texts.validate(full=True)
    one_by_one = [transform.apply(array([t]), C4) for t in texts[start : start + length]]
    assert sliced.texts.to_pylist() == [one.texts[0].as_py() for one in one_by_one]
    assert sliced.counts == {
        cause: sum(one.counts[cause] for one in one_by_one) for cause in sliced.counts
    }


@given(documents)
@settings(max_examples=200, deadline=None)
def test_applying_twice_changes_nothing_more_but_citations(text: str) -> None:
    options = C4LinesOptions(remove_citations=False)
    once = clean(text, options)
    assert clean(once, options) == once


def test_counts_name_every_cause() -> None:
    text = "\n".join(
        [
            "javascript is not on.",
            "read our cookie policy.",
            "no end",
            "short.",
            "y" * 1001,
            "a b c[1].",
        ]
    )
    result = TRANSFORMS["c4-lines"].apply(array([text]), C4)
    assert result.texts.to_pylist() == ["a b c."]
    assert result.counts == {
        "too_long_word": 1,
        "no_terminal_punctuation": 1,
        "too_few_words": 1,
        "javascript": 1,
        "policy": 1,
        "citations": 1,
    }


@pytest.mark.parametrize("field", ["min_words_per_line", "max_word_length"])
def test_negative_limits_are_refused(field: str) -> None:
    with pytest.raises(RecipeError, match=f"{field}: -1 is negative"):
        C4LinesOptions(**{field: -1})


def test_empty_batch() -> None:
    result = TRANSFORMS["c4-lines"].apply(array([]), C4)
    assert result.texts.type == pa.large_string()
    assert len(result.texts) == 0
