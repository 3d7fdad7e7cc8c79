"""Pairing arms whose documents differ: what they share with the base they read in its places.

A sequence is known by the document at its middle and how far into it that is: deduplication and
filters shift what follows in a block, but most of such a sequence stays. Invariant: an arm reads
every sequence of its own as often as without this, in an order that is as random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..mixing.alignment import ALIGNMENT_VERSION, aligned
from ..mixing.order import Order
from ..store.tables import read_table

PLACE = np.dtype([("document", "V16"), ("chunk", "<i8")])
PLACE_BYTES = np.dtype(f"V{PLACE.itemsize}")
"""A place as bytes: these compare in one go, fields one by one."""

Places = npt.NDArray[np.void]


@dataclass(frozen=True)
class PlacesFile:
    """Where the documents of one file of a token store lie, and how many sequences it has."""

    path: Path
    sequences: int


def places_of(files: Sequence[PlacesFile], length: int) -> Places:
    """The place of every sequence of a store: `PLACE[sequences]`, no two alike."""
    parts = [_places(file, length) for file in files]
    return np.concatenate([np.empty(0, PLACE), *parts])


def _places(file: PlacesFile, length: int) -> Places:
    table = read_table(file.path, ["doc_id", "first_sequence", "first_token", "tokens"])
    starts = table.column("first_sequence").to_numpy() * length
    starts = starts + table.column("first_token").to_numpy()
    filled = table.column("tokens").to_numpy() > 0
    starts = starts[filled]
    ids = np.array(table.column("doc_id").to_pylist(), "V16")[filled]
    middles = np.arange(file.sequences, dtype=np.int64) * length + length // 2
    at = np.searchsorted(starts, middles, side="right") - 1
    found = np.empty(file.sequences, PLACE)
    found["document"], found["chunk"] = ids[at], (middles - starts[at]) // length
    return found


def matches(base: Places, arm: Places) -> npt.NDArray[np.int64]:
    """Of each of the base's sequences the arm's last one at the same place, or -1: `int64[base]`.

    Sorts, as a dictionary of places takes several times their memory.
    """
    if not len(arm):
        return np.full(len(base), -1, np.int64)
    wanted, known = base.view(PLACE_BYTES), arm.view(PLACE_BYTES)
    order = np.argsort(known, kind="stable")
    known = known[order]
    at = np.maximum(np.searchsorted(known, wanted, side="right") - 1, 0)
    return np.where(known[at] == wanted, order[at], -1)


@dataclass(frozen=True)
class Alignment:
    """How an arm's order over one corpus follows the base's; made again where it is needed.

    Attributes:
        contents: digests of the base's and the arm's token store.
        length: tokens in a sequence.
    """

    name: str
    order: Order
    base: Order
    files: tuple[PlacesFile, ...]
    base_files: tuple[PlacesFile, ...]
    contents: tuple[str, str]
    length: int
    _labels: dict[int, npt.NDArray[np.int64]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def __reduce__(self) -> tuple[object, ...]:
        """Travel to workers as paths and numbers."""
        return Alignment, (
            self.name, self.order, self.base, self.files, self.base_files, self.contents,
            self.length,
        )  # fmt: skip

    @property
    def identity(self) -> list[object]:
        """All that decides it."""
        return [ALIGNMENT_VERSION, self.name, *self.contents, self.base.seed]

    @cached_property
    def match(self) -> npt.NDArray[np.int64]:
        """Of each of the base's sequences the arm's, or -1."""
        base, arm = (places_of(part, self.length) for part in (self.base_files, self.files))
        return matches(base, arm)

    def labels(self, epoch: int) -> npt.NDArray[np.int64]:
        """The sequence to read where the arm's plain order says i: `int64[sequences]`."""
        if epoch not in self._labels:
            plain = self.order.permutation(self.name, epoch)
            base = self.base.permutation(self.name, epoch)
            wanted = aligned(base, self.match, len(plain), self.base.seed + epoch, self.name)
            labels = np.empty(len(plain), np.int64)
            labels[plain] = wanted
            self._labels[epoch] = labels
        return self._labels[epoch]


def read_alike(
    order: Order,
    base: Order,
    contents: Mapping[str, str],
    base_contents: Mapping[str, str],
    alignments: Mapping[str, Alignment],
) -> float:
    """Share of slots in which an arm reads the base's sequence, or the one in its place."""
    ours, theirs = order.sequences(), base.sequences()
    alike = 0
    for number, name in enumerate(order.names):
        if name not in base.names:
            continue
        both = (ours.corpus == number) & (theirs.corpus == base.names.index(name))
        mine, its, epochs = ours.index[both], theirs.index[both], ours.epoch[both]
        if name in alignments:
            found = alignments[name]
            for epoch in np.unique(epochs).tolist():
                here = epochs == epoch
                alike += int((found.labels(epoch)[mine[here]] == found.match[its[here]]).sum())
        elif contents.get(name) == base_contents.get(name):
            alike += int((mine == its).sum())
    return alike / len(order)
