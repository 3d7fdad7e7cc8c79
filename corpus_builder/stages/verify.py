"""Candidates of one bucket of components, ranked and verified into verdicts.

Invariant: the rank is a total order (corpus priority, the recipe's key, doc_id); equal texts
collapse onto the first of them, and every verdict names a document that stays.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .dedup import VERDICT_SCHEMA, DedupConfig

Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]

CANDIDATE_SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("root", pa.int64()),
        ("bucket", pa.int64()),
        ("priority", pa.int64()),
        ("rank_key", pa.int64()),
        ("doc_id", pa.binary(16)),
        ("digest_hi", pa.uint64()),
        ("digest_lo", pa.uint64()),
        ("shingles", pa.large_list(pa.uint64())),
    ]
)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def ranks(
    *, index: Int64, root: Int64, priority: int, doc_id: pa.Array, date: pa.Array, text: pa.Array,
    hashes: UInt64, offsets: Int64, keep: str, buckets: int,
) -> pa.Table:  # fmt: skip
    """Candidates of one batch with what the total order reads, and their sorted shingle hashes."""
    from ..minhash.digests import text_digests

    high = (root.astype(np.uint64) * _SPREAD) >> np.uint64(32)
    bucket = (high * np.uint64(buckets)) >> np.uint64(32)
    digests = text_digests(text)
    columns = [
        pa.array(index), pa.array(root), pa.array(bucket.astype(np.int64)),
        pa.array(np.full(len(index), priority, np.int64)),
        pa.array(_rank_key(keep, index, text, date)),
        doc_id, *(pa.array(np.ascontiguousarray(half)) for half in digests.T),
        pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(hashes)),
    ]  # fmt: skip
    return pa.Table.from_arrays(columns, schema=CANDIDATE_SCHEMA)


def _rank_key(keep: str, index: Int64, text: pa.Array, date: pa.Array) -> Int64:
    """What the recipe prefers, lower first."""
    if keep == "first":
        return index
    if keep == "newest":
        return -np.array([_date_number(value) for value in date.to_pylist()], np.int64)
    lengths: Int64 = pc.utf8_length(text).to_numpy().astype(np.int64)
    return -lengths


def _date_number(date: str | None) -> int:
    """A sortable number of an ISO-like date; 0 (oldest) where there is none."""
    digits = re.sub(r"\D", "", date or "")[:14]
    return int(digits.ljust(14, "0")) if len(digits) >= 4 else 0


def verdicts_of(
    parts: list[pa.Table], config: DedupConfig, counts: Counter[str]
) -> list[pa.RecordBatch]:
    """Verdicts on the dropped documents of all components in `parts`, by index, in slices.

    Adds to `counts`: components, members, exact, near, unverified.
    """
    found: list[tuple[int, str, bytes, float]] = []
    if parts:
        table = pa.concat_tables(parts)
        order = [(name, "ascending") for name in ("root", "priority", "rank_key", "doc_id")]
        table = table.take(pc.sort_indices(table, order)).combine_chunks()
        for component in _components(table):
            counts["components"] += 1
            counts["members"] += component.num_rows
            found += _component_verdicts(component, config, counts)
    found.sort()
    columns = list(zip(*found, strict=True)) or [()] * 4
    arrays = [pa.array(c, f.type) for c, f in zip(columns, VERDICT_SCHEMA, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=VERDICT_SCHEMA)
    return list(table.to_batches(max_chunksize=1 << 16))


def _components(table: pa.Table) -> Iterator[pa.Table]:
    root = table.column("root").to_numpy()
    borders = np.flatnonzero(np.diff(root, prepend=-1, append=-1))
    for start, stop in pairwise(borders.tolist()):
        yield table.slice(start, stop - start)


def _component_verdicts(
    component: pa.Table, config: DedupConfig, counts: Counter[str]
) -> list[tuple[int, str, bytes, float]]:
    """Greedy in rank order over distinct texts; copies share the fate of their first."""
    from ..minhash.verify import verify_component

    index = component.column("index").to_pylist()
    doc_ids = component.column("doc_id").to_pylist()
    digests = zip(
        component.column("digest_hi").to_pylist(), component.column("digest_lo").to_pylist(),
        strict=True,
    )  # fmt: skip
    first: dict[tuple[int, int], int] = {}
    leader = [first.setdefault(digest, row) for row, digest in enumerate(digests)]
    distinct = [row for row, lead in enumerate(leader) if row == lead]
    hashes, offsets = _shingles(component, distinct)
    order = np.arange(len(distinct))
    found = verify_component(hashes, offsets, order, config.threshold, config.max_comparisons)
    counts["unverified"] += int(np.count_nonzero(found.unverified))
    place = {row: number for number, row in enumerate(distinct)}
    verdicts = []
    for row, lead in enumerate(leader):
        near = int(found.keeper[place[lead]])
        if near >= 0:
            cause, kept, score = "near", distinct[near], float(found.jaccard[place[lead]])
        elif row != lead:
            cause, kept, score = "exact", lead, 1.0
        else:
            continue
        counts[cause] += 1
        verdicts.append((index[row], cause, doc_ids[kept], round(score, 6)))
    return verdicts


def _shingles(component: pa.Table, rows: list[int]) -> tuple[UInt64, Int64]:
    """Flat hashes and offsets of some rows."""
    lists = component.column("shingles").combine_chunks().take(pa.array(rows, pa.int64()))
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.combine_chunks()
    offsets = lists.offsets.to_numpy()
    values = lists.values.to_numpy()[offsets[0] : offsets[-1]]
    return values, offsets - offsets[0]
