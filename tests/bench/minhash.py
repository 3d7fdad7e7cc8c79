"""MinHash signatures (word 5-grams, 14 x 8) against the peers, documents a second on one core.

    python tests/bench/minhash.py <docs.parquet with a text column> [documents]

Text in, 112 values a document out. `Python + datasketch`: the same words by `re`, a set of
shingles, sha1, one update a document. `datatrove`: its signature step's own get_shingles and
get_signature; it splits words with spaCy, and where that is not installed a regex stands in,
which flatters it (spaCy is most of its time). CPU time, medians of five passes; ours takes
batches of 1,000 documents and is warmed up (compiled) first.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from datasketch import MinHash
from datatrove.pipeline.dedup import minhash as datatrove_minhash

from corpus_builder.minhash.banding import band_keys
from corpus_builder.minhash.shingles import shingle_hashes
from corpus_builder.minhash.signatures import signatures

NGRAM, BANDS, ROWS = 5, 14, 8
BATCH = 1000


class RegexWords:
    """Stands in for datatrove's spaCy tokenizer."""

    def word_tokenize(self, text: str) -> list[str]:
        return re.findall(r"\w+", text)


def ours(texts: pa.LargeStringArray) -> None:
    for start in range(0, len(texts), BATCH):
        hashes, offsets = shingle_hashes(texts.slice(start, BATCH), NGRAM)
        band_keys(signatures(hashes, offsets, BANDS * ROWS), BANDS, ROWS)


def python_and_datasketch(texts: list[str]) -> None:
    blank = MinHash(BANDS * ROWS, seed=1)
    for text in texts:
        words = re.findall(r"\w+", text.lower())
        shingles = {" ".join(words[i : i + NGRAM]) for i in range(max(1, len(words) - NGRAM + 1))}
        blank.copy().update_batch([shingle.encode() for shingle in shingles])


def datatrove_step() -> tuple[str, Callable[[list[str]], None]]:
    label = "datatrove"
    if importlib.util.find_spec("spacy") is None:
        label += ", regex for spaCy"
        datatrove_minhash.load_word_tokenizer = lambda language: RegexWords()
    step = datatrove_minhash.MinhashDedupSignature(tempfile.mkdtemp())
    # What it calls by default, but that xxhash >= 4 takes bytes only.
    step._hash_func = lambda shingle: xxhash.xxh64_intdigest(shingle.encode())

    def sign(texts: list[str]) -> None:
        for text in texts:
            shingles = step.get_shingles(text)
            if shingles.size:
                step.get_signature(shingles)

    return label, sign


def rate(run: Callable[[], None], documents: int) -> float:
    seconds = []
    for _ in range(5):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return documents / median(seconds)


def main(path: Path, documents: int = 1000) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    column = pq.read_table(path, columns=["text"])["text"].cast(pa.large_string())
    texts = column.combine_chunks().slice(0, documents)
    strings = texts.to_pylist()
    ours(texts.slice(0, 10))
    own = rate(lambda: ours(texts), len(texts))
    label, sign = datatrove_step()
    print(f"{len(texts):,} documents, {sum(map(len, strings)) / len(texts):,.0f} characters each")
    print(f"{'ours':>28} {own:10,.0f} documents/s")
    peers = (("Python + datasketch", python_and_datasketch), (label, sign))
    for name, peer in peers:
        speed = rate(lambda peer=peer: peer(strings), len(texts))
        print(f"{name:>28} {speed:10,.0f} documents/s   ours / peer {own / speed:7,.1f}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
