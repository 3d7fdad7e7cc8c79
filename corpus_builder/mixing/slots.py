"""Which corpus each slot of a mix belongs to: one byte a slot.

Invariants of `spread`: every prefix of t slots holds more than t*c/S - 1 and fewer than t*c/S + 1
sequences of a corpus with c of S slots (the quota bound of Tijdeman's chairman assignment). Of
`nest`: it changes exactly half the summed difference of the counts, the least that can be changed,
and each corpus stays within a bound that does not grow with S (see there). Integers only.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Slots = NDArray[np.uint8]
Counts = NDArray[np.int64]

MAX_CORPORA = 256
MAX_SLOTS = 2**31 - 1  # squares of it must fit int64


@njit("uint8[::1](int64[::1])", cache=True)
def _spread(counts):  # type: ignore[no-untyped-def]
    total, k = counts.sum(), counts.size
    slots = np.empty(total, np.uint8)
    used = np.zeros(k, np.int64)
    release = np.zeros(k, np.int64)
    deadline = np.empty(k, np.int64)
    for c in range(k):
        # ceil(S / c): by then a first sequence is due. A corpus without slots is never released.
        deadline[c] = (total + counts[c] - 1) // counts[c] if counts[c] else 0
        release[c] = 0 if counts[c] else total
    for slot in range(total):
        best, best_deadline = -1, np.int64(2**62)
        for c in range(k):
            if release[c] <= slot and deadline[c] < best_deadline:
                best, best_deadline = c, deadline[c]
        slots[slot] = best
        used[best] += 1
        if used[best] == counts[best]:
            release[best] = total
        else:
            release[best] = used[best] * total // counts[best]
            deadline[best] = ((used[best] + 1) * total + counts[best] - 1) // counts[best]
    return slots


def spread(counts: Counts) -> Slots:
    """Slots (`uint8[sum(counts)]`) that hold corpus c `counts[c]` times, as evenly as can be.

    The x-th sequence of a corpus may go no earlier and no later than the quota bound allows;
    among those that may go, the earliest due goes first (the first corpus on ties). Such a
    schedule exists for all counts and this rule finds it: Tijdeman, "The chairman assignment
    problem" (1980); Steiner and Yeomans, "Level schedules for mixed-model JIT processes" (1993).
    """
    slots: Slots = _spread(np.ascontiguousarray(counts, dtype=np.int64))
    return slots


@njit("boolean[::1](uint8[::1], int64[::1], int64[::1])", cache=True)
def _given_up(base, old, new):  # type: ignore[no-untyped-def]
    given = np.zeros(base.size, np.bool_)
    error = old.copy()  # half a slot ahead, in units of 1 / (2 * old)
    for slot in range(base.size):
        c = base[slot]
        if new[c] < old[c]:
            error[c] += 2 * (old[c] - new[c])
            if error[c] >= 2 * old[c]:
                error[c] -= 2 * old[c]
                given[slot] = True
    return given


def nest(base: Slots, old: Counts, new: Counts) -> Slots:
    """Slots with `new` counts that differ from `base` (with `old` counts) in the fewest places.

    A corpus that shrinks gives up slots evenly among its own; the corpora that grow share those
    as `spread` shares slots. Where `base` keeps the bound of `spread`, the prefix error stays
    below 1.5 for a corpus that shrinks or stays, and below 2 + 1.5 L for one that grows when L
    shrink: independent of the number of slots.
    """
    given = _given_up(base, np.asarray(old, np.int64), np.asarray(new, np.int64))
    slots = base.copy()
    slots[given] = spread(np.maximum(np.asarray(new) - np.asarray(old), 0))
    return slots


@njit("int64[:,:,::1](uint8[::1], uint8[::1], int64, int64)", cache=True)
def tally(slots, base, k, every):  # type: ignore[no-untyped-def]
    """Checkpoints `[slot // every, kind, corpus]` before each block of `every` slots.

    Kinds: slots of the corpus; slots of it in `base`; slots it gained over `base`.
    """
    marks = np.empty((slots.size // every + 1, 3, k), np.int64)
    counts = np.zeros((3, k), np.int64)
    for i in range(slots.size):
        if i % every == 0:
            marks[i // every] = counts
        counts[0, slots[i]] += 1
        counts[1, base[i]] += 1
        counts[2, slots[i]] += slots[i] != base[i]
    if slots.size % every == 0:
        marks[slots.size // every] = counts
    return marks


_NUMBER = "void(uint8[::1],uint8[::1],int64,int64,int64[:,::1],boolean[::1],int64[::1],int64[::1])"


@njit(_NUMBER, cache=True)
def number_uses(slots, base, mark, start, counts, kept, base_counts, uses):  # type: ignore[no-untyped-def]
    """Number the uses of each corpus, from the checkpoint at `mark` on, into `uses`.

    A corpus with `kept` sequences takes its number in `base` where it has the slot there too, and
    new numbers after the last of `base` where it gained the slot. Others count in order of time.
    """
    for i in range(mark, start + uses.size):
        c = slots[i]
        gained = c != base[i]
        if i >= start:
            if not kept[c]:
                uses[i - start] = counts[0, c]
            elif gained:
                uses[i - start] = base_counts[c] + counts[2, c]
            else:
                uses[i - start] = counts[1, c]
        counts[0, c] += 1
        counts[1, base[i]] += 1
        counts[2, c] += gained
