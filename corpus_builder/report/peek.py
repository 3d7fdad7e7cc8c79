"""Peek: single documents with their fate, from any point of a run.

Invariant: reads sealed stages only; a document is shown with the verdict on record, never with one
computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..stages.base import Context, RowStage, Stage, data_file
from ..stages.frame import Frame
from ..stages.read import LOST_SCHEMA, BaseStage
from ..stages.rows import chain_above, frames_of
from ..store.manifest import StageManifest
from ..store.tables import read_batches


@dataclass(frozen=True)
class Seen:
    """One document or lost record.

    Attributes:
        fate: `kept`, or the cause it was dropped by.
        detail: the value that dropped it, the keeper and Jaccard, or the loss's detail.
    """

    corpus: str
    url: str
    doc_id: str
    fate: str
    detail: str
    text: str


def causes(manifests: Sequence[StageManifest]) -> list[str]:
    """All causes that anything was lost to."""
    return sorted({cause for manifest in manifests for cause in manifest.counts.lost})


def same_cause(found: str, asked: str) -> bool:
    """Whether a cause is the one asked for: in full, or without the stage's name."""
    return found == asked or found.endswith(f".{asked}")


def dropped(context: Context, stages: Sequence[Stage], cause: str) -> Iterator[Seen]:
    """Documents and records lost by a cause, in order."""
    for stage in stages:
        if isinstance(stage, BaseStage):
            yield from _lost(context, stage, lambda row: bool(row["cause"] == cause))
        elif isinstance(stage, RowStage) and "dropped_by" in stage.schema.names:
            for shard in context.shard_names(stage.corpus):
                yield from _dropped_in(context, stage, shard, cause)


def kept(context: Context, stages: Sequence[Stage]) -> Iterator[Seen]:
    """Documents that are in the corpus, in order."""
    for stage in stages:
        if stage.verb == "documents":
            for shard in context.shard_names(stage.corpus):
                columns = ["doc_id", "url", "text"]
                for batch in read_batches(data_file(context.folder(stage), shard), columns):
                    for row in batch.to_pylist():
                        identity = row["doc_id"].hex()
                        yield Seen(
                            stage.corpus or "", row["url"], identity, "kept", "", row["text"]
                        )


def fates(context: Context, stages: Sequence[Stage], document: str) -> Iterator[Seen]:
    """What became of a document or record, by doc_id (hex) or URL."""
    for base in stages:
        if not isinstance(base, BaseStage):
            continue
        rows = [
            stage for stage in stages if isinstance(stage, RowStage) and stage.corpus == base.corpus
        ]
        last = max(rows, key=lambda stage: len(chain_above(stage)), default=base)
        for shard in context.shard_names(base.corpus):
            yield from _fates_in(context, last, shard, document)
        yield from _lost(context, base, lambda row: bool(row["url"] == document))


def _fates_in(context: Context, last: Stage, shard: str, document: str) -> Iterator[Seen]:
    chain = chain_above(last)
    base = data_file(context.folder(chain[0]), shard)
    for number, batch in enumerate(read_batches(base, ["doc_id", "url", "text"])):
        pairs = zip(
            batch.column("doc_id").to_pylist(), batch.column("url").to_pylist(), strict=True
        )
        for row, (identity, url) in enumerate(pairs):
            if document in (identity.hex(), url):
                fate, detail = _fate(context, chain[1:], shard, number, row)
                text = batch.column("text")[row].as_py()
                yield Seen(last.corpus or "", url, identity.hex(), fate, detail, text)


def _fate(
    context: Context, chain: Sequence[Stage], shard: str, number: int, row: int
) -> tuple[str, str]:
    """The first verdict against a row, or `kept`."""
    for stage in chain:
        if isinstance(stage, RowStage) and "dropped_by" in stage.schema.names:
            batches = read_batches(data_file(context.folder(stage), shard))
            verdict = next(islice(batches, number, None)).slice(row, 1).to_pylist()[0]
            if verdict["dropped_by"]:
                return str(verdict["dropped_by"]), _detail(verdict)
    return "kept", ""


def _lost(
    context: Context, stage: BaseStage, wanted: Callable[[dict[str, Any]], bool]
) -> Iterator[Seen]:
    for shard in context.shard_names(stage.corpus):
        path = context.folder(stage) / "lost" / f"{shard}.parquet"
        for batch in read_batches(path, LOST_SCHEMA.names):
            for row in batch.to_pylist():
                if wanted(row):
                    where = f"{row['detail']} (record at {row['position']})".strip()
                    yield Seen(stage.corpus or "", row["url"], "", row["cause"], where, "")


def _dropped_in(context: Context, stage: RowStage, shard: str, cause: str) -> Iterator[Seen]:
    above = stage.row_upstream
    verdicts = read_batches(data_file(context.folder(stage), shard))
    frames: Iterator[Frame] | None = None
    for number, batch in enumerate(verdicts):
        causes = batch.column("dropped_by").to_pylist()
        rows = [row for row, found in enumerate(causes) if found and same_cause(found, cause)]
        if not rows:
            continue
        # Text is read only where a row matches; a fresh pass up to this batch is cheap to find.
        frames = frames_of(context, above, shard, ["text", "url"])
        frame = next(frame for place, frame in enumerate(frames) if place == number)
        for row in rows:
            yield Seen(
                stage.corpus or "",
                frame.columns["url"][row].as_py(),
                frame.columns["doc_id"][row].as_py().hex(),
                causes[row],
                _detail(batch.slice(row, 1).to_pylist()[0]),
                frame.columns["text"][row].as_py(),
            )


def _detail(verdict: dict[str, object]) -> str:
    if isinstance(verdict.get("keeper"), bytes):
        keeper = verdict["keeper"]
        return (
            f"Jaccard {verdict['jaccard']} with {keeper.hex() if isinstance(keeper, bytes) else ''}"
        )
    value = verdict.get("value")
    return f"value {value:g}" if isinstance(value, float) else ""
