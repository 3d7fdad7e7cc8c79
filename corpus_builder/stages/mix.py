"""The mix: an exact order of sequences over the corpora's token stores, and its Arrow shards.

Invariant: the order is a pure function of the numbers in the manifest; the shards hold those
sequences in that order; a corpus too short for its weight is refused before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..mixing import ORDER_VERSION
from ..mixing.allocation import Allocation, OnShort, Phase, account, allocate_phases
from ..mixing.buckets import groups_of, part_name, part_weights
from ..mixing.weights import proportional, temperature, unimax
from ..store.arrow_streams import SequenceFiles, StreamWriter
from ..store.atomic import json_bytes, sha256_file, write_bytes
from ..store.records import UnitRecord
from ..store.tables import FileInfo
from .base import Context, Stage
from .base import Phase as Units
from .buckets import BucketStage
from .drawn import drawn
from .tokens import STREAM_ROWS, TokensStage, token_type

if TYPE_CHECKING:
    from ..mixing.order import Order

SHARD_BYTES = 64 << 20


@dataclass(frozen=True)
class MixConfig:
    """What the recipe asks of the mix; all numbers that decide are exact fractions.

    Attributes:
        steps: (until, weights by corpus) in order, until rising to 1; empty with a sampler.
        sampler: `proportional`, `unimax`, or the temperature; None with steps.
        max_epochs: of every part: a corpus, or a bucket of one.
        times: of every part that is a bucket, how often it is read, relative to the others of its
            corpus; above 0.
    """

    tokens: int
    sequence_length: int
    steps: tuple[tuple[Fraction, Mapping[str, Fraction]], ...]
    sampler: str | Fraction | None
    max_epochs: Mapping[str, Fraction]
    on_short: OnShort
    seed: int
    times: Mapping[str, Fraction] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """Plain values for the fingerprint."""
        buckets = {"times": _plain(self.times)} if self.times else {}
        return {
            "tokens": self.tokens,
            "sequence_length": self.sequence_length,
            "steps": [{"until": str(until), "weights": _plain(w)} for until, w in self.steps],
            "sampler": str(self.sampler) if self.sampler is not None else None,
            "max_epochs": _plain(self.max_epochs),
            "on_short": self.on_short,
            "seed": self.seed,
            "order_version": ORDER_VERSION,
            **buckets,
        }

    def phases(self, available: Mapping[str, int]) -> list[Phase]:
        """The stretches of the mix over parts that hold so many sequences."""
        steps = self.steps or ((Fraction(1), self._sampled(available)),)
        return [Phase(until, self._parts(weights, available)) for until, weights in steps]

    def _sampled(self, available: Mapping[str, int]) -> Mapping[str, Fraction]:
        """Weights by corpus, from how many sequences are there."""
        sizes = {
            corpus: sum(available[part] for part in parts)
            for corpus, parts in groups_of(available).items()
        }
        if self.sampler == "proportional":
            return proportional(sizes)
        if isinstance(self.sampler, Fraction):
            return temperature(sizes, self.sampler)
        budget = self.tokens // self.sequence_length
        return unimax(sizes, budget, min(self.max_epochs.values()))

    def _parts(
        self, weights: Mapping[str, Fraction], available: Mapping[str, int]
    ) -> dict[str, Fraction]:
        found: dict[str, Fraction] = {}
        for corpus, parts in groups_of(available).items():
            times = {part: self.times.get(part, Fraction(1)) for part in parts}
            found |= part_weights(weights.get(corpus, Fraction(0)), available, times)
        return found


def _plain(numbers: Mapping[str, Fraction]) -> dict[str, str]:
    return {name: str(number) for name, number in sorted(numbers.items())}


class MixStage(Stage):
    """Materialises the mix as Arrow stream shards that `datasets.load_from_disk` opens.

    Args:
        stores: the token stores, one a corpus with a weight, or one a bucket that is read.
    """

    verb = "mix"
    version = 2

    def __init__(self, name: str, *, stores: tuple[TokensStage, ...], config: MixConfig) -> None:
        super().__init__(name, corpus=None, upstream=stores, config=config.identity())
        self.mix, self.stores = config, {stage.encode.part: stage for stage in stores}

    def available(self, context: Context) -> dict[str, int]:
        """Sequences each part holds."""
        return {
            corpus: sum(record.facts["sequences"] for record in context.records(stage))
            for corpus, stage in self.stores.items()
        }

    def allocation(self, context: Context) -> tuple[Allocation, ...]:
        """Whole sequences per part.

        Raises:
            DataError: a part is too short for its weight.
        """
        available = self.available(context)
        return allocate_phases(
            available,
            self.mix.phases(available),
            tokens=self.mix.tokens,
            sequence_length=self.mix.sequence_length,
            max_epochs=self.mix.max_epochs,
            on_short=self.mix.on_short,
        )

    def order(self, context: Context) -> Order:
        """The order of the mix."""
        from ..mixing.order import order_of

        return order_of(self.allocation(context), self.mix.seed)

    def phases(self, context: Context) -> tuple[Units, ...]:
        total = sum(part.sequences for part in self.allocation(context))
        per_shard = self._per_shard(context)
        shards = max(1, -(-total // per_shard))
        names = tuple(f"data-{number:05d}-of-{shards:05d}" for number in range(shards))
        return Units("data", names), Units("dataset", ("dataset",))

    def _per_shard(self, context: Context) -> int:
        width: int = self._type(context).bit_width // 8 * self.mix.sequence_length
        return max(STREAM_ROWS, SHARD_BYTES // width // STREAM_ROWS * STREAM_ROWS)

    def _type(self, context: Context) -> pa.DataType:
        store = next(iter(self.stores.values()))
        return token_type(store.encode.vocabulary(context)[0])

    def run_unit(self, context: Context, phase: str, unit: str) -> UnitRecord:
        facts: dict[str, Any]
        if phase == "data":
            rows, files = self._shard(context, unit)
            facts = {"sequences": rows, "tokens": rows * self.mix.sequence_length}
        else:
            rows, files, order = 0, self._dataset(context), self.order(context)
            facts = {
                "stream": order.fingerprint(), "drawn": drawn(context, order, self.stores),
            }  # fmt: skip
        return UnitRecord(
            unit=f"{phase}/{unit}",
            inputs=self.inputs(context, phase, unit),
            rows_in=rows,
            rows_out=rows,
            lost={},
            facts=facts,
            files=files,
        )

    def _shard(self, context: Context, unit: str) -> tuple[int, tuple[FileInfo, ...]]:
        order = self.order(context)
        number, per_shard = int(unit.split("-")[1]), self._per_shard(context)
        start, stop = number * per_shard, min(len(order), (number + 1) * per_shard)
        readers = {
            corpus: SequenceFiles(
                [context.folder(stage) / record.files[0].path for record in context.records(stage)]
            )
            for corpus, stage in self.stores.items()
        }
        length, kind = self.mix.sequence_length, self._type(context)
        schema = pa.schema([("input_ids", pa.list_(kind, length))])
        folder = context.folder(self)
        with StreamWriter(folder, f"data/{unit}.arrow", schema, STREAM_ROWS) as writer:
            for first in range(start, stop, STREAM_ROWS):
                part = order.sequences(first, min(stop, first + STREAM_ROWS))
                rows = np.empty((len(part.corpus), length), kind.to_pandas_dtype())
                for place, corpus in enumerate(order.names):
                    here = part.corpus == place
                    if here.any():
                        rows[here] = readers[corpus].take(part.index[here])
                ids = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), length)
                writer.write(pa.RecordBatch.from_arrays([ids], schema=schema))
                context.progress(len(rows), rows.nbytes)
            file = writer.close()
        return file.rows, (file,)

    def _dataset(self, context: Context) -> tuple[FileInfo, ...]:
        """`state.json` and `dataset_info.json`: what makes `data/` a Hugging Face dataset."""
        shards = context.records(self)
        kind = {"dtype": str(self._type(context)), "_type": "Value"}
        feature = {"feature": kind, "length": self.mix.sequence_length, "_type": "List"}
        state: dict[str, Any] = {
            "_data_files": [{"filename": record.files[0].path.split("/")[1]} for record in shards],
            "_fingerprint": self.fingerprint[:16],
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": "train",
        }
        info = {"features": {"input_ids": feature}}
        return tuple(
            _write(context, self, f"data/{name}.json", content)
            for name, content in (("dataset_info", info), ("state", state))
        )

    def facts(self, context: Context, records: Any) -> dict[str, Any]:
        """The mix's accounts: per part what was asked and realised, epochs, effective tokens."""
        of_parts = context.record(self, "dataset", "dataset").facts["drawn"]
        corpora = {
            part.name: account(part) | of_parts[part.name] | self._made_of(context, part.name)
            for part in self.allocation(context)
        }
        return {"corpora": corpora, **self._bucket_facts(context)}

    def _made_of(self, context: Context, part: str) -> dict[str, int]:
        """Documents and bytes of text that a part's sequences are made of, drawn or not."""
        records = context.records(self.stores[part])
        return {
            f"available_{name}": sum(record.facts[name] for record in records)
            for name in ("documents", "text_bytes")
        }

    def _bucket_facts(self, context: Context) -> dict[str, Any]:
        """By corpus: the signal, the edges, and of every bucket its documents and its rate."""
        found: dict[str, Any] = {}
        for store in self.stores.values():
            if isinstance(store.encode, BucketStage):
                cut = store.encode.buckets
                facts = cut.facts_of(context)
                parts = (part_name(str(store.corpus), int(n)) for n in facts["documents"])
                times = [float(self.mix.times.get(part, 0)) for part in parts]
                found[str(store.corpus)] = {"by": cut.cut.by, **facts, "times": times}
        return {"buckets": found} if found else {}


def _write(context: Context, stage: Stage, path: str, content: Any) -> FileInfo:
    target = context.folder(stage) / path
    write_bytes(target, json_bytes(content))
    sha = sha256_file(target)
    return FileInfo(path, target.stat().st_size, 0, sha, sha)
