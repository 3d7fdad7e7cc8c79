"""What a reader should know before using a trial's verdicts, known before anything is trained.

Invariant: each line says what differs where the mix is used, or what the trial cannot see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..recipe_trial import BASE_ARM, FEWEST_DOCUMENTS
from ..store.errors import DataError
from .arms import mix_of
from .data import allocations_of, nests

if TYPE_CHECKING:
    from .design import Design


def cautions(design: Design, tokens: int) -> tuple[str, ...]:
    """What may keep a verdict from holding where the mix is used.

    Args:
        tokens: of each run.
    """
    found = _repetition(design, tokens) + [
        f"{name!r} is not scored: {count} held-out {'text' if count == 1 else 'texts'}, and "
        f"{FEWEST_DOCUMENTS} are the least"
        for name, count in design.heldout.few.items()
    ]
    base = design.data[BASE_ARM]
    for arm, data in design.data.items():
        if not nests(data, base):
            found.append(f"arm {arm!r}: its mix has other phases, so seeds pair less well")
    return tuple(found)


def repetition(longer: float, corpus: str, here: float, there: float) -> str:
    """That a mix reads a corpus more often than a run does.

    Args:
        longer: the mix, than a run.
        here, there: epochs of a run, of the mix.
    """
    return (
        f"the mix is {_times(longer, 3)} times as long as a run: corpus {corpus!r} is read "
        f"{_times(here, 2)} times here, {_times(there, 2)} times there; what repetition costs is "
        "not measured"
    )


def _times(number: float, digits: int) -> str:
    return f"{number:,.0f}" if number >= 10 ** (digits - 1) else f"{number:.{digits}g}"


def _repetition(design: Design, tokens: int) -> list[str]:
    """Arms whose whole mix repeats more than their runs do, or cannot be filled.

    The base's note stands for arms that read a corpus at most half as often again, or cannot be
    filled for the same reason.
    """
    mix = mix_of(design.recipe)
    if tokens >= mix.tokens:
        return []
    found: list[tuple[str, str]] = []
    usual: dict[str, float] = {}  # the base comes first
    for arm, data in design.data.items():
        try:
            there = allocations_of(design.arms[arm], mix.tokens)
        except DataError as error:
            said = f"a mix of {mix.tokens:,} tokens cannot be filled: {error.what}"
            if (BASE_ARM, said) not in found:
                found.append((arm, said))
            continue
        repeated = [
            part for part in there
            if part.epochs > 1 and (arm == BASE_ARM or part.epochs > 1.5 * usual.get(part.name, 0))
        ]  # fmt: skip
        if arm == BASE_ARM:
            usual = {part.name: part.epochs for part in there}
        if repeated:
            worst = max(repeated, key=lambda part: part.epochs)
            here = next(part.epochs for part in data.allocations if part.name == worst.name)
            found.append((arm, repetition(mix.tokens / tokens, worst.name, here, worst.epochs)))
    return [said if arm == BASE_ARM else f"arm {arm!r}: {said}" for arm, said in found]
