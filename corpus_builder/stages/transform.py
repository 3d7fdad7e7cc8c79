"""The `transform` verb: rewrites text and so opens a new text version below it.

Invariant: the text above stays where it is; the sidecar holds the changed rows' new text and null
where nothing changed. A document left without text is dropped with the cause `<stage>.empty`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..transforms import TRANSFORMS
from .base import Context, RowStage, Stage, Work
from .frame import Frame


class TransformStage(RowStage):
    """Applies transforms in order.

    Args:
        transforms: (name, options) in order; options are an instance of the transform's class.
        identity: the same as plain values.
    """

    verb = "transform"
    schema = pa.schema([("text", pa.large_string()), ("dropped_by", pa.string())])

    def __init__(
        self, name: str, *, corpus: str, above: Stage, transforms: Sequence[tuple[str, Any]],
        identity: Sequence[dict[str, Any]],
    ) -> None:  # fmt: skip
        versions = {part: TRANSFORMS[part].version for part, _ in transforms}
        config = {
            "transforms": list(identity),
            "versions": versions,
            "unicode": unicodedata.unidata_version,
        }
        super().__init__(name, corpus=corpus, upstream=(above,), config=config)
        self.transforms = list(transforms)
        self.cause = f"{name.partition('.')[2]}.empty"

    def open(self, context: Context, shard: str) -> Work:
        return self._transform

    def _transform(self, frame: Frame) -> tuple[pa.RecordBatch, dict[str, Any]]:
        before = frame.live("text")
        text, removed = before, {}
        for name, options in self.transforms:
            result = TRANSFORMS[name].apply(text, options)
            text = result.texts
            removed[name] = {key: int(count) for key, count in result.counts.items()}
        changed = pc.not_equal(text, before)
        empty = pc.and_(changed, pc.equal(pc.utf8_length(text), 0))
        causes = pc.if_else(empty, pa.scalar(self.cause), pa.scalar(None, pa.string()))
        new = pc.if_else(changed, text, pa.scalar(None, pa.large_string()))
        batch = pa.RecordBatch.from_arrays(
            [frame.spread(new), frame.spread(causes)], schema=self.schema
        )
        facts = {"changed": int(pc.sum(changed).as_py() or 0), "removed": removed}
        return batch, facts

    def apply(self, frame: Frame, sidecar: pa.RecordBatch) -> dict[str, int]:
        if "text" in frame.columns:
            frame.columns["text"] = pc.coalesce(sidecar.column("text"), frame.columns["text"])
        return frame.drop(sidecar.column("dropped_by"))
