"""Held-out documents: chosen by a hash of the source record, and guarded against leaks.

Phases of the stage: `collect` (one unit a shard: alive documents under the threshold) and `data`
(near-duplicates among them removed, at most `max_documents` a corpus). Invariant: whether a record
is held out depends on its identity and on how many records its source holds, never on a stage; so
every arm of a recipe holds out the same records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..minhash.words import HASH_VERSION
from ..sources.texts import TextFile, read_texts
from ..store.records import UnitRecord
from ..store.tables import FileInfo, read_batches, read_table, write_table
from .base import Context, Phase, RowStage, Stage, Work, data_file
from .frame import Frame
from .keys import HELDOUT_SALT, below, keyed_hash, share_threshold
from .read import doc_id
from .rows import chain_above, frames_of

HELDOUT_SCHEMA = pa.schema(
    [
        ("corpus", pa.string()),
        ("key", pa.uint64()),
        ("doc_id", pa.binary(16)),
        ("url", pa.string()),
        ("text", pa.large_string()),
    ]
)


@dataclass(frozen=True)
class Heldout:
    """The recipe's choice.

    Attributes:
        share: of every corpus' source records, exact.
        max_documents: a corpus.
        threshold, ngram: what counts as a near-duplicate of a held-out document.
    """

    share: Fraction
    max_documents: int
    threshold: float = 0.8
    ngram: int = 5

    @property
    def choice(self) -> dict[str, Any]:
        """What decides who is held out, as plain values."""
        return {"share": str(self.share), "max_documents": self.max_documents}

    def threshold_of(self, candidates: int) -> int:
        """Hash limit for a source of so many records."""
        return share_threshold(self.share, self.max_documents, candidates)

    def limit(self, context: Context, stage: Stage) -> int:
        """Hash limit for the corpus of a row-aligned stage."""
        base = chain_above(stage)[0]
        records = context.records(base)
        return self.threshold_of(sum(record.facts["candidates"] for record in records))


class HeldoutStage(Stage):
    """Gathers the held-out documents of all corpora.

    Args:
        above: the last row-aligned stage of every corpus.
        texts: files of sets of texts that are held out beside them, each under a name.
    """

    verb = "heldout"
    covers_set = True

    def __init__(
        self, name: str, *, above: tuple[Stage, ...], heldout: Heldout,
        texts: Mapping[str, tuple[TextFile, ...]], shards: tuple[str, ...],
    ) -> None:  # fmt: skip
        config = {
            **heldout.choice, "threshold": heldout.threshold, "ngram": heldout.ngram,
            "hash": HASH_VERSION,
            "corpora": [stage.corpus for stage in above],
        }  # fmt: skip
        if texts:
            config["texts"] = {
                name: [[text.file.name, text.sha256, text.column] for text in files]
                for name, files in sorted(texts.items())
            }
        super().__init__(name, corpus=None, upstream=above, config=config, shards=shards)
        self.heldout, self.texts = heldout, texts

    def phases(self, context: Context) -> tuple[Phase, ...]:
        units = tuple(
            f"{stage.corpus}/{shard}"
            for stage in self.upstream
            for shard in context.shard_names(stage.corpus)
        )
        return Phase("collect", units, work=True), Phase("data", ("heldout",))

    def run_unit(self, context: Context, phase: str, unit: str) -> UnitRecord:
        file, facts = (
            self._collect(context, unit) if phase == "collect" else self._choose(context, unit)
        )
        return UnitRecord(
            unit=f"{phase}/{unit}",
            inputs=self.inputs(context, phase, unit),
            rows_in=0,
            rows_out=0,
            lost={},
            facts=facts,
            files=(file,),
        )

    def _collect(self, context: Context, unit: str) -> tuple[FileInfo, dict[str, Any]]:
        corpus, shard = unit.split("/", 1)
        stage = next(part for part in self.upstream if part.corpus == corpus)
        limit = self.heldout.limit(context, stage)

        def batches() -> Iterator[pa.RecordBatch]:
            for frame in frames_of(context, stage, shard, ["text", "url"]):
                keys = keyed_hash(frame.columns["doc_id"], HELDOUT_SALT)
                rows = pa.array(np.flatnonzero(below(keys, limit) & frame.alive))
                columns = [
                    pa.array([corpus] * len(rows), pa.string()),
                    pa.array(keys).take(rows),
                    *(frame.columns[name].take(rows) for name in ("doc_id", "url", "text")),
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=HELDOUT_SCHEMA)

        work = context.folder(self) / "work"
        return write_table(work, f"collect/{unit}.parquet", HELDOUT_SCHEMA, batches()), {}

    def _choose(self, context: Context, unit: str) -> tuple[FileInfo, dict[str, Any]]:
        """Drop near-duplicates among the held out, then cap every corpus.

        Of two alike the one of a user's own texts stays, else that of the first corpus, else the
        lower key.
        """
        from ..minhash.shingles import shingle_hashes
        from ..minhash.verify import verify_component

        work = context.folder(self) / "work"
        names = next(phase.units for phase in self.phases(context) if phase.name == "collect")
        tables = [read_table(work / f"collect/{name}.parquet") for name in names]
        table = pa.concat_tables([HELDOUT_SCHEMA.empty_table(), *tables])
        table = table.sort_by([("corpus", "ascending"), ("key", "ascending")])
        table = pa.concat_tables([self._own_texts(), table]).combine_chunks()
        text = pa.concat_arrays(table.column("text").chunks or [pa.array([], pa.large_string())])
        hashes, offsets = shingle_hashes(text, self.heldout.ngram)
        order = np.arange(len(text))
        found = verify_component(hashes, offsets, order, self.heldout.threshold, 1 << 62)
        facts: dict[str, Any] = {}
        kept: list[int] = []
        for row, corpus in enumerate(table.column("corpus").to_pylist()):
            counts = facts.setdefault(corpus, {"chosen": 0, "duplicates": 0, "over_cap": 0})
            if found.keeper[row] >= 0:
                counts["duplicates"] += 1
            elif corpus not in self.texts and counts["chosen"] >= self.heldout.max_documents:
                counts["over_cap"] += 1
            else:
                counts["chosen"] += 1
                kept.append(row)
        batches = table.take(pa.array(kept, pa.int64())).combine_chunks().to_batches()
        folder = context.folder(self)
        file = write_table(folder, "data/heldout.parquet", HELDOUT_SCHEMA, batches)
        return file, {"heldout": facts}

    def _own_texts(self) -> pa.Table:
        """The texts that come from no corpus, in the order of their files."""
        rows = [
            (
                name,
                doc_id(text.file, row.position, row.ordinal),
                row.url or text.file.name,
                row.text,
            )
            for name, files in sorted(self.texts.items())
            for text in files
            for row in read_texts(text)
        ]
        corpora, ids, urls, texts = zip(*rows, strict=True) if rows else ((), (), (), ())
        doc_ids = pa.array(ids, pa.binary(16))
        keys = pa.array(keyed_hash(doc_ids, HELDOUT_SALT))
        columns = [corpora, keys, doc_ids, urls, texts]
        arrays = [pa.array(c, f.type) for c, f in zip(columns, HELDOUT_SCHEMA, strict=True)]
        return pa.Table.from_arrays(arrays, schema=HELDOUT_SCHEMA)


class GuardStage(RowStage):
    """Keeps held-out records, and what is nearly equal to one, out of training.

    Every document is compared exactly (true Jaccard, no banding) with all held-out documents.
    """

    verb = "guard"
    schema = pa.schema(
        [("dropped_by", pa.string()), ("keeper", pa.binary(16)), ("jaccard", pa.float64())]
    )
    reads = ("text", "doc_id")

    def __init__(self, name: str, *, corpus: str, above: Stage, heldout: HeldoutStage) -> None:
        super().__init__(name, corpus=corpus, upstream=(above, heldout), config={})
        self.heldout, self.stage = heldout.heldout, heldout

    def open(self, context: Context, shard: str) -> Work:
        path = data_file(context.folder(self.stage), "heldout")
        texts = list(read_batches(path, ["doc_id", "text"]))
        table = pa.Table.from_batches(
            texts, pa.schema([HELDOUT_SCHEMA.field("doc_id"), HELDOUT_SCHEMA.field("text")])
        )
        text = pa.concat_arrays([pa.array([], pa.large_string()), *table.column("text").chunks])
        names = pa.concat_arrays([pa.array([], pa.binary(16)), *table.column("doc_id").chunks])
        matcher = _Matcher(text, self.heldout)
        limit = self.heldout.limit(context, self.row_upstream)

        def guard(frame: Frame) -> tuple[pa.RecordBatch, dict[str, Any]]:
            held = below(keyed_hash(frame.live("doc_id"), HELDOUT_SALT), limit)
            best, jaccard = matcher.match(frame.live("text"))
            near = (best >= 0) & ~held
            causes = np.where(held, "heldout.reserved", np.where(near, "heldout.near", ""))
            columns = [
                pa.array(causes, pa.string(), mask=~(held | near)),
                names.take(pa.array(best.astype(np.int64), mask=~near)),
                pa.array(np.round(jaccard, 6), mask=~near),
            ]
            spread = [frame.spread(column) for column in columns]
            return pa.RecordBatch.from_arrays(spread, schema=self.schema), {}

        return guard

    def apply(self, frame: Frame, sidecar: pa.RecordBatch) -> dict[str, int]:
        return frame.drop(sidecar.column("dropped_by"))


class _Matcher:
    """The held-out document that a text resembles most; where a text has no word, an equal one."""

    def __init__(self, texts: pa.Array, heldout: Heldout) -> None:
        from ..minhash.heldout import HeldoutIndex
        from ..minhash.shingles import shingle_hashes

        self._heldout, self._shingles = heldout, shingle_hashes
        hashes, offsets = shingle_hashes(texts, heldout.ngram)
        self._index = HeldoutIndex(hashes, offsets)
        wordless = np.flatnonzero(np.diff(offsets) == 0).tolist()
        self._wordless = {texts[row].as_py(): row for row in reversed(wordless)}

    def match(self, texts: pa.Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """Row of the held-out document or -1, and the similarity, for each text."""
        hashes, offsets = self._shingles(texts, self._heldout.ngram)
        best, jaccard = self._index.match(hashes, offsets, self._heldout.threshold)
        for row in np.flatnonzero(np.diff(offsets) == 0).tolist():
            if (found := self._wordless.get(texts[row].as_py())) is not None:
                best[row], jaccard[row] = found, 1.0
        return best, jaccard
