"""Signals and line rules against datatrove's filters: `python tests/bench/signals.py`, ~1 minute.

Same work on both sides: every measure of Gopher's quality and repetition rules, C4's line rules
with a sentence count, FineWeb's custom rules on what C4 left; thresholds so wide that no filter
stops early. datatrove runs twice: with words by `str.split` and sentences by one regular
expression, and, where spaCy is installed, as shipped (English). Needs the shared test data.
"""

from __future__ import annotations

import os
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "signals")]

from conftest import SHARED  # noqa: E402
from datatrove.data import Document  # noqa: E402
from datatrove.pipeline.filters import (  # noqa: E402
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    c4_filters,
    fineweb_quality_filter,
    gopher_quality_filter,
    gopher_repetition_filter,
)
from texts import real_texts  # noqa: E402

from corpus_builder.signals import FAMILIES  # noqa: E402
from corpus_builder.transforms import TRANSFORMS  # noqa: E402

PER_FILE = 75
REPEATS = 3
WIDE = 1e9
WORD_USERS = (gopher_quality_filter, gopher_repetition_filter, fineweb_quality_filter)
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def datatrove_filters() -> list[Any]:
    return [
        GopherRepetitionFilter(
            dup_line_frac=WIDE,
            dup_para_frac=WIDE,
            dup_line_char_frac=WIDE,
            dup_para_char_frac=WIDE,
            top_n_grams=tuple((n, WIDE) for n in (2, 3, 4)),
            dup_n_grams=tuple((n, WIDE) for n in range(5, 11)),
        ),
        GopherQualityFilter(
            min_doc_words=None,
            max_doc_words=int(WIDE),
            min_avg_word_length=-1,
            max_avg_word_length=int(WIDE),
            max_symbol_word_ratio=WIDE,
            max_bullet_lines_ratio=WIDE,
            max_ellipsis_lines_ratio=WIDE,
            max_non_alpha_words_ratio=-1.0,
            min_stop_words=-1,
        ),
        C4QualityFilter(min_num_sentences=0, filter_lorem_ipsum=False, filter_curly_bracket=False),
        FineWebQualityFilter(
            line_punct_thr=-1.0,
            short_line_thr=WIDE,
            char_duplicates_ratio=WIDE,
            new_line_ratio=WIDE,
        ),
    ]


def run_datatrove(filters: list[Any], texts: list[str]) -> None:
    for text in texts:
        document = Document(text=text, id="")
        for block in filters:
            verdict = block.filter(document)
            if verdict is not True:
                # only a page of which C4 left nothing stops here
                if document.text.strip():
                    raise RuntimeError(f"{block.name} stopped early: {verdict}")
                break


def run_ours(texts: pa.LargeStringArray) -> None:
    for name in ("gopher-repetition", "gopher"):
        FAMILIES[name].compute(texts)
    transform = TRANSFORMS["c4-lines"]
    left = transform.apply(texts, transform.options()).texts
    for name in ("c4", "fineweb"):
        FAMILIES[name].compute(left)


def rate(work: Callable[[], None], documents: int, repeats: int) -> float:
    """Documents a second of CPU time, median."""
    took = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return documents / statistics.median(took)


def has_spacy() -> bool:
    try:
        import spacy  # noqa: F401
    except ImportError:
        return False
    return True


def main() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if not SHARED.is_dir():
        sys.exit(f"needs the shared test data at {SHARED} (set CORPUS_TEST_DATA to its folder)")
    texts = [text for text in real_texts(SHARED, PER_FILE) if text.strip()]
    array = pa.array(texts, pa.large_string())
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts)} documents, {megabytes:.1f} MB, one core, CPU time")

    run_ours(array)  # compile or load
    ours = rate(lambda: run_ours(array), len(texts), 5 * REPEATS)
    print(f"ours                       {ours:9.0f} documents/s")
    for name in ("gopher", "gopher-repetition", "fineweb", "c4", "text", "code"):
        compute = FAMILIES[name].compute
        alone = rate(lambda compute=compute: compute(array), len(texts), 5 * REPEATS)  # type: ignore[misc]
        print(f"  {name:<25}{alone:9.0f}")

    filters = datatrove_filters()
    with mock.patch.object(c4_filters, "split_into_sentences", lambda t, _: SENTENCE_END.split(t)):
        for module in WORD_USERS:
            mock.patch.object(module, "split_into_words", lambda t, _: t.split()).start()
        plain = rate(lambda: run_datatrove(filters, texts), len(texts), REPEATS)
        mock.patch.stopall()
    print(f"datatrove, str.split       {plain:9.0f}   ours x{ours / plain:.0f}")
    if not has_spacy():
        print("datatrove as shipped       not run: spaCy is not installed")
        return
    shipped = rate(lambda: run_datatrove(filters, texts), len(texts), 1)
    print(f"datatrove as shipped       {shipped:9.0f}   ours x{ours / shipped:.0f}")


if __name__ == "__main__":
    main()
