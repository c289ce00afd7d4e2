"""Errors of accuracies, against exact sums, defining equations and values worked out by hand."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delaytool.accuracy_errors import (
    SeedMean,
    binomial_standard_error,
    binomial_tail,
    chance_test,
    exact_mean,
    format_accuracy,
    format_points,
    format_seed_mean,
    over_parts,
    over_seeds,
    wilson_interval,
)


def test_the_binomial_error_is_the_deviation_of_the_binomial_distribution() -> None:
    n, p = 12, 0.7
    hits = np.arange(n + 1)
    mass = np.array([math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in hits])
    deviation = math.sqrt(float((mass * (hits / n - p) ** 2).sum()))
    assert binomial_standard_error(p, n) == pytest.approx(deviation, rel=1e-12)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_bounds_are_where_the_score_is_z(case: tuple[int, int]) -> None:
    correct, n = case
    p = correct / n
    low, high = wilson_interval(p, n)
    assert 0 <= low <= p <= high <= 1
    for bound in (low, high):
        if 0 < bound < 1:  # the defining equation: |p - bound| = z sqrt(bound (1 - bound) / n)
            assert abs(p - bound) == pytest.approx(1.959964 * math.sqrt(bound * (1 - bound) / n), rel=1e-4, abs=1e-9)


def test_wilsons_interval_of_ten_right_of_ten_is_not_a_point() -> None:
    low, high = wilson_interval(1.0, 10)
    assert low == pytest.approx(0.7224672, abs=1e-6)  # 10 / (10 + z^2), by hand
    assert high == 1.0
    assert wilson_interval(0.0, 10) == (0.0, pytest.approx(1 - 0.7224672, abs=1e-6))


def test_mean_and_standard_error_over_seeds() -> None:
    result = over_seeds([0.90, 0.92, 0.97])
    assert result.mean == pytest.approx(0.93)
    # deviations -0.03, -0.01, 0.04: variance 0.0026 / 2, over 3
    assert result.standard_error == pytest.approx(math.sqrt(0.0013 / 3))
    assert result.seeds == 3


def test_one_seed_has_no_error() -> None:
    assert over_seeds([0.5]) == SeedMean(0.5, None, 1)
    assert format_seed_mean(over_seeds([0.5])) == "50.00 %"


def test_accuracies_are_formatted_in_percent() -> None:
    assert format_accuracy(0.975, 359) == "97.50 % ± 0.82"
    assert format_seed_mean(SeedMean(0.9684, 0.004, 3)) == "96.84 % ± 0.40"


@pytest.mark.parametrize(("accuracy", "samples"), [(1.01, 10), (-0.1, 10), (float("nan"), 10), (0.5, 0)])
def test_what_is_no_accuracy_is_refused(accuracy: float, samples: int) -> None:
    for function in (binomial_standard_error, wilson_interval):
        with pytest.raises(ValueError, match="accuracy"):
            function(accuracy, samples)


def test_no_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="no runs"):
        over_seeds([])


@given(st.integers(1, 60), st.data(), st.floats(0, 1))
def test_the_tail_is_the_exact_sum(n: int, data: st.DataObject, p: float) -> None:
    k = data.draw(st.integers(0, n + 1))
    exact = math.fsum(math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1))
    assert binomial_tail(k, n, p) == pytest.approx(exact, rel=1e-9, abs=1e-300)


def test_the_tail_of_many_trials_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    for n, k, p in ((20_382, 1_100, 1 / 20), (359, 350, 0.1), (2_264, 130, 0.05), (100_000, 50_500, 0.5)):
        assert binomial_tail(k, n, p) == pytest.approx(stats.binom.sf(k - 1, n, p), rel=1e-8, abs=1e-300)


def test_chance_is_the_most_frequent_class() -> None:
    labels = np.array([0] * 70 + [1] * 20 + [2] * 10)
    always = chance_test(np.zeros(100, int), labels)
    assert (always.baseline, always.is_above) == (0.7, False)
    assert "70 of 100 samples are right, and always giving the most frequent class is right in 70" in always.warnings[0]
    assert chance_test(labels, labels).is_above
    assert chance_test(labels, labels).warnings == ()
    # 77 of 100 where 70 come for nothing: such luck has a probability of 0.08.
    assert not chance_test(np.where(np.arange(100) < 77, labels, 9), labels).is_above


def test_points_have_a_sign_but_for_what_rounds_to_nothing() -> None:
    points = (0.724, -1.3, 0.004, -0.004, -0.0)
    assert [format_points(value) for value in points] == ["+0.72", "-1.30", "0.00", "0.00", "0.00"]


def test_one_class_proves_nothing() -> None:
    assert not chance_test(np.zeros(500, int), np.zeros(500, int)).is_above
    with pytest.raises(ValueError, match="0 samples"):
        chance_test(np.zeros(0, int), np.zeros(0, int))


def test_over_parts_is_the_mean_of_all_samples() -> None:
    right = [np.repeat([1, 0], counts) for counts in ((3, 9), (42, 42), (20, 4))]
    accuracies, samples = [part.mean() for part in right], [part.size for part in right]
    result = over_parts(accuracies, samples)
    whole = np.concatenate(right).mean()
    shares = np.array(samples) / sum(samples)
    assert result.mean == pytest.approx(whole)
    assert result.standard_error == pytest.approx(np.sqrt(3 / 2 * (shares**2 * (accuracies - whole) ** 2).sum()))
    assert over_parts([0.2, 0.4, 0.9], [5, 5, 5]) == over_seeds([0.2, 0.4, 0.9])
    for values, sizes in (([], []), ([0.5, 0.5], [3, 0])):
        with pytest.raises(ValueError, match="have no mean"):
            over_parts(values, sizes)


def test_means_do_not_depend_on_the_order() -> None:
    values = [13 / 30, 18 / 30, 12 / 30]
    assert len({over_seeds(order).mean for order in itertools.permutations(values)}) == 1
    assert len({exact_mean(order, [30] * 3) for order in itertools.permutations(values)}) == 1
    assert exact_mean([13 / 30, 17 / 30], [30, 30]) == exact_mean([0.5], [2]) == Fraction(1, 2)
    assert exact_mean([0.123], [10]) == Fraction(0.123)  # of no number of 10 samples
