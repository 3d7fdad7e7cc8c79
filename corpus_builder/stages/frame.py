"""A frame: one batch of a shard on its way through the fused row-local stages.

Invariant: columns keep all rows of the base batch; `alive` says which still count. A null in a
signal column of a dead row means "not computed", never False.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class Frame:
    """Columns and the alive mask of one batch.

    Args:
        columns: name -> array, all of one length.
        rows: that length.
    """

    def __init__(self, columns: dict[str, pa.Array], rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.alive = np.ones(rows, dtype=bool)

    @property
    def n_alive(self) -> int:
        """Rows that still count."""
        return int(np.count_nonzero(self.alive))

    def live(self, name: str) -> pa.Array:
        """A column's alive rows only."""
        column = self.columns[name]
        return column if self.alive.all() else column.filter(pa.array(self.alive))

    def live_batch(self, names: Sequence[str]) -> pa.RecordBatch:
        """Several columns' alive rows only."""
        return pa.RecordBatch.from_arrays([self.live(name) for name in names], list(names))

    def spread(self, values: pa.Array) -> pa.Array:
        """Give values of the alive rows back their places; dead rows become null."""
        if self.alive.all():
            return values
        places = np.cumsum(self.alive) - 1
        return values.take(pa.array(places, pa.int64(), mask=~self.alive))

    def drop(self, dropped_by: pa.Array) -> dict[str, int]:
        """Rows with a cause stop counting; returns how many by cause."""
        causes = dropped_by.drop_null()
        if not len(causes):
            return {}
        self.alive &= dropped_by.is_null().to_numpy(zero_copy_only=False)
        tally = pc.value_counts(causes.cast(pa.string()))
        return dict(
            Counter({str(item["values"]): int(item["counts"]) for item in tally.to_pylist()})
        )
