"""The order of a mix against its peers: `python tests/bench/mixing.py`, about a minute on one core.

Same work on both sides: every slot of a mix of five corpora, about two epochs each, as arrays of
(corpus, index). numpy shuffles the corpus labels and each corpus' epochs in memory; `datasets`
draws with `interleave_datasets(probabilities=...)` (fewer slots, for it is slow).
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

import numpy as np

from corpus_builder.mixing.allocation import allocate
from corpus_builder.mixing.order import Order, order_of, overlap

WEIGHTS = {"web": 0.5, "code": 0.25, "books": 0.15, "wiki": 0.0999, "maths": 0.0001}
SLOTS = 10_000_000
DATASETS_SLOTS = 400_000
REPEATS = 5


def ours(order: Order) -> np.ndarray:
    """Build the tables anew and read the whole order."""
    fresh = Order(order.names, order.available, order.phases, order.seed)
    return fresh.sequences().index


def with_numpy(order: Order) -> np.ndarray:
    """The same counts and epochs from one generator: no random access, no nesting."""
    rng = np.random.default_rng(order.seed)
    counts = np.sum(order.phases, axis=0)
    corpus = rng.permutation(np.repeat(np.arange(len(counts), dtype=np.uint8), counts))
    index = np.empty(len(corpus), np.int64)
    for c, (n, count) in enumerate(zip(order.available, counts, strict=True)):
        epochs = [rng.permutation(n) for _ in range(-(-int(count) // n))]
        index[corpus == c] = np.concatenate(epochs)[:count]
    return index


def with_datasets(order: Order) -> np.ndarray:
    """Labels of the corpora that `interleave_datasets` draws until one is exhausted."""
    from datasets import Dataset, interleave_datasets

    parts = [
        Dataset.from_dict({"corpus": np.full(2 * n, c, np.uint8)})
        for c, n in enumerate(order.available)
    ]
    weights = [WEIGHTS[name] for name in order.names]
    mixed = interleave_datasets(parts, probabilities=weights, seed=order.seed)
    return np.asarray(mixed.with_format("numpy")["corpus"][:])


def median_seconds(work: Callable[[Order], np.ndarray], order: Order) -> tuple[float, np.ndarray]:
    took = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = work(order)
        took.append(time.perf_counter() - start)
    return statistics.median(took), result


def mix(
    slots: int,
    weights: dict[str, float],
    base: dict[str, float] | None = None,
    passes: float = 2.0,
) -> Order:
    """An order over corpora of which WEIGHTS take `passes` epochs each."""
    available = {name: max(3, int(slots * w / passes)) for name, w in WEIGHTS.items()}
    made = [
        allocate(available, w, tokens=slots, sequence_length=1, max_epochs=10**6)
        for w in (weights, base or weights)
    ]
    return order_of(made[0], seed=1, base=made[1] if base else None)


def speed() -> None:
    order = mix(SLOTS, WEIGHTS)
    ours(order)  # compiled and cached before the clock runs
    numpy_s, _ = median_seconds(with_numpy, order)
    ours_s, _ = median_seconds(ours, order)
    print(
        f"{SLOTS:,} slots    numpy {SLOTS / numpy_s:,.0f}/s    ours {SLOTS / ours_s:,.0f}/s", end=""
    )
    print(f"    ratio {numpy_s / ours_s:.2f}")
    tables = order._tables
    held = tables.slots.nbytes + tables.marks.nbytes
    print(f"bytes held a slot    numpy 9.00 (corpus, index)    ours {held / SLOTS:.2f}")
    at = np.random.default_rng(0).integers(0, SLOTS, 2000).tolist()
    start = time.perf_counter()
    for slot in at:
        order.sequence_at(slot)
    print(f"one slot anywhere    ours {(time.perf_counter() - start) / len(at) * 1e6:.0f} us")


def against_datasets() -> None:
    try:
        import datasets
    except ImportError:
        print("datasets is not installed: comparison left out")
        return
    datasets.disable_progress_bars()
    order = mix(DATASETS_SLOTS, WEIGHTS)
    peer_s, labels = median_seconds(with_datasets, order)
    ours_s, _ = median_seconds(ours, order)
    peer, own = len(labels) / peer_s, len(order) / ours_s
    print(f"{len(labels):,} slots    datasets {peer:,.0f}/s    ours {own:,.0f}/s", end="")
    print(f"    ratio {own / peer:.1f}")
    slots = order.sequences().corpus
    for who, drawn in (("datasets", labels), ("ours", slots)):
        prefix = np.arange(1, len(drawn) + 1)
        worst = max(
            np.abs(np.cumsum(drawn == c) - prefix * WEIGHTS[name]).max()
            for c, name in enumerate(order.names)
        )
        print(f"worst prefix error, sequences    {who} {worst:.4f}")


def nesting(passes: float) -> None:
    for changed in ({"web": 0.3, "code": 0.45}, {"web": 0.49, "maths": 0.0101}):
        arm = WEIGHTS | changed
        most = sum(map(min, WEIGHTS.values(), arm.values()))
        print(f"{passes} epochs, arm {changed}: at most {most:.4f} of the slots can agree")
        base = mix(SLOTS, WEIGHTS, passes=passes)
        for label, nest_in in (("nested", WEIGHTS), ("not nested", None)):
            agree = overlap(base, mix(SLOTS, arm, nest_in, passes))
            print(f"    {label}: same corpus {agree.same_corpus:.4f}", end="")
            print(f", same sequence {agree.same_sequence:.4f}")


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    speed()
    against_datasets()
    nesting(passes=0.5)
    nesting(passes=2.0)
