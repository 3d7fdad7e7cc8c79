"""Language ID: accuracy on labelled texts, agreement on web pages after extraction, documents/s.

    python tests/bench/lid.py [DATA_FOLDER] [-v]

One pinned core. The pages are extracted by trafilatura first (about two minutes), outside the
timing. `macro` is the mean over languages; only languages that the model has labels for count.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

import fasttext
import pyarrow as pa
import pyarrow.parquet as pq
import trafilatura
from fastwarc.warc import ArchiveIterator, WarcRecordType

from corpus_builder.signals.language import default_model, detect

FOLDERS = [argument for argument in sys.argv[1:] if argument != "-v"]
DATA = Path([*FOLDERS, Path(__file__).parents[3] / "shared" / "data"][0])
HEAD = 2_000


def accuracy(model: Path, known: set[str]) -> None:
    """By kind of text: share right over texts, and mean share right over languages."""
    table = pq.read_table(DATA / "lid" / "lid_test.parquet").to_pydict()
    lang, _ = detect(pa.array(table["text"], pa.large_string()), model)
    right: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for gold, gold3, found, kind in zip(
        table["lang"], table["lang3"], lang.to_pylist(), table["length"], strict=True
    ):
        # Norwegian: the model says `no` for Bokmal and `nn` for Nynorsk.
        accepted = {gold, gold3} | ({"no"} if gold == "nb" else set())
        if accepted & known:
            right[kind][gold].append(found in accepted)
    for kind, languages in right.items():
        flat = [hit for hits in languages.values() for hit in hits]
        macro = sum(sum(hits) / len(hits) for hits in languages.values()) / len(languages)
        micro = sum(flat) / len(flat)
        print(f"{kind:10} {len(flat):6} texts {len(languages):4} languages", end="")
        print(f"  accuracy {micro:.4f}  macro {macro:.4f}")


def extracted_pages() -> tuple[list[str], list[str], list[str]]:
    """Text, gold language and URL of every page with a gold language."""
    logging.disable(logging.CRITICAL)
    folder = DATA / "warc"
    lines = (folder / "debian-docs.pages.jsonl").read_text(encoding="utf-8").splitlines()
    pages = {page["offset"]: page for page in map(json.loads, lines) if page["lang_gold"]}
    texts, golds, urls = [], [], []
    with (folder / "debian-docs.warc.gz").open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            page = pages.get(record.stream_pos)
            if page is None:
                continue
            html = record.reader.read().decode(page["charset"] or "utf-8", "replace")
            texts.append(trafilatura.extract(html) or "")
            golds.append(page["lang_gold"])
            urls.append(page["url"])
    return texts, golds, urls


def agreement(name: str, texts: list[str], golds: list[str], urls: list[str], model: Path) -> None:
    """Share of pages whose label is the gold one, and where the others lie."""
    lang, score = detect(pa.array(texts, pa.large_string()), model)
    wrong: Counter[tuple[str, str]] = Counter()
    short = confident = 0
    shown: list[str] = []
    for text, gold, found, value, url in zip(
        texts, golds, lang.to_pylist(), score.to_pylist(), urls, strict=True
    ):
        if found == gold:
            continue
        wrong[gold, found] += 1
        short += len(text) < 200
        confident += value >= 0.65
        shown.append(f"    {gold} read as {found} {value} ({len(text)} characters) {url}")
    missed = sum(wrong.values())
    print(f"{name}: {1 - missed / len(texts):.4f} of {len(texts)} pages agree", end="")
    print(f" ({missed} do not: {short} under 200 characters, {confident} with score >= .65)")
    print("  ", ", ".join(f"{g}->{f} {n}" for (g, f), n in wrong.most_common(14)))
    if "-v" in sys.argv:
        print("\n".join(shown))


def rate(work: Callable[[], object], documents: int) -> float:
    """Documents a second, median of 3."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return documents / median(seconds)


def speed(texts: list[str], model: Path) -> None:
    """Ours against a plain loop over fastText's list prediction, both from an Arrow column."""
    column = pa.array(texts, pa.large_string())
    raw = fasttext.load_model(str(model))

    def plain(characters: int | None) -> None:
        raw.predict([text[:characters].replace("\n", " ") for text in column.to_pylist()])

    for name, characters in (("whole text", None), (f"first {HEAD} characters", HEAD)):
        peer = rate(lambda c=characters: plain(c), len(texts))
        ours = rate(lambda c=characters: detect(column, model, c), len(texts))
        print(
            f"{name}: fastText {peer:,.0f} documents/s, ours {ours:,.0f}, ratio {ours / peer:.2f}"
        )


def main() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    model = default_model()
    known = {label.removeprefix("__label__") for label in fasttext.load_model(str(model)).labels}
    print(f"{model.name}: {len(known)} labels")
    accuracy(model, known)
    texts, golds, urls = extracted_pages()
    agreement("extracted text", texts, golds, urls, model)
    heads = [text[:HEAD] for text in texts]
    agreement(f"its first {HEAD} characters", heads, golds, urls, model)
    long = [i for i, text in enumerate(texts) if len(text) >= 200]
    picked = [[values[i] for i in long] for values in (texts, golds, urls)]
    agreement("texts of 200 characters or more", *picked, model)
    speed(texts, model)


if __name__ == "__main__":
    main()
