"""The variance of a difference: every cause once, and each as the textbook has it."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import World, comparison

from corpus_builder.train.statistics.components import Part, estimate


def drawn(seeds: int = 4, n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    sizes = rng.integers(50, 5000, n).astype(float)
    return rng.standard_normal((seeds, n)) * sizes, sizes


def test_the_value_is_total_bits_over_total_bytes_averaged_over_seeds() -> None:
    y, m = drawn()
    assert estimate([Part(y, m)]).value == pytest.approx(y.sum() / 4 / m.sum())


def test_document_variance_is_the_delete_one_jackknife_less_the_rest() -> None:
    y, m = drawn(seeds=3)
    y = y + 5 * m * np.linspace(-1, 1, len(m))  # documents dominate: nothing is clipped at 0
    n, mean = len(m), y.mean(0)
    left_out = np.array([(mean.sum() - mean[d]) / (m.sum() - m[d]) for d in range(n)])
    jackknife = (n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()
    singles = np.array([[(s.sum() - s[d]) / (m.sum() - m[d]) for d in range(n)] for s in y])
    around = singles - singles.mean(1, keepdims=True)
    rest = (n - 1) / n * ((around - around.mean(0)) ** 2).sum() / (3 * 2)
    assert estimate([Part(y, m)]).variances[1] == pytest.approx(jackknife - rest, rel=1e-9)


def test_equal_lengths_give_the_mean_squares_of_a_two_way_analysis() -> None:
    y = np.random.default_rng(1).standard_normal((5, 40)) + np.arange(40) + np.arange(5)[:, None]
    seeds, n = y.shape
    over_seeds, over_documents, mean = y.mean(0), y.mean(1), y.mean()
    ms_seeds = n * ((over_documents - mean) ** 2).sum() / (seeds - 1)
    ms_documents = seeds * ((over_seeds - mean) ** 2).sum() / (n - 1)
    rest = y - over_seeds - over_documents[:, None] + mean
    ms_rest = (rest**2).sum() / ((seeds - 1) * (n - 1))
    found = estimate([Part(y * 7, np.full(n, 7.0))])
    expected = np.array([ms_seeds, ms_documents - ms_rest]) / (seeds * n)
    assert found.variances == pytest.approx(expected, rel=1e-9)
    assert found.df[0] == seeds - 1


def test_a_single_cause_leaves_nothing_to_the_other() -> None:
    m = np.full(50, 10.0)
    seeds_only = np.linspace(-1, 1, 4)[:, None] * m
    of_seeds, of_documents = estimate([Part(seeds_only, m)]).variances
    assert of_seeds > 0
    assert of_documents == pytest.approx(0, abs=1e-20)
    documents_only = np.tile(np.linspace(-1, 1, 50) * m, (4, 1))
    of_seeds, of_documents = estimate([Part(documents_only, m)]).variances
    assert of_seeds == pytest.approx(0, abs=1e-20)
    assert of_documents > 0


def test_the_parts_add_up_to_the_true_variance_without_counting_twice() -> None:
    """Mean squares are unbiased: 3,000 trials know the true variance to 3 %, the rest is 16 %."""
    world = World(6, 40, sd_seeds=0.1, sd_documents=0.5, sd_rest=0.6, tails="normal", lengths=0)
    found = comparison(np.random.default_rng(2), world, 3000)
    truth = 0.1**2 / 6 + 0.5**2 / 40 + 0.6**2 / (6 * 40)
    assert found.value.var() == pytest.approx(truth, rel=0.1)
    assert found.variances.sum(-1).mean() == pytest.approx(truth, rel=0.06)


def test_uneven_lengths_err_to_the_wide_side() -> None:
    """The jackknife of a ratio is biased upwards (Efron & Stein 1981)."""
    world = World(4, 80, sd_documents=0.2, tails="normal", lengths=0.8)
    found = comparison(np.random.default_rng(2), world, 2000)
    assert 0.95 < found.variances.sum(-1).mean() / found.value.var() < 1.25


def test_a_headline_moves_seeds_together_and_documents_apart() -> None:
    a, m = drawn()
    a = a + 3 * m * np.linspace(-1, 1, len(m))  # documents that differ, or nothing is left of them
    b = a[:, ::-1] + 2 * m
    both = estimate([Part(a, m, 0.25), Part(b, m, 0.75)])
    alone = [estimate([Part(y, m)]) for y in (a, b)]
    per_seed = 0.25 * a.sum(1) / m.sum() + 0.75 * b.sum(1) / m.sum()
    assert both.value == pytest.approx(0.25 * alone[0].value + 0.75 * alone[1].value)
    assert both.variances[0] >= per_seed.var(ddof=1) / 4 * (1 - 1e-12)
    squares = [0.25**2 * alone[0].variances[1], 0.75**2 * alone[1].variances[1]]
    assert min(squares) > 0
    assert both.variances[1:] == pytest.approx(squares)


def test_seeds_that_agree_by_luck_still_vary_by_the_rest() -> None:
    y, m = drawn()
    y = y - y.sum(1, keepdims=True) / m.sum() * m  # every seed's difference is now 0
    of_seeds = estimate([Part(y, m)]).variances[0]
    n, single = len(m), y / (m.sum() - m)
    single = single - single.mean(1, keepdims=True)
    rest = (n - 1) / n * ((single - single.mean(0)) ** 2).sum() / (4 * 3)
    assert of_seeds == pytest.approx(rest)


def test_degrees_of_freedom_fall_with_the_documents_that_carry_the_variance() -> None:
    rng = np.random.default_rng(3)
    m = np.full(200, 1000.0)
    documents = rng.standard_normal(200)
    even = estimate([Part(np.tile(documents * m, (3, 1)), m)]).df[1]
    documents[0] = 40
    one_outlier = estimate([Part(np.tile(documents * m, (3, 1)), m)]).df[1]
    assert even > 150
    assert one_outlier < 5


def test_replicates_are_independent_of_each_other() -> None:
    rng = np.random.default_rng(4)
    y, m = rng.standard_normal((6, 3, 20)), rng.uniform(1, 9, (6, 20))
    together = estimate([Part(y, m, 0.5), Part(y * 2, m, 0.5)])
    for r in range(6):
        single = estimate([Part(y[r], m[r], 0.5), Part(y[r] * 2, m[r], 0.5)])
        assert together.variances[r] == pytest.approx(single.variances)
        assert together.df[r] == pytest.approx(single.df)
