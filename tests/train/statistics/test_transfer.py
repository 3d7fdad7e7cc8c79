"""The table of transfer odds is the released data's, row by row."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from corpus_builder.store.errors import DataError
from corpus_builder.train.statistics.transfer import TRANSFER, gap_in_nats, transfer_odds


def losses(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pile-CC and mean-of-13 validation loss of each run, in the order of the mixtures."""
    with path.open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row.pop("index")))
    table = np.array([[float(v) for v in row.values()] for row in rows])
    return table[:, list(rows[0]).index("metric/the_pile_pile_cc_val_loss")], table.mean(1)


def test_every_count_is_reproduced_from_the_proxy_runs(shared_data: Path) -> None:
    small = losses(shared_data / "regmix" / "test_pile_loss_1m.csv")
    large = losses(shared_data / "regmix" / "test_pile_loss_60m.csv")
    for metric, x, y in zip(("one corpus", "mean"), small, large, strict=True):
        i, j = np.triu_indices(len(x), 1)
        gap = np.abs(x[i] - x[j])
        held = np.sign(x[i] - x[j]) == np.sign(y[i] - y[j])
        for row in TRANSFER[metric]:
            inside = (gap >= row.low) & (gap < row.high)
            assert (row.pairs, row.right) == (inside.sum(), held[inside].sum())


def test_rows_cover_every_gap_once_and_odds_rise_with_it() -> None:
    for rows in TRANSFER.values():
        assert rows[0].low == 0
        assert rows[-1].high == math.inf
        assert [row.high for row in rows[:-1]] == [row.low for row in rows[1:]]
        shares = [row.share for row in rows]
        assert shares == sorted(shares)
        assert sum(row.pairs for row in rows) == 256 * 255 // 2


def test_a_gap_finds_its_row_by_size_alone() -> None:
    assert transfer_odds(-0.015, "one corpus") == transfer_odds(0.015, "one corpus")
    assert transfer_odds(0.015, "one corpus").share == pytest.approx(378 / 580)
    assert transfer_odds(0.02).low == 0.02
    assert transfer_odds(9.0).high == math.inf
    with pytest.raises(DataError, match="no gap"):
        transfer_odds(math.nan)


def test_bits_per_byte_become_nats_per_token() -> None:
    assert gap_in_nats(0.01, 4.0) == pytest.approx(0.01 * 4 * math.log(2))
