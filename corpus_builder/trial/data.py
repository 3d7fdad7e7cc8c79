"""What a trial trains and is scored on: orders over token stores, and the base's held-out text.

Invariant: seed s of every arm reads the same permutation of each corpus, and an arm's order is
nested in the base's wherever their mixes have the same phases; the held-out text is the base's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..mixing.allocation import Allocation, Phase, allocate_phases
from ..mixing.order import Order, order_of
from ..recipe_trial import FEWEST_DOCUMENTS
from ..stages.base import data_file
from ..stages.heldout import HeldoutStage
from ..stages.tokenizer import TokenizerStage
from ..store.errors import DataError
from ..store.tables import read_table
from .arms import Arm
from .pairing import Alignment, PlacesFile, read_alike

TEXT_CHARACTERS = 8_000
"""Of each held-out document are scored: a few books must not cost more than all training. A text of
a user's own is scored in pieces of at most so many."""


@dataclass(frozen=True)
class ArmData:
    """What an arm trains on.

    Attributes:
        allocations: whole sequences of each corpus, at the trial's budget.
        stores: token files of each corpus, in the order of their rows.
        contents: digest of each corpus' token store.
        places: where the documents of each corpus lie in its store.
        seed: of the mix.
        vocab, eos, tokenizer, tokenizer_digest: how held-out text is encoded.
    """

    allocations: tuple[Allocation, ...]
    stores: Mapping[str, tuple[Path, ...]]
    contents: Mapping[str, str]
    places: Mapping[str, tuple[PlacesFile, ...]]
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

    def alignments(self, seed: int, base: ArmData) -> dict[str, Alignment]:
        """How the corpora whose sequences differ from the base's are read in its places."""
        order, theirs = self.order(seed, base), base.order(seed)
        length = self.allocations[0].sequence_length
        used = {part.name for part in self.allocations if part.sequences}
        return {
            name: Alignment(
                name, order, theirs, self.places[name], base.places[name],
                (base.contents[name], digest), length,
            )
            for name, digest in sorted(self.contents.items())
            if name in used and base.contents.get(name, digest) != digest
        }  # fmt: skip


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


def allocations_of(arm: Arm, tokens: int) -> tuple[Allocation, ...]:
    """Whole sequences of each corpus that a built arm trains on.

    Where caps let others take a corpus' share, a run that is shorter than the mix, in which they
    would not bind, has the weights that the whole mix comes to.

    Args:
        tokens: of each run.

    Raises:
        DataError: a corpus is too short for its weight, naming the arm.
    """
    mix = arm.mix.mix
    available = arm.mix.available(arm.plan.context)
    phases = mix.phases(available)
    if mix.on_short == "redistribute" and tokens < mix.tokens:
        phases = _as_made(arm, phases)
    return _allocated(arm, phases, tokens)


def _as_made(arm: Arm, phases: list[Phase]) -> list[Phase]:
    """Phases with the weights that they have in the whole mix; as they are where that is short."""
    try:
        made = _allocated(arm, phases, arm.mix.mix.tokens)
    except DataError:
        return phases  # as `cautions` says
    return [
        Phase(phase.until, {part.name: part.phases[number] for part in made})
        for number, phase in enumerate(phases)
    ]


def _allocated(arm: Arm, phases: list[Phase], tokens: int) -> tuple[Allocation, ...]:
    mix = arm.mix.mix
    return allocate_phases(
        arm.mix.available(arm.plan.context),
        phases,
        tokens=tokens,
        sequence_length=mix.sequence_length,
        max_epochs=mix.max_epochs,
        on_short=mix.on_short,
        where=f"arm {arm.name}: mix",
    )


def arm_data(arm: Arm, allocations: tuple[Allocation, ...]) -> ArmData:
    """What a built arm trains on: so many sequences of its token stores."""
    context, mix = arm.plan.context, arm.mix
    encode = next(iter(mix.stores.values())).encode
    vocab, eos = encode.vocabulary(context)
    stage: TokenizerStage = encode.tokenizer
    return ArmData(
        allocations=allocations,
        stores={
            corpus: tuple(context.folder(s) / r.files[0].path for r in context.records(s))
            for corpus, s in mix.stores.items()
        },
        places={
            corpus: tuple(
                PlacesFile(context.folder(s) / r.files[1].path, r.files[0].rows)
                for r in context.records(s)
            )
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
    """Share of slots in which an arm trains on the base's sequence, or on the one in its place.

    The latter is where its documents differ: it begins in the same document, as far in.
    """
    return read_alike(
        arm.order(0, base), base.order(0), arm.contents, base.contents, arm.alignments(0, base)
    )


@dataclass(frozen=True)
class Heldout:
    """What all arms are scored on: the base's held-out documents, and texts of a user's own.

    Attributes:
        path: of the table.
        digest: of its content.
        corpora: documents of each corpus and of each set of own texts.
        few: of those with fewer than FEWEST_DOCUMENTS, which are not scored.
        own: names of the latter.
        most: pieces of each of them that are scored.
        characters: of all that is scored.
    """

    path: Path
    digest: str
    corpora: Mapping[str, int]
    few: Mapping[str, int]
    own: tuple[str, ...]
    most: int
    characters: int

    def texts(self) -> dict[str, tuple[list[bytes], list[str]]]:
        """(doc_ids, the texts that are scored) of each corpus, in the table's order."""
        found = heldout_texts(self.path, self.own, self.most)
        return {corpus: found[corpus] for corpus in self.corpora}


def heldout_texts(
    path: Path, own: Collection[str], most: int
) -> dict[str, tuple[list[bytes], list[str]]]:
    """(doc_ids, texts) of each corpus in a held-out table, as they are scored.

    A document counts with its first TEXT_CHARACTERS. Own texts count whole, cut into pieces that
    share their doc_id; where there are more than `most`, evenly spaced ones.
    """
    found: dict[str, tuple[list[bytes], list[str]]] = {}
    for row in read_table(path, ["corpus", "doc_id", "text"]).to_pylist():
        whole = row["corpus"] in own
        parts = pieces(row["text"]) if whole else [row["text"][:TEXT_CHARACTERS]]
        ids, texts = found.setdefault(row["corpus"], ([], []))
        for part in parts:
            if part:
                ids.append(row["doc_id"])
                texts.append(part)
    for name in own:
        ids, texts = found.get(name, ([], []))
        if len(texts) > most:
            chosen = spread(ids, most)
            found[name] = [ids[i] for i in chosen], [texts[i] for i in chosen]
    return found


def spread(ids: Sequence[bytes], most: int) -> list[int]:
    """Which of the pieces of these documents, all of a document together, are scored: `most` of
    them, one of each document first, evenly spaced."""
    first = [i for i, each in enumerate(ids) if i == 0 or each != ids[i - 1]]
    if len(first) >= most:
        return _even(first, most)
    opening = {*first}
    rest = [i for i in range(len(ids)) if i not in opening]
    return sorted(first + _even(rest, most - len(first)))


def _even(places: Sequence[int], number: int) -> list[int]:
    return [places[len(places) * i // number] for i in range(number)]


def pieces(text: str, longest: int = TEXT_CHARACTERS) -> list[str]:
    """The text in pieces of at most `longest` characters, cut at blank lines where there are any.

    Joined they are the text.
    """
    found, start = list[str](), 0
    while len(text) - start > longest:
        cut = text.rfind("\n\n", start, start + longest)
        end = cut + 2 if cut > start and cut + 2 <= start + longest else start + longest
        found.append(text[start:end])
        start = end
    return [*found, text[start:]]


def heldout_of(base: Arm, needed: Sequence[str]) -> Heldout:
    """What is held out by a built base.

    Args:
        needed: corpora, or names of own texts, of the headline.

    Raises:
        DataError: one of them has too few documents.
    """
    stage, context = base.plan.stages["heldout"], base.plan.context
    if not isinstance(stage, HeldoutStage):
        raise TypeError(f"{stage.id} holds nothing out")
    path, own = data_file(context.folder(stage), "heldout"), tuple(stage.texts)
    most = stage.heldout.max_documents
    found = heldout_texts(path, own, most)
    names = [*base.plan.recipe.corpora, *own]
    counts = {name: len({*found[name][0]}) for name in names if name in found}
    for name in needed:
        if counts.get(name, 0) < FEWEST_DOCUMENTS:
            count = counts.get(name, 0)
            what = f"{count} held-out document{'' if count == 1 else 's'} of {name!r}"
            do = "raise heldout.share, or declare a trial.target without it"
            if name in own:
                do = f"give heldout.texts.{name} other texts: of near-duplicates one counts"
            raise DataError("trial", what, allowed=f"at least {FEWEST_DOCUMENTS} are needed", do=do)
    corpora = {name: n for name, n in counts.items() if n >= FEWEST_DOCUMENTS}
    few = {name: n for name, n in counts.items() if name not in corpora}
    characters = sum(len(text) for name in corpora for text in found[name][1])
    return Heldout(path, context.stage_digest(stage), corpora, few, own, most, characters)
