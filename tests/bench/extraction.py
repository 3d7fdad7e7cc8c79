"""Main-content extraction on WCXB's development pages: quality and speed, peers beside ours.

Peers are the libraries as commonly called, in this process on pages decoded as UTF-8. Ours is the
whole road of a page: charset, caps, the watched child, title and date. CPU time of this process
and its children on one pinned core.

    python tests/bench/extraction.py [--all] [--data FOLDER]
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean

import pyarrow.parquet as pq

from corpus_builder.extraction.watched import Extracted, WatchedExtractor
from corpus_builder.sources.records import Page

DATA = Path(__file__).parents[3] / "shared" / "data"
WORD = re.compile(r"\w+")
Texts = Callable[[list[Page]], Iterator[str]]


def f1(found: str, wanted: str) -> float:
    """F1 of the multisets of lower-cased words; two texts without words agree."""
    ours, theirs = Counter(WORD.findall(found.lower())), Counter(WORD.findall(wanted.lower()))
    if not ours and not theirs:
        return 1.0
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())


def peer_trafilatura(pages: list[Page]) -> Iterator[str]:
    from trafilatura import extract

    return (extract(page.body.decode("utf-8", "replace")) or "" for page in pages)


def peer_resiliparse(pages: list[Page]) -> Iterator[str]:
    from resiliparse.extract.html2text import extract_plain_text

    bodies = (page.body.decode("utf-8", "replace") for page in pages)
    return (extract_plain_text(body, main_content=True) for body in bodies)


def ours(tool: str) -> Texts:
    def run(pages: list[Page]) -> Iterator[str]:
        with WatchedExtractor(tool) as extractor:
            for outcome in extractor.extract(pages):
                yield outcome.text if isinstance(outcome, Extracted) else ""

    return run


def measure(texts: Texts, pages: list[Page], wanted: list[str]) -> tuple[float, float]:
    """Macro F1, and pages a CPU second with start-up left out."""
    list(texts(pages[:1]))
    start = time.process_time() + sum(os.times()[2:4])
    found = list(texts(pages))
    spent = time.process_time() + sum(os.times()[2:4]) - start
    return fmean(map(f1, found, wanted)), len(pages) / spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="all 1,495 pages, not 200 of them")
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = pq.read_table(options.data / "wcxb-dev.parquet").to_pylist()
    rows = rows if options.all else rows[:: len(rows) // 200][:200]
    pages = [
        Page(n, 0, row["url"] or "", row["id"], "", None, row["html"]) for n, row in enumerate(rows)
    ]
    wanted = [row["main_content"] or "" for row in rows]
    print(f"{len(pages)} pages{'tool':>10}{'peer F1':>16}{'ours':>8}{'ratio':>8}", end="")
    print(f"{'peer pages/s':>16}{'ours':>8}{'ratio':>8}")
    for tool, peer in (("resiliparse", peer_resiliparse), ("trafilatura", peer_trafilatura)):
        (peer_f1, peer_rate), (our_f1, our_rate) = (
            measure(texts, pages, wanted) for texts in (peer, ours(tool))
        )
        print(f"{tool:>20}{peer_f1:>16.4f}{our_f1:>8.4f}{our_f1 / peer_f1:>8.3f}", end="")
        print(f"{peer_rate:>16.1f}{our_rate:>8.1f}{our_rate / peer_rate:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
