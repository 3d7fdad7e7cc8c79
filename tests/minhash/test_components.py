"""Components are those of the graph, named by their smallest document."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_builder.minhash import components
from corpus_builder.minhash.components import Components

GRAPHS = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=60)
    )
)


def roots_by_flooding(n: int, edges: list[tuple[int, int]]) -> list[int]:
    """Lower labels along edges until nothing changes."""
    label = list(range(n))
    changed = True
    while changed:
        changed = False
        for a, b in edges:
            low = min(label[a], label[b])
            changed = changed or label[a] != low or label[b] != low
            label[a] = label[b] = low
    return label


def split(edges: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array(edges, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


@settings(deadline=None)
@given(GRAPHS, st.randoms(), st.booleans())
def test_roots_are_the_smallest_of_each_component_in_any_order(graph, random, wide) -> None:
    n, edges = graph
    found = Components(n)
    if wide:
        found._parent = found._parent.astype(np.int64)
    shuffled = random.sample(edges, len(edges))
    half = len(shuffled) // 2
    joined = found.union(*split(shuffled[:half]))
    found.roots()
    joined += found.union(*split(shuffled[half:]))
    expected = roots_by_flooding(n, edges)
    assert found.roots().tolist() == expected
    assert joined == n - len(set(expected))


def test_a_document_takes_four_bytes_below_two_to_the_32(monkeypatch) -> None:
    assert Components(10).roots().dtype == np.uint32
    monkeypatch.setattr(components, "_NARROW_LIMIT", 9)
    assert Components(10).roots().dtype == np.int64


def test_roots_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Components(2).roots()[0] = 1


@pytest.mark.parametrize("edge", [(0, 3), (-1, 0), (3, 0), (0, -1)])
def test_an_edge_must_lie_among_the_documents(edge: tuple[int, int]) -> None:
    with pytest.raises(IndexError, match="leaves the 3 documents"):
        Components(3).union(*split([edge]))


def test_an_edge_has_two_ends() -> None:
    with pytest.raises(ValueError, match="1 indices joined with 2"):
        Components(3).union(np.zeros(1, np.int64), np.zeros(2, np.int64))
