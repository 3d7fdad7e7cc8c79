"""The `dedup` verb in three stages: band keys (a tag), groups (over the set), verdicts (row-local).

Invariant: a document is dropped only when a kept document of its component is verified similar to
it - equal text, or true Jaccard at or above the threshold - and the verdict names that document.
Held-out documents take no part: the guard at the end keeps their copies out of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..minhash.words import HASH_VERSION
from ..store.tables import read_between
from .base import Context, RowStage, Stage, Work
from .frame import Frame
from .keys import HELDOUT_SALT, keyed_hash

VERDICT_SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("cause", pa.string()),
        ("keeper", pa.binary(16)),
        ("jaccard", pa.float64()),
    ]
)


@dataclass(frozen=True)
class DedupConfig:
    """What decides who is a duplicate and who stays.

    Attributes:
        ngram: words a shingle.
        bands, rows: of the MinHash banding; bands * rows permutations.
        threshold: least true Jaccard of a duplicate with its keeper.
        keep: `longest`, `first` (in input order) or `newest` (by date) of a group.
        max_comparisons: of single hashes within one component (some 3 ns each); what is left stays,
            counted as unverified.
    """

    ngram: int = 5
    bands: int = 14
    rows: int = 8
    threshold: float = 0.8
    keep: str = "longest"
    max_comparisons: int = 5_000_000_000


def band_columns(bands: int) -> list[str]:
    """Names of the band key columns."""
    return [f"band_{band:03d}" for band in range(bands)]


class BandsStage(RowStage):
    """Adds what the grouping reads: band keys, text digest, held-out key; null in dead rows."""

    verb = "dedup.bands"
    reads = ("text", "doc_id")

    def __init__(self, name: str, *, corpus: str, above: Stage, config: DedupConfig) -> None:
        reads = {
            "ngram": config.ngram, "bands": config.bands, "rows": config.rows,
            "hash": HASH_VERSION,
        }  # fmt: skip
        super().__init__(name, corpus=corpus, upstream=(above,), config=reads)
        self.dedup = config
        self.schema = pa.schema(
            [
                ("heldout_key", pa.uint64()),
                ("digest_hi", pa.uint64()),
                ("digest_lo", pa.uint64()),
                ("n_shingles", pa.int64()),
                *((column, pa.uint64()) for column in band_columns(config.bands)),
            ]
        )

    def open(self, context: Context, shard: str) -> Work:
        return self._keys

    def _keys(self, frame: Frame) -> tuple[pa.RecordBatch, dict[str, Any]]:
        from ..minhash.banding import band_keys
        from ..minhash.digests import text_digests
        from ..minhash.shingles import shingle_hashes
        from ..minhash.signatures import signatures

        text = frame.live("text")
        hashes, offsets = shingle_hashes(text, self.dedup.ngram)
        minima = signatures(hashes, offsets, self.dedup.bands * self.dedup.rows)
        keys = band_keys(minima, self.dedup.bands, self.dedup.rows)
        digests = text_digests(text)
        numbers = [keyed_hash(frame.live("doc_id"), HELDOUT_SALT), digests[:, 0], digests[:, 1]]
        numbers.append(np.diff(offsets))
        numbers += [keys[:, band] for band in range(self.dedup.bands)]
        columns = [
            frame.spread(pa.array(np.ascontiguousarray(values), field.type))
            for values, field in zip(numbers, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema), {}

    def apply(self, frame: Frame, sidecar: pa.RecordBatch) -> dict[str, int]:
        return {}


class DedupStage(RowStage):
    """Scatters the groups' verdicts back to the rows of one corpus."""

    verb = "dedup"
    schema = pa.schema(
        [("dropped_by", pa.string()), ("keeper", pa.binary(16)), ("jaccard", pa.float64())]
    )
    reads = ()

    def __init__(self, name: str, *, corpus: str, bands: Stage, groups: Stage) -> None:
        super().__init__(name, corpus=corpus, upstream=(bands, groups), config={})
        self.cause = name.partition(".")[2]

    def open(self, context: Context, shard: str) -> Work:
        from .groups import GroupsStage

        groups = self.upstream[1]
        if not isinstance(groups, GroupsStage):
            raise TypeError(f"{self.name}: its second upstream is not a grouping")
        start, stop = groups.index_range(context, self.corpus or "", shard)
        verdicts = _verdicts_between(context, groups, start, stop)
        position = start

        def scatter(frame: Frame) -> tuple[pa.RecordBatch, dict[str, Any]]:
            nonlocal position
            batch = self._rows(verdicts, position, frame.rows)
            position += frame.rows
            return batch, {}

        return scatter

    def _rows(self, verdicts: Mapping[str, Any], position: int, rows: int) -> pa.RecordBatch:
        first, last = np.searchsorted(verdicts["index"], [position, position + rows])
        places = np.zeros(rows, np.int64)
        missing = np.ones(rows, bool)
        at = verdicts["index"][first:last] - position
        places[at] = np.arange(first, last)
        missing[at] = False
        take = pa.array(places, pa.int64(), mask=missing)
        columns = [verdicts["cause"].take(take), verdicts["keeper"].take(take)]
        columns.append(verdicts["jaccard"].take(take))
        named = pc.binary_join_element_wise(
            pa.scalar(self.cause), columns[0].cast(pa.string()), "."
        )
        return pa.RecordBatch.from_arrays([named, *columns[1:]], schema=self.schema)

    def apply(self, frame: Frame, sidecar: pa.RecordBatch) -> dict[str, int]:
        return frame.drop(sidecar.column("dropped_by"))


def _verdicts_between(context: Context, groups: Stage, start: int, stop: int) -> dict[str, Any]:
    """Verdicts on document indices in [start, stop), by index."""
    parts: list[pa.RecordBatch] = []
    for record in context.records(groups):
        path = context.folder(groups) / record.files[0].path
        parts += read_between(path, "index", start, stop)
    table = pa.Table.from_batches(parts, VERDICT_SCHEMA).sort_by("index").combine_chunks()
    columns = {name: table.column(name).combine_chunks() for name in ("cause", "keeper", "jaccard")}
    return {"index": table.column("index").to_numpy(), **columns}
