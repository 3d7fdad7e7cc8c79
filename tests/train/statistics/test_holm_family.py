"""Whatever is compared with what, a false claim anywhere stays as rare as alpha."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from simulated import World, at_most, trial

from corpus_builder.train.statistics.family import Family, holm
from corpus_builder.train.statistics.intervals import equivalence_p, p_value

P = hnp.arrays(np.float64, st.integers(1, 8), elements=st.floats(0, 1))


def by_hand(p: np.ndarray, w: np.ndarray, alpha: float) -> set[int]:
    """Holm's procedure as he states it: reject the least p/w while it is within what is left."""
    left, rejected = set(range(len(p))), set()
    while left:
        i = min(left, key=lambda j: p[j] / w[j])
        if p[i] > alpha * w[i] / sum(w[j] for j in left):
            break
        rejected.add(i)
        left.remove(i)
    return rejected


@given(P, st.data(), st.floats(0.001, 0.3))
def test_adjusted_p_values_decide_as_the_procedure_does(
    p: np.ndarray, data: st.DataObject, alpha: float
) -> None:
    w = data.draw(hnp.arrays(np.float64, len(p), elements=st.floats(0.1, 5)))
    adjusted = holm(p, w)
    if np.abs(adjusted - alpha).min() > 1e-9:
        assert set(np.flatnonzero(adjusted <= alpha)) == by_hand(p, w, alpha)


@given(P, st.data())
def test_adjusting_keeps_order_and_never_helps(p: np.ndarray, data: st.DataObject) -> None:
    w = data.draw(hnp.arrays(np.float64, len(p), elements=st.floats(0.1, 5)))
    adjusted = holm(p, w)
    assert (adjusted >= p - 1e-12).all()
    assert (adjusted <= 1).all()
    order = data.draw(st.permutations(range(len(p))))
    assert holm(p[order], w[order]) == pytest.approx(adjusted[order])
    assert holm(np.stack([p, p[::-1]]), w)[0] == pytest.approx(adjusted)


def test_equal_weights_are_the_textbook_holm() -> None:
    assert holm(np.array([0.01, 0.04, 0.03]), np.ones(3)) == pytest.approx([0.03, 0.06, 0.06])


@given(st.integers(1, 9), st.integers(0, 9), st.floats(0.1, 0.9))
def test_the_shares_of_alpha_sum_to_one(arms: int, corpora: int, share: float) -> None:
    family = Family(arms, corpora, share)
    total = arms * family.headline_weight + arms * corpora * family.corpus_weight
    assert total == pytest.approx(1)


def claims(
    world: World, effects: np.ndarray, replicates: int, margin: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Who is called different, who equivalent: (replicates, comparisons), and the true effects."""
    arms, corpora = effects.shape
    family = Family(arms, corpora)
    mean = np.full(corpora, 1 / corpora)
    found = trial(np.random.default_rng(world.seeds), world, replicates, effects, mean)
    shares = np.repeat([family.headline_weight, family.corpus_weight], [arms, arms * corpora])
    p = np.stack([p_value(e.value, e.variances, e.df) for e in found], -1)
    same = np.stack([equivalence_p(e.value, margin, e.variances, e.df) for e in found], -1)
    truth = np.concatenate([effects @ mean, effects.ravel()])
    return holm(p, shares) <= 0.05, holm(same, shares) <= 0.05, truth


FAMILIES = [(2, 3), (3, 7), (6, 2)]


@pytest.mark.parametrize("tails", ["t3", "skewed"])
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_false_differences_are_rare_when_no_arm_differs(seeds: int, tails: str) -> None:
    arms, corpora = FAMILIES[(3, 5, 10).index(seeds)]
    world = World(seeds, documents=60, tails=tails)
    different, _, _ = claims(world, np.zeros((arms, corpora)), 500, margin=0.1)
    assert at_most(int(different.any(-1).sum()), 500, 0.05)


def test_false_differences_are_rare_beside_true_ones_which_holm_finds() -> None:
    """Rejected truths hand their alpha to the rest: the case where a step-down could overspend."""
    effects = np.array([[0.3, 0.0, -0.3], [0.0, 0.0, 0.0]])
    different, _, truth = claims(World(5, documents=100, tails="t3"), effects, 1000, margin=0.1)
    null = np.abs(truth) < 1e-12
    assert at_most(int(different[:, null].any(-1).sum()), 1000, 0.05)
    assert different[:, ~null].mean() > 0.9


def test_false_equivalences_are_rare_at_the_margin() -> None:
    effects = np.array([[0.08, 0.08, 0.08], [-0.08, -0.08, -0.08]])
    world = World(5, documents=100, sd_seeds=0.02, sd_documents=0.1, tails="t3")
    _, same, _ = claims(world, effects, 1000, margin=0.08)
    assert at_most(int(same.any(-1).sum()), 1000, 0.05)
