"""The order of a mix: slot -> (corpus, epoch, index of the sequence in its corpus).

Invariants: the order is a pure function of the numbers in `Order`, at every slot alone, in any
chunks, on every platform. A corpus runs through epoch k completely before epoch k + 1, each epoch
in its own keyed permutation; all its sequences are used floor(e) or ceil(e) times.
ORDER_VERSION names this function and is part of every key: a change of order must change it.

An order may be nested in a `base` of the same length (an arm in its recipe). Then only the fewest
slots change corpus, and a corpus that both orders together do not have to repeat keeps the very
same sequence in every slot it keeps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus_builder.mixing import ORDER_VERSION
from corpus_builder.mixing.allocation import Allocation
from corpus_builder.mixing.permutation import derive_key, shuffle_uses
from corpus_builder.mixing.slots import (
    MAX_CORPORA,
    MAX_SLOTS,
    Slots,
    nest,
    number_uses,
    spread,
    tally,
)
from corpus_builder.store.errors import DataError, RecipeError

_EVERY = 4096  # slots between checkpoints: 24 bytes a corpus each, at most 4095 slots recounted
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Sequences:
    """A run of slots as arrays: `uint8` corpus, `int32` epoch, `int64` index in the corpus."""

    corpus: NDArray[np.uint8]
    epoch: NDArray[np.int32]
    index: NDArray[np.int64]


class _Tables(NamedTuple):
    slots: Slots
    base: Slots
    marks: NDArray[np.int64]
    kept: NDArray[np.bool_]
    base_counts: NDArray[np.int64]
    available: NDArray[np.int64]
    keys: NDArray[np.uint64]


@dataclass(frozen=True)
class Order:
    """The order, from the numbers a manifest holds. Memory: 1 byte a slot (2 when nested).

    Args:
        names: corpora; `Sequences.corpus` indexes them.
        available: sequences each corpus holds.
        phases: sequences of each corpus in each phase, `phases[phase][corpus]`.
        seed: selects the permutations; the pattern of corpora does not depend on it.
        base: phases of the order this one is nested in, same corpora and phase lengths.

    Raises:
        RecipeError: more than 256 corpora or 2^31 - 1 slots, or a base of another shape.
        DataError: sequences asked of an empty corpus.
    """

    names: tuple[str, ...]
    available: tuple[int, ...]
    phases: tuple[tuple[int, ...], ...]
    seed: int
    base: tuple[tuple[int, ...], ...] | None = None

    def __post_init__(self) -> None:
        if len(self.names) > MAX_CORPORA or len(self) > MAX_SLOTS:
            what = f"{len(self.names)} corpora and {len(self):,} sequences"
            limits = f"allowed: {MAX_CORPORA} corpora, {MAX_SLOTS:,} sequences"
            raise RecipeError("mix", what, allowed=limits, do="use longer sequences")
        for name, n, count in zip(
            self.names, self.available, zip(*self.phases, strict=True), strict=True
        ):
            if n == 0 and sum(count) > 0:
                raise DataError("mix", f"corpus {name!r} is empty but has {sum(count)} slots")
        if self.base is not None and _shape(self.base) != _shape(self.phases):
            raise RecipeError(
                "mix",
                "an order can be nested only in one with the same corpora and phase lengths",
                do="give both the same token budget, sequence length and phase boundaries",
            )

    def __len__(self) -> int:
        return sum(map(sum, self.phases))

    def __reduce__(self) -> tuple[object, ...]:
        """Travel to workers as numbers; tables are made again there."""
        return Order, (self.names, self.available, self.phases, self.seed, self.base)

    def sequence_at(self, slot: int) -> tuple[int, int, int]:
        """(corpus, epoch, index in the corpus) of one slot, in microseconds anywhere."""
        one = self.sequences(slot, slot + 1)
        return int(one.corpus[0]), int(one.epoch[0]), int(one.index[0])

    def sequences(self, start: int = 0, stop: int | None = None) -> Sequences:
        """The slots `start` to `stop` (default: the end).

        Raises:
            IndexError: not 0 <= start <= stop <= len(self).
        """
        stop = len(self) if stop is None else stop
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"slots {start}..{stop} are not within 0..{len(self)}")
        t = self._tables
        out = Sequences(
            t.slots[start:stop].copy(),
            np.empty(stop - start, np.int32),
            np.empty(stop - start, np.int64),
        )
        counts = t.marks[start // _EVERY].copy()
        number_uses(
            t.slots,
            t.base,
            start // _EVERY * _EVERY,
            start,
            counts,
            t.kept,
            t.base_counts,
            out.index,
        )
        shuffle_uses(out.corpus, out.index, t.available, t.keys, out.epoch)
        return out

    def permutation(self, name: str, epoch: int) -> NDArray[np.int64]:
        """A corpus' sequences in the order of an epoch: `int64[available]`."""
        number = self.names.index(name)
        uses = np.arange(self.available[number], dtype=np.int64) + epoch * self.available[number]
        corpus, epochs = np.full(len(uses), number, np.uint8), np.empty(len(uses), np.int32)
        shuffle_uses(corpus, uses, self._tables.available, self._tables.keys, epochs)
        return uses

    def fingerprint(self) -> str:
        """blake2b-128 of the whole stream of (corpus, index), in hex."""
        digest = hashlib.blake2b(digest_size=16)
        for start in range(0, len(self), _CHUNK):
            part = self.sequences(start, min(start + _CHUNK, len(self)))
            digest.update(np.stack([part.corpus, part.index], axis=1).astype("<i8").tobytes())
        return digest.hexdigest()

    @cached_property
    def _tables(self) -> _Tables:
        base_phases = self.base or self.phases
        parts = [spread(np.array(counts, np.int64)) for counts in base_phases]
        base = slots = np.concatenate(parts)
        if self.base is not None:
            pairs = zip(parts, self.base, self.phases, strict=True)
            slots = np.concatenate([nest(p, np.array(b), np.array(s)) for p, b, s in pairs])
        available = np.array(self.available, np.int64)
        base_counts = np.array(base_phases, np.int64).sum(axis=0)
        gained = np.maximum(np.subtract(self.phases, base_phases), 0).sum(axis=0)
        keys = [derive_key(ORDER_VERSION, self.seed, name) for name in self.names]
        return _Tables(
            slots=slots,
            base=base,
            marks=tally(slots, base, len(self.names), _EVERY),
            kept=base_counts + gained <= available,
            base_counts=base_counts,
            available=available,
            keys=np.array(keys, np.uint64),
        )


def order_of(
    allocations: Sequence[Allocation], seed: int, base: Sequence[Allocation] | None = None
) -> Order:
    """The order of allocated corpora, nested in that of `base` when given."""
    names = tuple(a.name for a in allocations)
    if base is not None and tuple(a.name for a in base) != names:
        raise RecipeError("mix", "an order can be nested only in one with the same corpora")
    return Order(
        names=names,
        available=tuple(a.available for a in allocations),
        phases=tuple(zip(*(a.phases for a in allocations), strict=True)),
        seed=seed,
        base=None if base is None else tuple(zip(*(a.phases for a in base), strict=True)),
    )


class Overlap(NamedTuple):
    """Shares (0 to 1) of slots in which two orders agree."""

    same_corpus: float
    same_sequence: float


def overlap(one: Order, other: Order) -> Overlap:
    """How far two orders of equal length and the same corpora agree, slot by slot."""
    if one.names != other.names or len(one) != len(other):
        raise RecipeError("mix", "only orders of equal length over the same corpora compare")
    corpora = sequences = 0
    for start in range(0, len(one), _CHUNK):
        a = one.sequences(start, min(start + _CHUNK, len(one)))
        b = other.sequences(start, min(start + _CHUNK, len(one)))
        same = a.corpus == b.corpus
        corpora += int(same.sum())
        sequences += int((same & (a.index == b.index)).sum())
    return Overlap(corpora / len(one), sequences / len(one))


def _shape(phases: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    return [(len(counts), sum(counts)) for counts in phases]
