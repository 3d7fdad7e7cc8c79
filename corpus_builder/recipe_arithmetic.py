"""What the numbers of a mix come to without its data: lengths of its stages, and who gets nothing.

Invariant: what is found here is what the mix would be refused for once all is built
(`mixing.allocation`), for any amount of data; where only data can tell, nothing is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from .mixing.apportion import hamilton
from .mixing.weights import normalised
from .recipe_check import Problems, dotted
from .recipe_mix import Mix, MixStep
from .yamlfile import Node

Shares = Mapping[str, Fraction]


def shares_of(step: MixStep) -> Shares:
    """Weights of a stretch of a mix, scaled to 1."""
    return normalised({name: Fraction(str(weight)) for name, weight in step.weights.items()})


def described(mix: Mix) -> list[str]:
    """A line for the whole budget and one for each stage: who gets which share of it."""
    total = f"mix: {mix.tokens:,} tokens, {mix.tokens // mix.sequence_length:,} sequences"
    if not mix.steps:
        how = mix.sampler if isinstance(mix.sampler, str) else "temperature"
        return [f"{total}; weights from the corpora's sizes ({how})"]
    lines = [_listed(shares_of(step)) for step in mix.steps]
    if not mix.stages:
        return [f"{total}: {lines[0]}"]
    return [total, *(f"  up to {100 * step.until:.6g} %: {line}" for step, line in
                     zip(mix.stages, lines, strict=True))]  # fmt: skip


def check_arithmetic(mix: Mix, tokens: int, key: str, tree: Node, problems: Problems) -> None:
    """Note stages that no sequence of a budget falls into, and weights that round to none.

    Args:
        tokens: the budget, which stands at `key`: `mix.tokens`, or `trial.tokens`.
        tree: the recipe as written.
    """
    total, start = tokens // mix.sequence_length, 0
    for number, step in enumerate(mix.steps):
        path: list[str | int] = ["stages", number] if mix.stages else []
        end = math.floor(Fraction(str(step.until)) * total)
        if end == start:
            what = f"{dotted('mix', path)}: none of the {_sequences(total)} of {key} is in it"
            place = tree.locate(["mix", *path, "until"])
            problems.add(place, what, do=f"make the stage longer or raise {key}")
        elif mix.on_short == "error":
            _check_weights(shares_of(step), end - start, [*path, "weights"], key, tree, problems)
        start = end


def _check_weights(
    shares: Shares, length: int, path: list[str | int], key: str, tree: Node, problems: Problems
) -> None:
    counts = hamilton({name: share * length for name, share in shares.items()})
    for name, share in shares.items():
        if share > 0 and counts[name] == 0:
            longer = ", make the stage longer" if len(path) > 1 else ""
            here, part = [*path, name], f"{float(share * length):.3g} of {_sequences(length)}"
            problems.add(
                tree.locate(["mix", *here]),
                f"{dotted('mix', here)}: its {part} rounds to none",
                allowed=f"it gets one for sure from {math.ceil(1 / share):,} sequences on",
                do=f"raise {key}{longer}, raise the weight or set it to 0",
            )


def _sequences(number: int) -> str:
    return f"{number:,} sequence{'s' if number != 1 else ''}"


def _listed(shares: Shares) -> str:
    drawn = sorted(
        ((name, share) for name, share in shares.items() if share), key=lambda item: -item[1]
    )
    return ", ".join(f"{name} {100 * float(share):.3g} %" for name, share in drawn)
