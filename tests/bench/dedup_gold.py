"""Recall by Jaccard bucket, and precision, of the whole near-duplicate path on the gold set.

    python tests/bench/dedup_gold.py <folder of the gold set> [bands rows threshold]

The folder holds docs.parquet (id, text) and pairs.parquet (id_a, id_b, jaccard).

A pair is found when at least one of its documents is dropped, or is a candidate of the other
(same component). `theory` is the share of pairs of that Jaccard that share a band by themselves.
One core; the seconds are of the second run (the first one compiles).
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus_builder.minhash.banding import band_keys, edges_of_band
from corpus_builder.minhash.components import Components
from corpus_builder.minhash.shingles import shingle_hashes
from corpus_builder.minhash.signatures import signatures
from corpus_builder.minhash.verify import jaccard, verify_component

BUCKETS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0 + 1e-9)


@dataclass(frozen=True)
class Outcome:
    """Every document's shingles, component, keeper (-1: kept) and similarity to it."""

    hashes: np.ndarray
    offsets: np.ndarray
    roots: np.ndarray
    keeper: np.ndarray
    similarity: np.ndarray
    seconds: dict[str, float]

    def row(self, document: int) -> np.ndarray:
        return self.hashes[self.offsets[document] : self.offsets[document + 1]]


def verify_all(hashes, offsets, roots, threshold):
    """Keeper and similarity of every document; rank is the row number."""
    keeper, similarity = np.full(len(roots), -1, np.int64), np.zeros(len(roots))
    by_root = np.argsort(roots, kind="stable")
    for members in np.split(by_root, np.flatnonzero(np.diff(roots[by_root])) + 1):
        if len(members) < 2:
            continue
        rows = [hashes[offsets[m] : offsets[m + 1]] for m in members]
        bounds = np.concatenate(([0], np.cumsum([len(row) for row in rows])))
        verdicts = verify_component(
            np.concatenate(rows), bounds, np.arange(len(members)), threshold, 10**12
        )
        dropped = verdicts.keeper >= 0
        keeper[members[dropped]] = members[verdicts.keeper[dropped]]
        similarity[members] = verdicts.jaccard
    return keeper, similarity


def deduplicate(texts: pa.LargeStringArray, bands: int, rows: int, threshold: float) -> Outcome:
    """The whole path in memory, document order being the order of preference."""
    clock = [time.perf_counter()]
    hashes, offsets = shingle_hashes(texts, 5)
    clock.append(time.perf_counter())
    keys = band_keys(signatures(hashes, offsets, bands * rows), bands, rows)
    clock.append(time.perf_counter())
    components = Components(len(texts))
    documents = np.arange(len(texts))
    for band in range(bands):
        components.union(*edges_of_band(keys[:, band], documents))
    roots = components.roots()
    clock.append(time.perf_counter())
    keeper, similarity = verify_all(hashes, offsets, roots, threshold)
    clock.append(time.perf_counter())
    names = ("shingles", "signatures", "components", "verification")
    return Outcome(
        hashes, offsets, roots, keeper, similarity, dict(zip(names, np.diff(clock), strict=True))
    )


def load_gold(folder: Path) -> tuple[pa.LargeStringArray, np.ndarray, np.ndarray, np.ndarray]:
    """Texts, and the pairs as a, b (row numbers) and true Jaccard."""
    docs = pq.read_table(folder / "docs.parquet", columns=["id", "text"])
    row_of = {name: row for row, name in enumerate(docs["id"].to_pylist())}
    pairs = pq.read_table(folder / "pairs.parquet", columns=["id_a", "id_b", "jaccard"])
    a, b = (np.array([row_of[i] for i in pairs[c].to_pylist()]) for c in ("id_a", "id_b"))
    texts = docs["text"].cast(pa.large_string()).combine_chunks()
    return texts, a, b, pairs["jaccard"].to_numpy()


def main(folder: Path, bands: int = 14, rows: int = 8, threshold: float = 0.8) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    texts, a, b, gold = load_gold(folder)
    deduplicate(texts, bands, rows, threshold)
    found = deduplicate(texts, bands, rows, threshold)
    dropped = found.keeper >= 0
    either, together = dropped[a] | dropped[b], found.roots[a] == found.roots[b]
    print(f"{bands} bands x {rows} rows, threshold {threshold}, {len(texts):,} documents")
    print(f"{'Jaccard':>12} {'pairs':>7} {'theory':>7} {'component':>10} {'dropped':>8}")
    for low, high in pairwise(BUCKETS):
        of = (gold >= low) & (gold < high)
        theory = np.mean(1 - (1 - gold[of] ** rows) ** bands)
        print(
            f"{low:6.2f}-{min(high, 1):<5.2f} {of.sum():7,} {theory:7.4f} "
            f"{together[of].mean():10.4f} {either[of].mean():8.4f}"
        )
    for low in (threshold, 0.85):
        of = gold >= low
        print(f"J >= {low}: {either[of].mean():.5f} of {of.sum():,} pairs have a dropped document")
    rows_dropped = np.flatnonzero(dropped)
    true = [jaccard(found.row(d), found.row(found.keeper[d])) for d in rows_dropped]
    print(f"dropped {len(true):,}; true Jaccard with the keeper >= {min(true, default=1):.4f}")
    for name, seconds in found.seconds.items():
        print(f"{name:>12} {seconds:6.2f} s  {len(texts) / seconds:10,.0f} documents/s")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    numbers = sys.argv[2:]
    main(Path(sys.argv[1]), *map(int, numbers[:2]), *map(float, numbers[2:3]))
