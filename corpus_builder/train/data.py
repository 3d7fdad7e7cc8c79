"""Batches of token sequences, each a pure function of its step: resume is one integer.

Invariant: step s of a mix holds slots s * B to (s + 1) * B of its order; nothing is drawn, so arms
that share slots share sequences in the same steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from corpus_builder.mixing.order import Order
from corpus_builder.store.arrow_streams import SequenceFiles
from corpus_builder.store.errors import DataError, RecipeError


class Batches(Protocol):
    """What the loop trains on."""

    @property
    def steps(self) -> int:
        """Batches there are."""

    @property
    def sequences(self) -> int:
        """Sequences in a batch, B."""

    @property
    def sequence_length(self) -> int:
        """Tokens in a sequence, T."""

    @property
    def identity(self) -> str:
        """Differs where any batch differs; a checkpoint holds it."""

    def batch(self, step: int) -> NDArray[np.unsignedinteger]:
        """Tokens `[B, T]` of a step, the same whenever asked."""


class Labels(Protocol):
    """Another naming of a corpus' sequences, for each epoch a permutation."""

    @property
    def identity(self) -> list[object]:
        """All that decides it, as plain values."""

    def labels(self, epoch: int) -> NDArray[np.int64]:
        """The sequence to read where the order says i: `int64[available]`."""


@dataclass(frozen=True)
class MixBatches:
    """The sequences of a mix, in its order. The tail that fills no batch is left out.

    Args:
        order: of the mix.
        stores: stream files of each corpus with slots, in the order of their rows.
        sequences: B.
        relabelled: corpora whose sequences the order names otherwise than their files do.
    """

    order: Order
    stores: Mapping[str, tuple[Path, ...]]
    sequences: int
    relabelled: Mapping[str, Labels] = field(default_factory=dict)

    def __reduce__(self) -> tuple[object, ...]:
        """Travel to workers as paths; files are mapped again there."""
        return MixBatches, (self.order, self.stores, self.sequences, self.relabelled)

    @property
    def steps(self) -> int:
        return len(self.order) // self.sequences

    @cached_property
    def sequence_length(self) -> int:
        first = next(iter(self._files.values()))
        return int(first.take(np.zeros(1, np.int64)).shape[1])

    @cached_property
    def identity(self) -> str:
        labels = [self.relabelled[name].identity for name in sorted(self.relabelled)]
        return f"{self.order.fingerprint()}/{self.sequences}{labels or ''}"

    @cached_property
    def _files(self) -> dict[str, SequenceFiles]:
        files = {name: SequenceFiles([*paths]) for name, paths in self.stores.items()}
        for name, available in zip(self.order.names, self.order.available, strict=True):
            if name in files and files[name].rows != available:
                what = f"its order counts {available:,} sequences, its files {files[name].rows:,}"
                raise DataError(f"corpus {name!r}", what)
        return {name: file for name, file in files.items() if file.rows}

    def batch(self, step: int) -> NDArray[np.unsignedinteger]:
        """Tokens `uint32[B, T]`.

        Raises:
            DataError: the order ends before this step, or a corpus has no files.
        """
        if not 0 <= step < self.steps:
            raise DataError("mix", f"step {step:,} is not within its {self.steps:,} steps")
        part = self.order.sequences(step * self.sequences, (step + 1) * self.sequences)
        rows = np.empty((self.sequences, self.sequence_length), np.uint32)
        for corpus in np.unique(part.corpus).tolist():
            here, name = part.corpus == corpus, self.order.names[corpus]
            index = part.index[here]
            if name in self.relabelled:
                index = self._relabel(name, part.epoch[here], index)
            rows[here] = self._file(name).take(index)
        return rows

    def _relabel(
        self, name: str, epochs: NDArray[np.int32], index: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        found = index.copy()
        for epoch in np.unique(epochs).tolist():
            found[epochs == epoch] = self.relabelled[name].labels(epoch)[index[epochs == epoch]]
        return found

    def _file(self, name: str) -> SequenceFiles:
        if name not in self._files:
            raise DataError(f"corpus {name!r}", "the mix uses it, but no files of it were given")
        return self._files[name]


@dataclass(frozen=True)
class ShuffledTokens:
    """Batches in which a share of the tokens change places: data that is known to be worse.

    In each batch, round(share * B * T) positions are chosen and their tokens permuted among them.
    Positions of a smaller share are among those of a larger one, so a series of shares is graded.

    Args:
        batches: the sound ones.
        share: of tokens, 0 to 1.
        seed: chooses positions and places.
    """

    batches: Batches
    share: float
    seed: int

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise RecipeError("shuffled tokens", f"a share of {self.share} is not within 0..1")

    @property
    def steps(self) -> int:
        return self.batches.steps

    @property
    def sequences(self) -> int:
        return self.batches.sequences

    @property
    def sequence_length(self) -> int:
        return self.batches.sequence_length

    @property
    def identity(self) -> str:
        return f"{self.batches.identity}/shuffled {self.share!r} {self.seed}"

    def batch(self, step: int) -> NDArray[np.unsignedinteger]:
        """Tokens `[B, T]`, some of them misplaced."""
        sound = self.batches.batch(step)
        flat = sound.reshape(-1).copy()
        # Raw Philox words: numpy keeps this stream the same for ever, unlike Generator's methods.
        words = np.random.Philox(key=[self.seed, step]).random_raw(2 * flat.size)
        chosen = np.argsort(words[: flat.size], kind="stable")[: round(self.share * flat.size)]
        places = np.argsort(words[flat.size :][: chosen.size], kind="stable")
        flat[chosen] = flat[chosen[places]]
        return flat.reshape(sound.shape)
