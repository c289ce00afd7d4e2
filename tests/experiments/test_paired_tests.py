"""McNemar's test is scipy's, 95 of 100 of the bootstrap's intervals hold the truth, Holm's is a closed test."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.experiments.paired_tests import holm, mcnemar, paired_bootstrap

Sample = tuple[np.ndarray, np.ndarray]


def right(both: int, only_one: int, only_other: int, neither: int) -> Sample:
    counts = (both, only_one, only_other, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@given(*[st.integers(0, 60)] * 4)
def test_mcnemar_is_the_exact_binomial_test(both: int, only_one: int, only_other: int, neither: int) -> None:
    if both + only_one + only_other + neither == 0:
        return
    result = mcnemar(*right(both, only_one, only_other, neither))
    assert (result.only_one, result.only_other) == (only_one, only_other)
    split, fewer = only_one + only_other, min(only_one, only_other)
    tail = sum(math.comb(split, number) for number in range(fewer + 1))
    assert result.p_value == pytest.approx(min(1.0, 2 * tail / 2**split), rel=1e-9)


def test_mcnemar_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    for only_one, only_other in ((0, 0), (1, 0), (5, 5), (3, 17), (40, 71), (400, 310)):
        p_value = mcnemar(*right(900, only_one, only_other, 50)).p_value
        expected = stats.binomtest(only_one, only_one + only_other).pvalue if only_one + only_other else 1.0
        assert p_value == pytest.approx(expected, rel=1e-9)


def networks(
    generator: np.random.Generator, runs: int, samples: int, better: float = 0.0, seed_spread: float = 0.3
) -> Sample:
    """Two methods' right answers (run, sample): samples are easy or hard, to each method in a way of its own, and
    networks of one method differ in all samples alike and in each."""
    easy = generator.normal(1.2, 2.0, samples)
    methods = []
    for advantage in (better, 0.0):
        own = easy + generator.normal(advantage, 0.7 if better else 0.0, samples)
        network = generator.normal(0, seed_spread, (runs, 1)) + generator.normal(0, 1.0, (runs, samples))
        methods.append(own + network > 0)
    return methods[0], methods[1]


def true_difference(better: float, seed_spread: float) -> float:
    """Of the accuracies of `networks`, from the normal distribution of all that is added."""

    def accuracy(advantage: float) -> float:
        deviation = math.sqrt(2.0**2 + (0.49 if better else 0.0) + seed_spread**2 + 1.0)
        return 0.5 * (1 + math.erf((1.2 + advantage) / deviation / math.sqrt(2)))

    return accuracy(better) - accuracy(0.0)


@pytest.mark.parametrize(
    ("runs", "better", "seed_spread"), [(1, 0.0, 0.0), (2, 0.0, 0.3), (3, 0.0, 0.3), (5, 0.5, 0.3), (8, 0.5, 0.0)]
)
def test_the_intervals_hold_the_truth_in_95_of_100(runs: int, better: float, seed_spread: float) -> None:
    """400 intervals of 95 % that hold it are 380 +- 4.4; with one run each, the truth is that of the two networks."""
    generator = np.random.default_rng(1)
    truth, held, rejected = true_difference(better, seed_spread), 0, 0
    for _ in range(400):
        one, other = networks(generator, runs, 200, better, seed_spread)
        result = paired_bootstrap(one, other, draws=1000)
        held += result.interval[0] <= truth <= result.interval[1]
        rejected += result.p_value < 0.05
        assert result.difference == pytest.approx(one.mean() - other.mean())
    assert 362 <= held <= 396  # four standard errors
    if better == 0:
        assert rejected <= 38


def test_a_difference_by_chance_and_a_real_one_are_distinguished() -> None:
    generator = np.random.default_rng(3)
    same = [paired_bootstrap(*networks(generator, 5, 400)).p_value for _ in range(20)]
    better = [paired_bootstrap(*networks(generator, 5, 400, better=1.2)) for _ in range(20)]
    assert sum(p_value < 0.05 for p_value in same) <= 3
    assert sum(one.p_value < 0.05 and one.interval[0] > 0 for one in better) >= 19


def test_one_network_against_itself_does_not_differ() -> None:
    one = np.random.default_rng(0).random((3, 50)) < 0.7
    result = paired_bootstrap(one, one)
    assert (result.difference, result.interval, result.p_value) == (0.0, (0.0, 0.0), 1.0)
    assert mcnemar(one[0], one[0]).p_value == 1.0


def test_the_bootstrap_is_antisymmetric_and_repeats_with_its_seed() -> None:
    one, other = networks(np.random.default_rng(5), 4, 300, better=0.5)
    forth, back = paired_bootstrap(one, other), paired_bootstrap(other, one)
    assert forth == paired_bootstrap(one, other)
    assert forth.difference == -back.difference
    assert forth.interval == pytest.approx((-back.interval[1], -back.interval[0]), abs=0.005)


def test_the_chance_of_single_answers_is_counted_once() -> None:
    """Two runs, each pair of answers equally often: rows are equal, and columns differ by single answers alone."""
    one = np.tile([[0, 0, 1, 1], [0, 1, 0, 1]], 100).astype(bool)
    assert paired_bootstrap(one, np.zeros_like(one)).interval == pytest.approx((0.5, 0.5), abs=1e-6)


def test_no_difference_has_a_p_value_of_zero() -> None:
    """No draw is on the other side; one more draw might be."""
    right_in_all = np.ones((1, 50), bool)
    assert paired_bootstrap(right_in_all, ~right_in_all, draws=99).p_value == 2 / 100


def test_with_one_run_the_interval_is_that_of_the_samples() -> None:
    """It is the normal one of paired differences, where there are many samples."""
    one, other = right(700, 150, 50, 100)
    result = paired_bootstrap(one[None], other[None])
    error = math.sqrt((0.2 - 0.1**2) / 1000)
    assert result.interval == pytest.approx((0.1 - 1.96 * error, 0.1 + 1.96 * error), abs=0.002)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
@settings(deadline=None)
def test_holm_is_the_closed_test_of_bonferronis(p_values: list[float]) -> None:
    """A hypothesis counts as rejected where every set of hypotheses that holds it is (Marcus, Peritz, Gabriel 1976)."""
    tests = range(len(p_values))
    sets = [chosen for size in tests for chosen in itertools.combinations(tests, size + 1)]
    for test, adjusted in zip(tests, holm(p_values), strict=True):
        closed = max(len(chosen) * min(p_values[one] for one in chosen) for chosen in sets if test in chosen)
        assert adjusted == pytest.approx(min(1.0, closed), abs=1e-12)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_no_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="no pair"):
        mcnemar(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="no pair"):
        paired_bootstrap(np.ones((2, 0)), np.ones((2, 0)))
