"""From weights and a token budget to whole sequences per corpus, exactly.

Invariant: the counts sum to the budget; no corpus passes its cap; where no cap binds a count is
its exact quota rounded down or up (Hamilton's largest remainders, ties to the first name), so
|realised - requested| < 1 / sequences. A corpus with a quota of one sequence or more gets one; a
positive weight that would round to none is an error, never a silent 0. A corpus in buckets gets
the count it would get in one piece, which its buckets share likewise. All arithmetic is rational.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

from corpus_builder.mixing.apportion import hamilton, scaled, water_fill
from corpus_builder.mixing.buckets import corpus_of, groups_of
from corpus_builder.mixing.weights import Number, check_names, exact, normalised
from corpus_builder.store.errors import DataError, RecipeError

OnShort = Literal["error", "redistribute"]
Counts = dict[str, int]

FILL = "lower tokens, raise max_epochs or add data"

REPETITION_HALF_LIFE = 15.39  # R* of 2305.16264, fitted there on the loss of repeated tokens


@dataclass(frozen=True)
class Phase:
    """A stretch of the mix: `weights` hold up to the share `until` (0 to 1) of the budget."""

    until: Number
    weights: Mapping[str, Number]


@dataclass(frozen=True)
class Allocation:
    """What one corpus, or one bucket of a corpus, contributes to a mix.

    Unit: sequences of `sequence_length` tokens.
    """

    name: str
    available: int
    requested: Fraction
    realised: Fraction
    cap: int
    phases: tuple[int, ...]
    sequence_length: int

    @property
    def sequences(self) -> int:
        """Sequences drawn, repeats counted."""
        return sum(self.phases)

    @property
    def epochs(self) -> float:
        """Passes over the corpus: sequences / available (0 for an empty, unused corpus)."""
        return self.sequences / self.available if self.available else 0.0

    @property
    def capped(self) -> bool:
        """True when `max_epochs` kept this corpus below its requested weight."""
        return self.sequences == self.cap and self.realised < self.requested

    @property
    def effective_tokens(self) -> float:
        """Tokens of fresh data worth as much: D' = U + U R* (1 - exp(-R/R*)), R = epochs - 1.

        2305.16264; U = unique tokens drawn.
        """
        unique = min(self.sequences, self.available) * self.sequence_length
        repeats = max(self.epochs - 1.0, 0.0)
        worth = REPETITION_HALF_LIFE * -math.expm1(-repeats / REPETITION_HALF_LIFE)
        return unique * (1.0 + worth)


def account(part: Allocation) -> dict[str, Any]:
    """What was asked and realised of a part, as plain values."""
    unique = min(part.sequences, part.available)
    return {
        "requested_weight": float(part.requested),
        "realised_weight": float(part.realised),
        "available_sequences": part.available,
        "unique_sequences": unique,
        "sequences": part.sequences,
        "sequences_by_stage": list(part.phases),
        "tokens": part.sequences * part.sequence_length,
        "unique_tokens": unique * part.sequence_length,
        "epochs": round(part.epochs, 6),
        "cap_hit": part.capped,
        "effective_tokens": int(part.effective_tokens),
    }


def corpus_shares(parts: Sequence[Allocation]) -> dict[str, Fraction]:
    """Realised share of each corpus, its buckets together."""
    shares: dict[str, Fraction] = {}
    for part in parts:
        shares[corpus_of(part.name)] = shares.get(corpus_of(part.name), Fraction(0)) + part.realised
    return shares


def sequences_in(tokens: int, sequence_length: int, where: str = "mix") -> int:
    """Whole sequences in a budget, rounded down: a budget is never exceeded.

    Raises:
        RecipeError: a sequence shorter than one token, or a budget shorter than one sequence.
    """
    if sequence_length < 1:
        raise RecipeError(f"{where}.sequence_length", f"{sequence_length} is less than 1")
    if tokens < sequence_length:
        what = f"{tokens} tokens are less than one sequence of {sequence_length}"
        raise RecipeError(f"{where}.tokens", what, do="raise tokens or shorten sequence_length")
    return tokens // sequence_length


def allocate(
    available: Mapping[str, int],
    weights: Mapping[str, Number],
    *,
    tokens: int,
    sequence_length: int,
    max_epochs: Number | Mapping[str, Number],
    on_short: OnShort = "error",
    where: str = "mix",
) -> tuple[Allocation, ...]:
    """One set of weights over the whole budget; see `allocate_phases`."""
    return allocate_phases(
        available,
        [Phase(1, weights)],
        tokens=tokens,
        sequence_length=sequence_length,
        max_epochs=max_epochs,
        on_short=on_short,
        where=where,
    )


def allocate_phases(
    available: Mapping[str, int],
    phases: Sequence[Phase],
    *,
    tokens: int,
    sequence_length: int,
    max_epochs: Number | Mapping[str, Number],
    on_short: OnShort = "error",
    where: str = "mix",
) -> tuple[Allocation, ...]:
    """Whole sequences per corpus and phase, one `Allocation` a corpus, sorted by name.

    Args:
        available: sequences each corpus holds; of a corpus in buckets, each bucket
            (`buckets.part_name`), which stand for a corpus each in all that follows.
        phases: `until` rising to 1; every phase names every corpus (0 leaves it out).
        tokens: the budget; `sequences_in` of it are allocated.
        max_epochs: passes allowed over a corpus, over all phases together; one number, or one a
            corpus. The cap is floor(max_epochs * available) sequences.
        on_short: "redistribute" gives what passes a cap to the other buckets of the corpus, then
            to the other corpora of the phase, in proportion to their weights (water-filling),
            earlier phases first.

    Raises:
        RecipeError: wrong names, weights or phase boundaries.
        DataError: a corpus too short for its weight (with wanted, available, shortfall, epochs
            and the budget that would fit), all corpora together too short, a positive weight that
            would round to no sequence, or one of a corpus that has none, or none left by the
            phases before.
    """
    total = sequences_in(tokens, sequence_length, where)
    available = {name: int(n) for name, n in sorted(available.items())}
    shares = [_shares(phase, available, where) for phase in phases]
    lengths = _phase_lengths([phase.until for phase in phases], total, where)
    caps = _caps(available, max_epochs, where)
    requested = _overall(shares, lengths)
    _refuse_empty(available, caps, requested, where)
    if on_short == "redistribute":
        counts = _served_in_turn(shares, lengths, caps, sequence_length, where)
    else:
        counts = [
            _apportion(w, n, dict.fromkeys(w, n))[1] for w, n in zip(shares, lengths, strict=True)
        ]
        _refuse_short(available, caps, counts, requested, sequence_length, where)
        for w, count in zip(shares, counts, strict=True):
            _refuse_vanished(w, count, where)
    return tuple(
        Allocation(
            name=name,
            available=available[name],
            requested=share,
            realised=Fraction(sum(phase[name] for phase in counts), total),
            cap=caps[name],
            phases=tuple(phase[name] for phase in counts),
            sequence_length=sequence_length,
        )
        for name, share in requested.items()
    )


def _apportion(
    weights: Mapping[str, Fraction], total: int, caps: Mapping[str, int]
) -> tuple[dict[str, Fraction], Counts]:
    """(exact quotas, whole counts) under caps, of corpora first, then of the buckets of each."""
    groups = groups_of(weights)
    shares = water_fill(
        {corpus: sum((weights[part] for part in parts), Fraction(0))
         for corpus, parts in groups.items()},
        total,
        {corpus: sum(caps[part] for part in parts if weights[part] > 0)
         for corpus, parts in groups.items()},
    )  # fmt: skip
    quotas, counts = dict[str, Fraction](), Counts()
    for corpus, whole in hamilton(shares).items():
        inner = {part: weights[part] for part in groups[corpus]}
        quotas |= water_fill(inner, shares[corpus], caps)
        counts |= hamilton(water_fill(inner, whole, caps))
    return quotas, counts


def _shares(phase: Phase, available: Mapping[str, int], where: str) -> dict[str, Fraction]:
    check_names(phase.weights, available, f"{where}.weights")
    return normalised(phase.weights, f"{where}.weights")


def _caps(
    available: Mapping[str, int], max_epochs: Number | Mapping[str, Number], where: str
) -> Counts:
    here = f"{where}.max_epochs"
    limits = max_epochs if isinstance(max_epochs, Mapping) else dict.fromkeys(available, max_epochs)
    check_names(limits, available, here)
    return {name: math.floor(exact(limits[name], here) * n) for name, n in available.items()}


def _phase_lengths(untils: Sequence[Number], total: int, where: str) -> list[int]:
    bounds = [Fraction(0), *(exact(until, f"{where}.until") for until in untils)]
    if bounds[-1] != 1:
        raise RecipeError(f"{where}.until", "the last phase must end at 1")
    ends = [math.floor(bound * total) for bound in bounds]
    lengths = [end - start for start, end in pairwise(ends)]
    if min(lengths) < 1:
        what = (
            f"phases that end at {', '.join(map(str, untils))} of {total} sequences: one is empty"
        )
        raise RecipeError(f"{where}.until", what, allowed="allowed: rising numbers up to 1")
    return lengths


def _overall(
    shares: Sequence[Mapping[str, Fraction]], lengths: Sequence[int]
) -> dict[str, Fraction]:
    wanted = [scaled(w, Fraction(n, sum(lengths))) for w, n in zip(shares, lengths, strict=True)]
    return {name: sum((w[name] for w in wanted), Fraction(0)) for name in shares[0]}


def _served_in_turn(
    shares: Sequence[Mapping[str, Fraction]], lengths: Sequence[int], caps: Counts,
    sequence_length: int, where: str,
) -> list[Counts]:  # fmt: skip
    left, counts = dict(caps), []
    for number, (weights, length) in enumerate(zip(shares, lengths, strict=True), 1):
        _refuse_used_up(weights, left, number, where)
        quotas, found = _apportion(weights, length, left)
        missing = length - sum(found.values())
        if missing > 0:
            short = f"{missing:,} sequences short under max_epochs"
            if len(shares) == 1:
                fits = (length - missing) * sequence_length
                allowed = f"a budget of {fits:,} tokens fits"
                raise DataError(
                    where, f"all corpora together are {short}", allowed=allowed, do=FILL
                )
            what = (
                f"the corpora that stage {number} weighs are together {short}, after the stages "
                "before it"
            )
            raise DataError(where, what, do=f"{FILL}, or give the stage other corpora, too")
        counts.append(found)
        _refuse_vanished(scaled(quotas, Fraction(1, length)), found, where)
        left = {name: left[name] - counts[-1][name] for name in left}
    return counts


def _empty(weights: Mapping[str, Fraction], room: Counts) -> dict[str, list[str]]:
    """Corpora with a weight, of whose parts that have one nothing can be read: those parts."""
    weighed = {
        corpus: [part for part in parts if weights[part] > 0]
        for corpus, parts in groups_of(weights).items()
    }
    return {
        corpus: parts for corpus, parts in weighed.items()
        if parts and not any(room[part] for part in parts)
    }  # fmt: skip


def _refuse_empty(
    available: Mapping[str, int], caps: Counts, requested: Mapping[str, Fraction], where: str
) -> None:
    for corpus, parts in _empty(requested, caps).items():
        has = ", ".join(f"{part}: {available[part]:,}" for part in parts)
        if any(available[part] for part in parts):
            what = f"max_epochs allows {corpus} not one sequence (of {has})"
            raise DataError(where, what, do="raise max_epochs, or leave the corpus out")
        cut = " change its buckets," if parts != [corpus] else ""
        raise DataError(
            f"{where}.weights.{corpus}",
            f"there is nothing to read (sequences of {has})",
            do=f"see what is left of it (corpus funnel),{cut} or give it the weight 0",
        )


def _refuse_used_up(weights: Mapping[str, Fraction], left: Counts, number: int, where: str) -> None:
    for corpus in _empty(weights, left):
        raise DataError(
            where,
            f"stage {number} weighs {corpus}, of which the stages before it leave nothing",
            do="weigh it less in those, raise max_epochs or lower tokens",
        )


def _refuse_short(
    available: Mapping[str, int],
    caps: Counts,
    counts: Sequence[Counts],
    requested: Mapping[str, Fraction],
    sequence_length: int,
    where: str,
) -> None:
    wanted = {name: sum(phase[name] for phase in counts) for name in available}
    short = [name for name, count in wanted.items() if count > caps[name]]
    if not short:
        return
    lines = [
        f"{name}: wanted {wanted[name]:,} sequences, has {available[name]:,} "
        f"({caps[name]:,} under max_epochs), short by {wanted[name] - caps[name]:,}, "
        f"would take {_epochs(wanted[name], available[name])} epochs"
        for name in short
    ]
    fits = fitting_sequences(requested, caps, len(counts)) * sequence_length
    raise DataError(
        where,
        f"too little data for the weights: {'; '.join(lines)}",
        allowed=f"a budget of {fits:,} tokens fits",
        do="lower tokens, change the weights, raise max_epochs or set on_short: redistribute",
    )


def _epochs(wanted: int, available: int) -> str:
    """Rounded up, so that the number shown is enough when written as max_epochs."""
    if available == 0:
        return "infinitely many"
    return f"{math.ceil(Fraction(wanted * 100, available)) / 100:g}"


def fitting_sequences(
    requested: Mapping[str, Fraction], caps: Mapping[str, int], phases: int = 1
) -> int:
    """The largest budget in sequences that fits the caps however its quotas are rounded.

    With one phase: the largest at which no exact quota passes its cap. With more, each may round
    a corpus up once more and move its two ends by one, so three sequences a phase are kept in hand;
    with buckets one more, as corpus and bucket may both be rounded up.
    """
    slack = 0 if phases == 1 else 3 * phases
    if len(groups_of(requested)) < len(requested):
        slack += phases
    room = [max(caps[name] - slack, 0) / share for name, share in requested.items() if share > 0]
    return math.floor(min(room))


def _refuse_vanished(shares: Mapping[str, Fraction], counts: Counts, where: str) -> None:
    total = sum(counts.values())
    for name, share in shares.items():
        if share > 0 and counts[name] == 0:
            raise DataError(
                f"{where}.weights.{name}",
                f"its {float(share * total):.3g} of {total:,} sequences rounds to none",
                allowed=f"it gets one for sure from {math.ceil(1 / share):,} sequences on",
                do="raise tokens, raise the weight or set it to 0",
            )
