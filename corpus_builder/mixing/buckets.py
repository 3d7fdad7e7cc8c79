"""Buckets: a corpus cut at edges of a signal into parts of the mix that are read at unequal rates.

Invariant: the corpus keeps its weight exactly; within it, a part's share is in proportion to its
sequences times its rate. Edges from quantiles are values that documents have, found exactly, in
constant memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Chunks = Callable[[], Iterable[Float64]]

_DIGIT = 16
_SIGN = np.uint64(1 << 63)


def part_name(corpus: str, bucket: int) -> str:
    """Name of a bucket in the mix, such as `web.b2`; no corpus can be called that."""
    return f"{corpus}.b{bucket}"


def corpus_of(part: str) -> str:
    """The corpus of a part of the mix: of a bucket, or the part itself."""
    return part.partition(".")[0]


def groups_of(parts: Iterable[str]) -> dict[str, list[str]]:
    """Parts by corpus."""
    found: dict[str, list[str]] = {}
    for part in parts:
        found.setdefault(corpus_of(part), []).append(part)
    return found


def part_weights(
    weight: Fraction, available: Mapping[str, int], times: Mapping[str, Fraction]
) -> dict[str, Fraction]:
    """A corpus' weight over its parts: in proportion to sequences times rate.

    So at any budget a sequence of one part is read times[a] / times[b] as often as one of another.
    Parts that hold nothing at all share by rate alone: the weight never vanishes here.
    """
    rates = {part: available[part] * times[part] for part in times}
    whole = sum(rates.values(), Fraction(0))
    if whole == 0:
        rates, whole = dict(times), sum(times.values(), Fraction(0))
    return {part: weight * rate / whole for part, rate in rates.items()}


def bucket_of(values: Float64, edges: Sequence[float], null: int = -1) -> NDArray[np.int64]:
    """The bucket of every value: how many edges are at most as large; `null` for NaN."""
    found = np.searchsorted(np.array(edges, np.float64), values, side="right").astype(np.int64)
    found[np.isnan(values)] = null
    return found


def quantile_edges(values: Chunks, quantiles: Sequence[Fraction]) -> list[float]:
    """For each quantile q of n values, the value at place floor(q n) in ascending order, from 0.

    At most a share q of the values lies below the edge: less only where values equal it.

    Args:
        values: gives all values in chunks, as often as it is called; NaN is left out.
        quantiles: within 0 and 1.

    Returns:
        The edges; empty where there is no value.
    """
    n = sum(int(np.count_nonzero(~np.isnan(chunk))) for chunk in values())
    return _at_places(values, [math.floor(q * n) for q in quantiles]) if n else []


def _at_places(values: Chunks, places: Sequence[int]) -> list[float]:
    """Values at places of the ascending order, by four passes of 16 bits each."""
    known, left = [0] * len(places), list(places)
    for shift in range(64 - _DIGIT, -1, -_DIGIT):
        counts = {prefix: np.zeros(1 << _DIGIT, np.int64) for prefix in known}
        for chunk in values():
            keys = _sortable(chunk[~np.isnan(chunk)])
            above = keys >> np.uint64(shift)
            digits = (above & np.uint64((1 << _DIGIT) - 1)).astype(np.int64)
            for prefix, count in counts.items():
                here = digits[above >> np.uint64(_DIGIT) == np.uint64(prefix)]
                count += np.bincount(here, minlength=1 << _DIGIT)
        for number, prefix in enumerate(known):
            ends = np.cumsum(counts[prefix])
            digit = int(np.searchsorted(ends, left[number], side="right"))
            left[number] -= int(ends[digit - 1]) if digit else 0
            known[number] = prefix << _DIGIT | digit
    return [float(value) for value in _values(np.array(known, np.uint64))]


def _sortable(values: Float64) -> NDArray[np.uint64]:
    """Integers in the order of the values (-0.0 right below 0.0, which makes no difference)."""
    bits = values.view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _values(keys: NDArray[np.uint64]) -> Float64:
    return np.where(keys & _SIGN, keys ^ _SIGN, ~keys).view(np.float64)
