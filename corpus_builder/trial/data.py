"""What a trial trains and is scored on: orders over token stores, and the base's held-out text.

Invariant: seed s of every arm reads the same permutation of each corpus, and an arm's order is
nested in the base's wherever their mixes have the same phases; the held-out text is the base's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..mixing.allocation import Allocation, allocate_phases
from ..mixing.order import Order, order_of
from ..stages.base import data_file
from ..stages.heldout import HeldoutStage
from ..stages.tokenizer import TokenizerStage
from ..store.errors import DataError
from ..store.tables import read_table
from .arms import Arm

TEXT_CHARACTERS = 8_000
"""Of each held-out document are scored: a few books must not cost more than all training."""

FEWEST_DOCUMENTS = 2
"""A corpus with fewer shows no spread between documents."""


@dataclass(frozen=True)
class ArmData:
    """What an arm trains on.

    Attributes:
        allocations: whole sequences of each corpus, at the trial's budget.
        stores: token files of each corpus, in the order of their rows.
        contents: digest of each corpus' token store.
        seed: of the mix.
        vocab, eos, tokenizer, tokenizer_digest: how held-out text is encoded.
    """

    allocations: tuple[Allocation, ...]
    stores: Mapping[str, tuple[Path, ...]]
    contents: Mapping[str, str]
    seed: int
    vocab: int
    eos: str
    tokenizer: Path
    tokenizer_digest: str

    def order(self, seed: int, base: ArmData | None = None) -> Order:
        """The order that paired seed `seed` trains in, nested in the base's where that can be."""
        if base is None or not nests(self, base):
            return order_of(self.allocations, self.seed + seed)
        names = sorted({part.name for part in (*self.allocations, *base.allocations)})
        return order_of(_over(names, self), self.seed + seed, _over(names, base))


def nests(arm: ArmData, base: ArmData) -> bool:
    """Whether both mixes have phases of the same lengths, and the same seed."""
    return arm.seed == base.seed and _lengths(arm) == _lengths(base)


def _lengths(data: ArmData) -> list[int]:
    return [sum(counts) for counts in zip(*(part.phases for part in data.allocations), strict=True)]


def _over(names: Sequence[str], data: ArmData) -> list[Allocation]:
    """Its allocations with nothing of those corpora that it does not use."""
    known, first = {part.name: part for part in data.allocations}, data.allocations[0]
    nothing = (0,) * len(first.phases)
    return [
        known.get(name)
        or Allocation(name, 0, Fraction(0), Fraction(0), 0, nothing, first.sequence_length)
        for name in names
    ]


def arm_data(arm: Arm, tokens: int) -> ArmData:
    """What a built arm trains on.

    Args:
        tokens: of each run.

    Raises:
        DataError: a corpus is too short for its weight, naming the arm.
    """
    context, mix = arm.plan.context, arm.mix
    available = mix.available(context)
    allocations = allocate_phases(
        available,
        mix.mix.phases(available),
        tokens=tokens,
        sequence_length=mix.mix.sequence_length,
        max_epochs=mix.mix.max_epochs,
        on_short=mix.mix.on_short,
        where=f"arm {arm.name}: mix",
    )
    encode = next(iter(mix.stores.values())).encode
    vocab, eos = encode.vocabulary(context)
    stage: TokenizerStage = encode.tokenizer
    return ArmData(
        allocations=allocations,
        stores={
            corpus: tuple(context.folder(s) / r.files[0].path for r in context.records(s))
            for corpus, s in mix.stores.items()
        },
        contents={corpus: context.stage_digest(store) for corpus, store in mix.stores.items()},
        seed=mix.mix.seed,
        vocab=vocab,
        eos=eos,
        tokenizer=stage.file(context),
        tokenizer_digest=context.stage_digest(stage),
    )


def same_sequences(arm: ArmData, base: ArmData) -> float:
    """Share of slots in which an arm trains on the very sequence that the base does."""
    ours, theirs = arm.order(0, base), base.order(0)
    equal = np.zeros((len(ours.names), len(theirs.names)), bool)
    for row, name in enumerate(ours.names):
        if name in theirs.names and arm.contents.get(name) == base.contents.get(name):
            equal[row, theirs.names.index(name)] = name in arm.contents
    a, b = ours.sequences(), theirs.sequences()
    return float((equal[a.corpus, b.corpus] & (a.index == b.index)).mean())


@dataclass(frozen=True)
class Heldout:
    """The held-out documents that all arms are scored on, as the base made them.

    Attributes:
        path: of the table.
        digest: of its content.
        corpora: documents of each corpus, those with fewer than FEWEST_DOCUMENTS left out.
        characters: of all of them that are scored.
    """

    path: Path
    digest: str
    corpora: Mapping[str, int]
    characters: int

    def texts(self) -> dict[str, tuple[list[bytes], list[str]]]:
        """(doc_ids, the texts that are scored) of each corpus, in the table's order."""
        found = heldout_texts(self.path)
        return {corpus: found[corpus] for corpus in self.corpora}


def heldout_texts(path: Path) -> dict[str, tuple[list[bytes], list[str]]]:
    """(doc_ids, texts cut at TEXT_CHARACTERS) of each corpus in a held-out table."""
    found: dict[str, tuple[list[bytes], list[str]]] = {}
    for row in read_table(path, ["corpus", "doc_id", "text"]).to_pylist():
        if row["text"]:
            ids, texts = found.setdefault(row["corpus"], ([], []))
            ids.append(row["doc_id"])
            texts.append(row["text"][:TEXT_CHARACTERS])
    return found


def heldout_of(base: Arm, needed: Sequence[str]) -> Heldout:
    """The held-out documents of a built base.

    Args:
        needed: corpora of the headline.

    Raises:
        DataError: one of them has too few.
    """
    stage, context = base.plan.stages["heldout"], base.plan.context
    if not isinstance(stage, HeldoutStage):
        raise TypeError(f"{stage.id} holds nothing out")
    path = data_file(context.folder(stage), "heldout")
    found = heldout_texts(path)
    counts = {
        corpus: len(found[corpus][1]) for corpus in base.plan.recipe.corpora if corpus in found
    }
    for corpus in needed:
        if counts.get(corpus, 0) < FEWEST_DOCUMENTS:
            what = f"{counts.get(corpus, 0)} held-out documents of corpus {corpus!r}"
            do = "raise heldout.share, or leave the corpus out of trial.target"
            raise DataError("trial", what, allowed=f"at least {FEWEST_DOCUMENTS} are needed", do=do)
    corpora = {corpus: n for corpus, n in counts.items() if n >= FEWEST_DOCUMENTS}
    characters = sum(len(text) for corpus in corpora for text in found[corpus][1])
    return Heldout(path, context.stage_digest(stage), corpora, characters)
