"""Verification drops a document exactly when a kept one above it is truly similar."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_builder.minhash import greedy, verify
from corpus_builder.minhash.verify import Verdicts, jaccard, verify_component

AMPLE = 10**12
THRESHOLDS = st.sampled_from([0.1, 1 / 3, 0.5, 0.55, 0.7, 0.8, 0.9, 1.0]) | st.floats(0.05, 1.0)


@st.composite
def components(draw: st.DrawFn) -> list[set[int]]:
    """Members with a common template, edits of each other, repeats and empty sets."""
    template = draw(st.sets(st.integers(0, 40), max_size=25))
    members = []
    for _ in range(draw(st.integers(1, 12))):
        base = draw(st.sampled_from([template, *members]))
        added, removed = draw(st.tuples(*[st.sets(st.integers(0, 60), max_size=5)] * 2))
        members.append((base | added) - removed)
    return members


def packed(members: list[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes are a fixed shuffle of the elements, so that order says nothing."""
    spread = np.random.default_rng(0).permutation(2**16).astype(np.uint64) << np.uint64(47)
    rows = [np.sort(spread[list(member)]) for member in members]
    return np.concatenate(rows), np.concatenate(([0], np.cumsum([len(row) for row in rows])))


def set_jaccard(a: set[int], b: set[int]) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0


def by_brute_force(members: list[set[int]], order: list[int], threshold: float) -> Verdicts:
    kept: list[int] = []
    keeper, similarity = np.full(len(members), -1, np.int32), np.zeros(len(members))
    for member in order:
        likeness = [set_jaccard(members[member], members[other]) for other in kept]
        best = max(likeness, default=0.0)
        if best >= threshold:
            keeper[member], similarity[member] = kept[likeness.index(best)], best
        else:
            kept.append(member)
    return Verdicts(keeper, similarity, np.zeros(len(members), bool))


def assert_same(found: Verdicts, expected: Verdicts) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("index_from", [1, 10**9], ids=["indexed", "all kept compared"])
@settings(deadline=None, max_examples=150)
@given(members=components(), threshold=THRESHOLDS, random=st.randoms())
def test_verdicts_are_those_of_brute_force(index_from, members, threshold, random) -> None:
    order = random.sample(range(len(members)), len(members))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "INDEX_FROM", index_from)
        found = verify_component(*packed(members), np.array(order), threshold, AMPLE)
    assert_same(found, by_brute_force(members, order, threshold))


def templated(count: int, rng: np.random.Generator) -> list[set[int]]:
    """Members at all distances around the threshold: a template, half of it edited at random."""
    template = np.arange(80)
    members = []
    for _ in range(count):
        kept = template[rng.random(80) < rng.uniform(0.75, 1.0)]
        own = rng.integers(100, 60_000, rng.integers(0, 25))
        common = rng.integers(80, 100, rng.integers(0, 10))
        members.append({*kept.tolist(), *own.tolist(), *common.tolist()})
    return members


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9])
def test_a_templated_component_is_verified_completely(threshold: float) -> None:
    rng = np.random.default_rng(7)
    members = templated(400, rng)
    order = rng.permutation(len(members))
    found = verify_component(*packed(members), order, threshold, AMPLE)
    expected = by_brute_force(members, order.tolist(), threshold)
    assert 0 < (expected.keeper >= 0).sum() < len(members) - 1
    assert_same(found, expected)


def test_no_two_kept_reach_the_threshold_and_keepers_are_kept() -> None:
    members = templated(1000, np.random.default_rng(8))
    hashes, offsets = packed(members)
    found = verify_component(hashes, offsets, np.arange(1000), 0.8, AMPLE)
    kept = np.flatnonzero(found.keeper < 0)
    assert set(found.keeper[found.keeper >= 0].tolist()) <= set(kept.tolist())
    sizes = np.array([len(members[k]) for k in kept])
    matrix = np.zeros((len(kept), 60_000), np.float32)
    for row, k in enumerate(kept):
        matrix[row, list(members[k])] = 1
    shared = matrix @ matrix.T
    similarity = shared / (sizes[:, None] + sizes[None, :] - shared)
    np.fill_diagonal(similarity, 0)
    assert similarity.max() < 0.8


@pytest.mark.parametrize("index_from", [1, 10**9], ids=["indexed", "all kept compared"])
def test_what_exceeds_the_budget_is_kept_unverified(index_from, monkeypatch) -> None:
    monkeypatch.setattr(verify, "INDEX_FROM", index_from)
    members = templated(120, np.random.default_rng(9))
    order = np.random.default_rng(10).permutation(120)
    full = verify_component(*packed(members), order, 0.8, AMPLE)
    done_before = 0
    for budget in (0, 5000, 50_000, 500_000, AMPLE):
        found = verify_component(*packed(members), order, 0.8, budget)
        done = int((~found.unverified).sum())
        assert not found.unverified[order[:done]].any()
        assert np.array_equal(found.keeper[order[:done]], full.keeper[order[:done]])
        assert (found.keeper[found.unverified] == -1).all()
        assert done >= max(1, done_before)
        done_before = done
    assert done_before == 120
    assert verify_component(*packed(members), order, 0.8, 5000).unverified.any()


def test_empty_members_are_kept() -> None:
    found = verify_component(*packed([set(), {1}, set()]), np.arange(3), 0.5, AMPLE)
    assert found.keeper.tolist() == [-1, -1, -1]


def test_empty_members_are_kept_by_the_index_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "INDEX_FROM", 1)
    members = [set()] * 60 + [{1, 2}] * 3
    found = verify_component(*packed(members), np.arange(63), 0.5, AMPLE)
    assert found.keeper.tolist() == [-1] * 61 + [60, 60]


@settings(deadline=None)
@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_jaccard_is_that_of_the_sets(a: set[int], b: set[int]) -> None:
    first, second = (np.array(sorted(s), np.uint64) for s in (a, b))
    assert jaccard(first, second) == set_jaccard(a, b)


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.1, float("nan")])
def test_the_threshold_is_a_similarity(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold is"):
        verify_component(*packed([{1}]), np.arange(1), threshold, AMPLE)


@pytest.mark.parametrize("order", [[0, 0], [0], [1, 2], [0, 1, 2]])
def test_the_order_names_every_member_once(order: list[int]) -> None:
    with pytest.raises(ValueError, match="no permutation of the 2 members"):
        verify_component(*packed([{1}, {2}]), np.array(order), 0.5, AMPLE)


@pytest.mark.parametrize("size", [1, 3, 10, 49, 100, 333])
def test_bounds_are_exact_where_the_threshold_is_a_ratio(size: int) -> None:
    """Thresholds that floats cannot hold, such as .55 of 100, must not lose a pair."""
    for shared in range(1, size + 1):
        assert greedy._least_shared(size, shared / size) == shared
        total = size + shared
        assert greedy._least_overlap(total, shared / size) == shared
        for threshold in (shared / size, shared / (size + 1), 1 - shared / (size + 1)):
            least = greedy._least_overlap(2 * size, threshold)
            assert least / (2 * size - least) >= threshold
            assert (least - 1) / (2 * size - least + 1) < threshold
