"""Which mixes a swarm tries: spread around the natural mix, none that the caps forbid.

Invariants: every mix can be realised at both the proxies' budget and the recipe's own under
`max_epochs`; a larger swarm of the same room begins with the smaller one: its runs are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..mixing.apportion import hamilton
from ..store.errors import DataError, RecipeError
from .solving import Array

CONCENTRATIONS = (1.0, 4.0, 16.0)
"""Of the Dirichlet distributions, summed: from mixes of one or two corpora to near natural ones."""

FLATTENED = 0.5
"""Dirichlet means follow natural shares to this power, as RegMix's do: small corpora count too."""

POOL = 512
"""Mixes drawn of each concentration, of which the swarm takes those that fill the most space."""

MOST_RUNS = len(CONCENTRATIONS) * POOL
"""There are no more mixes to take from."""


@dataclass(frozen=True)
class Room:
    """The mixes that can be had.

    Attributes:
        names: corpora, sorted.
        natural: shares in proportion to what each corpus holds, `[k]`, as far as caps allow.
        most: greatest share of each, `[k]`; the set of mixes below it is convex.
    """

    names: tuple[str, ...]
    natural: Array
    most: Array

    @property
    def uniform(self) -> Array:
        """Equal shares, as far as caps allow."""
        found: Array = under_caps(np.ones((1, len(self.names))), self.most)[0]
        return found

    def allows(self, mixes: Array) -> bool:
        """Whether all mixes are within it, but for rounding."""
        return bool((mixes <= self.most + 1e-9).all() and (mixes >= 0).all())


def room_of(
    available: Mapping[str, int], max_epochs: Mapping[str, Fraction], budgets: Sequence[int]
) -> Room:
    """The room of corpora that hold so many sequences.

    Args:
        available: sequences of each corpus.
        budgets: sequences of every mix that is to be realised: proxies and the recipe's own.

    Raises:
        RecipeError: fewer than two corpora.
        DataError: a corpus is empty, or all together are too short for the largest budget.
    """
    names = tuple(sorted(available))
    if len(names) < 2:
        do = "give at least two corpora a weight above 0"
        raise RecipeError("mix", f"{len(names)} corpus leaves nothing to optimise", do=do)
    for name in names:
        if not available[name]:
            raise DataError("mix", f"corpus {name!r} holds no sequence", do="give it weight 0")
    caps = [int(max_epochs[name] * available[name]) for name in names]
    if sum(caps) < max(budgets):
        missing = max(budgets) - sum(caps)
        what = f"all corpora together are {missing:,} sequences short under max_epochs"
        raise DataError("mix", what, do="lower mix.tokens, raise max_epochs or add data")
    most = np.minimum(1.0, np.array(caps) / max(budgets))
    sizes = np.array([available[name] for name in names], float)
    return Room(names, under_caps(sizes[None] / sizes.sum(), most)[0], most)


def under_caps(mixes: Array, most: Array) -> Array:
    """Mixes with what passes a cap given to the other corpora in proportion (water-filling).

    Where the others have no share to go by, they take it by what room they have.
    """
    found = mixes / mixes.sum(1, keepdims=True)
    for _ in range(mixes.shape[1] + 1):
        over = np.maximum(found - most, 0).sum(1, keepdims=True)
        if (over <= 1e-12).all():
            break
        found = np.minimum(found, most)
        open_ = np.where(found < most, found, 0)
        room = most - found
        share = np.where(open_.sum(1, keepdims=True) > 1e-9, open_, room)
        found = found + over * share / np.maximum(share.sum(1, keepdims=True), 1e-300)
    found = np.minimum(found, most)
    rest = 1 - found.sum(1, keepdims=True)
    room = most - found
    filled: Array = found + rest * room / np.maximum(room.sum(1, keepdims=True), 1e-300)
    return filled


def drawn(room: Room, each: int, seed: int) -> list[Array]:
    """`each` random mixes of every concentration, `[each, k]`, within the caps."""
    rng = np.random.default_rng(seed)
    prior = room.natural**FLATTENED
    prior = np.maximum(prior / prior.sum(), 1e-3)
    return [
        under_caps(np.maximum(rng.dirichlet(prior * c, each), 1e-12), room.most)
        for c in CONCENTRATIONS
    ]


def swarm(room: Room, runs: int, seed: int) -> Array:
    """The mixes to train, `[runs, k]`: natural and uniform first, then what fills the space.

    Each further mix is taken from the concentrations in turn: of its pool the one whose nearest
    neighbour among those taken is farthest (Hellinger distance, so that it matters whether a
    corpus has 0 or 2 %). Farthest points alone would all lie at the borders; the turns keep as
    many near the natural mix.
    """
    pools = drawn(room, POOL, seed)
    taken = [room.natural, room.uniform]
    nearest = [np.min([_distance(pool, mix) for mix in taken], axis=0) for pool in pools]
    while len(taken) < runs:
        turn = len(taken) % len(pools)
        taken.append(pools[turn][int(nearest[turn].argmax())])
        for near, pool in zip(nearest, pools, strict=True):
            np.minimum(near, _distance(pool, taken[-1]), out=near)
    return np.stack(taken[:runs])


def _distance(mixes: Array, mix: Array) -> Array:
    found: Array = np.sqrt(((np.sqrt(mixes) - np.sqrt(mix)) ** 2).sum(1))
    return found


def in_sequences(room: Room, mix: Array, sequences: int) -> dict[str, int]:
    """A mix as whole sequences of each corpus; what rounds to none is left out."""
    exact = {name: Fraction(float(share)) for name, share in zip(room.names, mix, strict=True)}
    total = sum(exact.values())
    return hamilton({name: share * sequences / total for name, share in exact.items()})
