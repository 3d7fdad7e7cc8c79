"""The `language` verb: identify (a tag), then keep what the recipe keeps (a verdict).

Invariant: the model's score is rounded before the verdict reads it, so verdicts are the same on
every machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .base import Context, RowStage, Stage, Work
from .frame import Frame

LANG_SCHEMA = pa.schema([("lang", pa.string()), ("lang_score", pa.float64())])
VERDICT_SCHEMA = pa.schema([("dropped_by", pa.string()), ("value", pa.float64())])


class IdentifyLanguage(RowStage):
    """Adds `lang` and `lang_score` by a fastText model.

    Args:
        model: path of the model file; its content's hash is in `config`, the path is not.
    """

    verb = "language.identify"
    schema = LANG_SCHEMA

    def __init__(
        self, name: str, *, corpus: str, above: Stage, model: Path, model_id: str, library: str,
        characters: int | None,
    ) -> None:  # fmt: skip
        config = {"model": model_id, "fasttext": library, "characters": characters}
        super().__init__(name, corpus=corpus, upstream=(above,), config=config)
        self.model, self.characters = model, characters

    def open(self, context: Context, shard: str) -> Work:
        from ..signals.language import detect

        def identify(frame: Frame) -> tuple[pa.RecordBatch, dict[str, Any]]:
            lang, score = detect(frame.live("text"), self.model, self.characters)
            counts = {
                str(item["values"]): int(item["counts"])
                for item in pc.value_counts(lang).to_pylist()
            }
            columns = [frame.spread(lang.cast(pa.string())), frame.spread(score)]
            batch = pa.RecordBatch.from_arrays(columns, schema=self.schema)
            return batch, {"languages": dict(sorted(counts.items()))}

        return identify

    def apply(self, frame: Frame, sidecar: pa.RecordBatch) -> dict[str, int]:
        frame.columns["lang"] = sidecar.column("lang")
        frame.columns["lang_score"] = sidecar.column("lang_score")
        return {}


class KeepLanguages(RowStage):
    """Drops documents in other languages, or too doubtful.

    Args:
        keep: languages to keep; None keeps all.
        min_score: least score by language, with the key `default` for all others.
    """

    verb = "language.keep"
    schema = VERDICT_SCHEMA
    reads = ()

    def __init__(
        self, name: str, *, corpus: str, above: Stage, keep: list[str] | None,
        min_score: dict[str, float],
    ) -> None:  # fmt: skip
        config = {"keep": sorted(keep) if keep is not None else None, "min_score": min_score}
        super().__init__(name, corpus=corpus, upstream=(above,), config=config)
        self.keep, self.min_score = keep, min_score
        self.stage_name = name.partition(".")[2]

    def open(self, context: Context, shard: str) -> Work:
        return self._verdicts

    def _verdicts(self, frame: Frame) -> tuple[pa.RecordBatch, dict[str, Any]]:
        batch = frame.live_batch(["lang", "lang_score"])
        least = pa.array(
            [
                self.min_score.get(lang, self.min_score["default"])
                for lang in batch.column(0).to_pylist()
            ],
            pa.float64(),
        )
        low = pc.less(batch.column(1), least)
        other = pa.array([False] * len(batch))
        if self.keep is not None:
            other = pc.invert(pc.is_in(batch.column(0), pa.array(self.keep, pa.string())))
        names = [f"{self.stage_name}.other", f"{self.stage_name}.low_score"]
        causes = pc.case_when(pc.make_struct(other, low), *(pa.scalar(name) for name in names))
        causes = causes.cast(pa.string())
        value = pc.if_else(causes.is_valid(), batch.column(1), pa.scalar(None, pa.float64()))
        columns = [frame.spread(causes), frame.spread(value)]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema), {}

    def apply(self, frame: Frame, sidecar: pa.RecordBatch) -> dict[str, int]:
        return frame.drop(sidecar.column("dropped_by"))
