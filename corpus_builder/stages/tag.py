"""Tagging: signal families computed over the alive rows, one sidecar for all of a stage's families.

Invariant: a tag only adds columns; it is keyed by the families' versions, so changing a rule's
threshold never recomputes a signal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ..signals import FAMILIES
from .base import Context, RowStage, Stage, Work
from .frame import Frame

ARROW_TYPES = {
    "int64": pa.int64(),
    "float64": pa.float64(),
    "string": pa.string(),
    "bool": pa.bool_(),
}


class TagStage(RowStage):
    """Computes signal families on the newest text version above it.

    Args:
        families: names of families.
    """

    verb = "tag"

    def __init__(self, name: str, *, corpus: str, above: Stage, families: Sequence[str]) -> None:
        self.families = sorted(families)
        versions = {family: FAMILIES[family].version for family in self.families}
        # What is a letter or white space follows Python's Unicode tables.
        config = {"families": versions, "unicode": unicodedata.unidata_version}
        super().__init__(name, corpus=corpus, upstream=(above,), config=config)
        self.schema = pa.schema(
            [
                (signal.name, ARROW_TYPES[signal.type])
                for family in self.families
                for signal in FAMILIES[family].adds
            ]
        )

    def open(self, context: Context, shard: str) -> Work:
        computes = [FAMILIES[family].compute for family in self.families]

        def tag(frame: Frame) -> tuple[pa.RecordBatch, dict[str, Any]]:
            text = frame.live("text")
            columns: dict[str, pa.Array] = {}
            for compute in computes:
                batch = compute(text)
                columns.update(zip(batch.schema.names, batch.columns, strict=True))
            arrays = [frame.spread(columns[name].cast(kind)) for name, kind in self._fields()]
            return pa.RecordBatch.from_arrays(arrays, schema=self.schema), {}

        return tag

    def _fields(self) -> list[tuple[str, pa.DataType]]:
        return [(field.name, field.type) for field in self.schema]

    def apply(self, frame: Frame, sidecar: pa.RecordBatch) -> dict[str, int]:
        frame.columns.update(zip(sidecar.schema.names, sidecar.columns, strict=True))
        return {}
