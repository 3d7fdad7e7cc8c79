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
        worst = max(data.allocations, key=lambda part: part.epochs)
        try:
            there = allocations_of(design.arms[arm], mix.tokens)
        except DataError as error:
            said = f"a mix of {mix.tokens:,} tokens cannot be filled: {error.what}"
            if (BASE_ARM, said) not in found:
                found.append((arm, said))
            continue
        times = next(part.epochs for part in there if part.name == worst.name)
        if arm == BASE_ARM:
            usual = {part.name: part.epochs for part in there}
        if times > 1 and (arm == BASE_ARM or times > 1.5 * usual.get(worst.name, 0)):
            said = (
                f"the mix is {mix.tokens / tokens:.3g} times as long as a run: corpus "
                f"{worst.name!r} is read {worst.epochs:.2g} times here, {times:.2g} times there; "
                "what repetition costs is not measured"
            )
            found.append((arm, said))
    return [said if arm == BASE_ARM else f"arm {arm!r}: {said}" for arm, said in found]
