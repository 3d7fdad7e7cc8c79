"""How often a decision taken at 1M parameters holds at 60M, by the gap it was taken on.

Source: RegMix's released proxy runs (Liu et al. 2024, arXiv:2407.01492): 256 mixtures of 17 domains
of the Pile, each trained once at 1M and once at 60M parameters. For every pair of mixtures: is the
one with the lower loss at 1M also lower at 60M? Counted by the pair's gap at 1M, on one validation
set (Pile-CC) and on the mean over 13.

Invariant: counts, not fits. Pairs share runs, so 32,640 pairs are worth far fewer, and mixtures of
other domains, budgets or learning rates may transfer worse: odds to show beside a p-value, not
another one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from corpus_builder.store.errors import DataError

Metric = Literal["one corpus", "mean"]


@dataclass(frozen=True)
class TransferOdds:
    """Pairs whose gap at 1M lies in [low, high) nats a token, and those ranked alike at 60M."""

    low: float
    high: float
    pairs: int
    right: int

    @property
    def share(self) -> float:
        """Share of pairs whose order held."""
        return self.right / self.pairs


_EDGES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.3, math.inf)
_COUNTS: dict[Metric, tuple[tuple[int, int], ...]] = {
    "one corpus": (
        (602, 323),
        (580, 378),
        (1649, 1312),
        (2777, 2599),
        (2687, 2665),
        (7341, 7337),
        (17004, 17004),
    ),
    "mean": (
        (668, 358),
        (659, 394),
        (2062, 1360),
        (3256, 2552),
        (3248, 2883),
        (8401, 8276),
        (14346, 14345),
    ),
}

TRANSFER: dict[Metric, tuple[TransferOdds, ...]] = {
    metric: tuple(
        TransferOdds(low, high, *count)
        for low, high, count in zip(_EDGES, _EDGES[1:], counts, strict=False)
    )
    for metric, counts in _COUNTS.items()
}


def transfer_odds(gap_nats: float, metric: Metric = "mean") -> TransferOdds:
    """The row of the table a gap falls in.

    Args:
        gap_nats: difference of two arms' losses in nats a token, of either sign (`gap_in_nats`).
        metric: "one corpus" for one held-out corpus, "mean" for a headline over several, which
            transfers less well at equal gaps.
    Raises:
        DataError: not a finite gap.
    """
    if not math.isfinite(gap_nats):
        raise DataError("trial: transfer odds", f"{gap_nats} is no gap")
    return next(row for row in TRANSFER[metric] if abs(gap_nats) < row.high)


def gap_in_nats(gap_bits_per_byte: float, bytes_per_token: float) -> float:
    """Bits per byte to nats a token: x ln 2 x bytes a token (of the held-out text)."""
    return gap_bits_per_byte * math.log(2) * bytes_per_token
