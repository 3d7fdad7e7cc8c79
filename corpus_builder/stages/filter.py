"""The `filter` verb: rule sets read signals and decide; every rule's share is accounted for.

Invariant: each dropped document keeps the first rule that dropped it with the value it had; the
bit mask of all failed rules stays beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ..rules import RuleSet, evaluate, tally
from .base import Context, RowStage, Stage, Work
from .frame import Frame
from .rows import base_of


class FilterStage(RowStage):
    """Evaluates rule sets on the rows alive at its entry.

    Args:
        rule_sets: in order; the order decides which rule counts as first.
    """

    verb = "filter"
    schema = pa.schema(
        [("dropped_by", pa.string()), ("value", pa.float64()), ("failed", pa.binary())]
    )

    def __init__(
        self, name: str, *, corpus: str, above: Stage, rule_sets: Sequence[RuleSet],
        identity: Sequence[dict[str, Any]],
    ) -> None:  # fmt: skip
        super().__init__(
            name, corpus=corpus, upstream=(above,), config={"rule_sets": list(identity)}
        )
        self.rule_sets = tuple(rule_sets)
        self.signals = sorted({name for part in rule_sets for name in part.signals})
        # Scores of the input stand in the base table; all other signals in sidecars.
        self.reads = tuple(name for name in self.signals if name in base_of(above).scores)

    def open(self, context: Context, shard: str) -> Work:
        return self._verdicts

    def _verdicts(self, frame: Frame) -> tuple[pa.RecordBatch, dict[str, Any]]:
        verdicts = evaluate(self.rule_sets, frame.live_batch(self.signals))
        columns = [
            frame.spread(verdicts.dropped_by.cast(pa.string())),
            frame.spread(verdicts.value),
            frame.spread(verdicts.failed.cast(pa.binary())),
        ]
        rules = {
            name: {"first": part.first, "any": part.any, "only": part.only}
            for name, part in tally(verdicts).items()
        }
        return pa.RecordBatch.from_arrays(columns, schema=self.schema), {"rules": rules}

    def apply(self, frame: Frame, sidecar: pa.RecordBatch) -> dict[str, int]:
        return frame.drop(sidecar.column("dropped_by"))
