"""Documents out: the kept text of a corpus as Parquet with its provenance, one of the products.

Invariant: exactly the rows alive after the last stage, in base order, with the newest text version.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ..store.records import UnitRecord, combine_digests
from ..store.tables import TableWriter
from .base import Context, Phase, Stage
from .read import BASE_SCHEMA
from .rows import frames_of


class DocumentsStage(Stage):
    """Writes the documents of one corpus, a file a shard.

    Args:
        columns: signals to carry along, name -> Arrow type.
    """

    verb = "documents"

    def __init__(
        self, name: str, *, corpus: str, above: Stage, columns: Sequence[tuple[str, pa.DataType]]
    ) -> None:
        config = {"columns": [signal for signal, _ in columns]}
        super().__init__(name, corpus=corpus, upstream=(above,), config=config)
        extra = [pa.field(signal, kind) for signal, kind in columns]
        self.schema = pa.schema([*BASE_SCHEMA, *extra])

    def phases(self, context: Context) -> tuple[Phase, ...]:
        return (Phase("data", context.shard_names(self.corpus)),)

    def inputs(self, context: Context, phase: str, unit: str) -> str:
        return combine_digests([context.digest(self.upstream[0], "data", unit)])

    def run_unit(self, context: Context, phase: str, unit: str) -> UnitRecord:
        text_bytes = 0
        with TableWriter(context.folder(self), f"data/{unit}.parquet", self.schema) as writer:
            for batch in self._batches(context, unit):
                writer.write(batch)
                text_bytes += int(pc.sum(pc.binary_length(batch.column("text"))).as_py())
                context.progress(len(batch), batch.nbytes)
            file = writer.close()
        return UnitRecord(
            unit=f"data/{unit}",
            inputs=self.inputs(context, phase, unit),
            rows_in=file.rows,
            rows_out=file.rows,
            lost={},
            facts={"documents": file.rows, "text_bytes": text_bytes},
            files=(file,),
        )

    def _batches(self, context: Context, unit: str) -> Iterator[pa.RecordBatch]:
        for frame in frames_of(context, self.upstream[0], unit, self.schema.names):
            if frame.n_alive:
                columns = [frame.live(name) for name in self.schema.names]
                yield pa.RecordBatch.from_arrays(columns, schema=self.schema)
