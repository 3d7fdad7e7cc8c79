"""Buckets of a corpus: which kept document is in which, and the encoded documents of one.

Invariant: every kept document is in exactly one bucket, and all are counted, those that the mix
leaves out too. Encoding is done once for the whole corpus: other edges only sort it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..mixing.buckets import bucket_of, part_name, quantile_edges
from ..store.arrow_streams import open_stream
from ..store.errors import DataError
from ..store.records import UnitRecord, combine_digests
from ..store.tables import TableWriter, read_table
from .base import Context, Phase, Stage, data_file
from .rows import frames_of
from .tokens import EncodeStage

VALUE_SCHEMA = pa.schema([("doc_id", pa.binary(16)), ("value", pa.float64())])


@dataclass(frozen=True)
class Cut:
    """How a corpus is cut.

    Attributes:
        by: a signal that is a number.
        edges: rising; a value equal to an edge is above it. None with quantiles.
        quantiles: rising, of the values of the kept documents, each counted once.
        null: bucket of documents without a value; None refuses them.
    """

    by: str
    edges: tuple[float, ...] | None
    quantiles: tuple[Fraction, ...]
    null: int | None

    def identity(self) -> dict[str, Any]:
        """Plain values for the fingerprint."""
        return {
            "by": self.by,
            "edges": list(self.edges) if self.edges is not None else None,
            "quantiles": [str(share) for share in self.quantiles],
            "null": self.null,
        }


class BucketsStage(Stage):
    """Values of the signal, row for row with the documents; then edges, and documents by bucket.

    Args:
        above: the stage whose alive rows are the documents, with the signal beside them.
    """

    verb = "buckets"
    covers_set = True

    def __init__(
        self, name: str, *, corpus: str, above: Stage, cut: Cut, shards: tuple[str, ...]
    ) -> None:
        config = cut.identity()
        super().__init__(name, corpus=corpus, upstream=(above,), config=config, shards=shards)
        self.cut = cut

    def phases(self, context: Context) -> tuple[Phase, ...]:
        return Phase("data", context.shard_names(self.corpus)), Phase("edges", ("edges",))

    def inputs(self, context: Context, phase: str, unit: str) -> str:
        if phase == "data":
            return combine_digests([context.digest(self.upstream[0], phase, unit)])
        return context.upstream_digest(self)

    def run_unit(self, context: Context, phase: str, unit: str) -> UnitRecord:
        inputs = self.inputs(context, phase, unit)
        if phase == "edges":
            return UnitRecord(f"{phase}/{unit}", inputs, 0, 0, {}, self._count(context))
        with TableWriter(context.folder(self), f"data/{unit}.parquet", VALUE_SCHEMA) as writer:
            for batch in self._values(context, unit):
                writer.write(batch)
                context.progress(len(batch), 0)
            file = writer.close()
        return UnitRecord(f"{phase}/{unit}", inputs, file.rows, file.rows, {}, {}, (file,))

    def _values(self, context: Context, unit: str) -> Iterator[pa.RecordBatch]:
        for frame in frames_of(context, self.upstream[0], unit, ["doc_id", self.cut.by]):
            if frame.n_alive:
                value = frame.live(self.cut.by).cast(pa.float64())
                missing = int(pc.sum(value.is_null(nan_is_null=True)).as_py())
                if missing and self.cut.null is None:
                    raise DataError(
                        f"{self.name}, {unit}", f"{missing} documents have no {self.cut.by!r}",
                        do="say which bucket they are in: mix.buckets.<corpus>.on_null",
                    )  # fmt: skip
                columns = [frame.live("doc_id"), value]
                yield pa.RecordBatch.from_arrays(columns, schema=VALUE_SCHEMA)

    def values(self, context: Context, unit: str) -> npt.NDArray[np.float64]:
        """Values of a shard's documents, in their order; NaN for none."""
        column = read_table(data_file(context.folder(self), unit), ["value"]).column("value")
        found: npt.NDArray[np.float64] = column.to_numpy()
        return found

    def _count(self, context: Context) -> dict[str, Any]:
        """Facts: edges, documents by bucket, and those without a value."""
        shards = context.shard_names(self.corpus)
        edges = self.cut.edges
        if edges is None:
            edges = tuple(
                quantile_edges(
                    lambda: (self.values(context, shard) for shard in shards), self.cut.quantiles
                )
            )
        documents, nulls = np.zeros(len(edges) + 1, np.int64), 0
        for shard in shards:
            found = bucket_of(self.values(context, shard), edges)
            documents += np.bincount(found[found >= 0], minlength=len(documents))
            nulls += int(np.count_nonzero(found < 0))
        if self.cut.edges is None:
            self._refuse_unusable(edges, documents)
        if self.cut.null is not None:
            documents[self.cut.null] += nulls
        counts = {str(bucket): count for bucket, count in enumerate(documents.tolist())}
        return {"edges": list(edges), "documents": counts, "nulls": nulls}

    def _refuse_unusable(self, edges: tuple[float, ...], documents: npt.NDArray[np.int64]) -> None:
        if not edges:
            raise DataError(self.name, f"no document has a {self.cut.by!r}", do="use edges")
        if not np.isfinite(edges).all():
            what = f"a quantile of {self.cut.by!r} is infinite"
            raise DataError(self.name, what, do="use other quantiles, or edges")
        for bucket in np.flatnonzero(documents == 0).tolist():
            raise DataError(
                self.name, f"bucket {bucket} is empty: too many documents have equal "
                f"{self.cut.by!r}, the quantiles are {', '.join(map(str, edges))}",
                do="use other quantiles, or edges",
            )  # fmt: skip

    def facts_of(self, context: Context) -> dict[str, Any]:
        """What the `edges` unit found."""
        return context.record(self, "edges", "edges").facts

    def members(self, context: Context, unit: str, bucket: int) -> npt.NDArray[np.bool_]:
        """Which of a shard's documents are in a bucket, in their order."""
        null = -1 if self.cut.null is None else self.cut.null
        found = bucket_of(self.values(context, unit), self.facts_of(context)["edges"], null)
        here: npt.NDArray[np.bool_] = found == bucket
        return here


class BucketStage(EncodeStage):
    """The encoded documents of one bucket: those of its corpus that are in it, as they are.

    Args:
        whole: the encoded corpus.
        buckets: who is in which.
    """

    verb = "bucket"

    def __init__(
        self, name: str, *, whole: EncodeStage, buckets: BucketsStage, number: int
    ) -> None:
        Stage.__init__(
            self, name, corpus=whole.corpus, upstream=(whole, buckets), config={"bucket": number}
        )
        self.tokenizer, self.whole, self.buckets = whole.tokenizer, whole, buckets
        self.documents, self.number = whole.documents, number
        self.part = part_name(str(whole.corpus), number)

    def inputs(self, context: Context, phase: str, unit: str) -> str:
        above = [context.record(stage, "data", unit).digest for stage in self.upstream]
        return combine_digests([*above, *map(repr, self.buckets.facts_of(context)["edges"])])

    def size(self, context: Context, whole: int) -> int:
        counts = self.buckets.facts_of(context)["documents"]
        return int(whole * counts[str(self.number)] // max(1, sum(counts.values())))

    def members(self, context: Context, unit: str) -> npt.NDArray[np.bool_]:
        return self.buckets.members(context, unit, self.number)

    def run_unit(self, context: Context, phase: str, unit: str) -> UnitRecord:
        values = data_file(context.folder(self.buckets), unit)
        here = pa.array(self.members(context, unit))
        wanted = read_table(values, ["doc_id"]).column("doc_id").filter(here)
        path = context.folder(self.whole) / f"data/{unit}.arrow"

        def kept() -> Iterator[pa.RecordBatch]:
            for batch in open_stream(path):
                part = batch.filter(pc.is_in(batch.column("doc_id"), wanted))
                context.progress(len(part), part.nbytes)
                yield part

        return self._written(context, phase, unit, kept())
