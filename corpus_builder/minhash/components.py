"""Connected components of documents over candidate edges.

Invariant: the root of a component is its smallest index, whatever the order of the edges.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
from numba import njit

_EDGES_IN = nb.types.Array(nb.int64, 1, "C", readonly=True)
_NARROW_LIMIT = 1 << 32


@njit([nb.int64(nb.uint32[::1], nb.int64), nb.int64(nb.int64[::1], nb.int64)], cache=True)
def _find(parent: npt.NDArray[np.integer[Any]], x: int) -> int:
    """Root of x, halving the path to it."""
    while int(parent[x]) != x:
        parent[x] = parent[parent[x]]
        x = int(parent[x])
    return x


@njit(
    [
        nb.int64(nb.uint32[::1], _EDGES_IN, _EDGES_IN),
        nb.int64(nb.int64[::1], _EDGES_IN, _EDGES_IN),
    ],
    cache=True,
)
def _union(
    parent: npt.NDArray[np.integer[Any]], a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]
) -> int:
    joined = 0
    for i in range(len(a)):
        x, y = _find(parent, a[i]), _find(parent, b[i])
        if x != y:
            parent[max(x, y)] = min(x, y)
            joined += 1
    return joined


@njit([nb.void(nb.uint32[::1]), nb.void(nb.int64[::1])], cache=True)
def _flatten(parent: npt.NDArray[np.integer[Any]]) -> None:
    """Point every document at its root; a parent is never above its child."""
    for x in range(len(parent)):
        parent[x] = parent[parent[x]]


class Components:
    """Union-find over documents 0..n-1, 4 bytes each (8 from 2**32 documents on)."""

    def __init__(self, n: int) -> None:
        dtype = np.uint32 if n <= _NARROW_LIMIT else np.int64
        self._parent: npt.NDArray[Any] = np.arange(n, dtype=dtype)

    def union(self, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> int:
        """Join the components of a[i] and b[i] for every i; return how many joins were new.

        Raises:
            IndexError: an index is not a document's.
            ValueError: `a` and `b` differ in length.
        """
        a, b = np.ascontiguousarray(a, np.int64), np.ascontiguousarray(b, np.int64)
        if len(a) != len(b):
            raise ValueError(f"{len(a)} indices joined with {len(b)}")
        if len(a) and not (0 <= min(a.min(), b.min()) <= max(a.max(), b.max()) < len(self._parent)):
            raise IndexError(f"an edge leaves the {len(self._parent)} documents")
        return int(_union(self._parent, a, b))

    def roots(self) -> npt.NDArray[np.integer[Any]]:
        """The smallest index in each document's component: uint32[n] (int64 for a large n).

        A read-only view, valid until the next `union`.
        """
        _flatten(self._parent)
        view = self._parent.view()
        view.flags.writeable = False
        return view
