"""How sure an accuracy is: the error of a finite test set, and the error over seeds.

A test set of n samples is a draw from all that could have been recorded. The binomial error is the error of that draw,
and further seeds on the same samples do not lower it. The error over seeds comes from initialization and the order of
training, on these samples. A figure needs both, and a test of whether the accuracy is above chance at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

Z_95 = 1.959963984540054  # the normal distribution's 97.5 % quantile
# An accuracy that a guess would reach with at least this probability is not above chance.
CHANCE_LEVEL = 0.01


@dataclass(frozen=True)
class SeedMean:
    """mean of `seeds` runs; standard_error of that mean, None for a single run, which does not give one."""

    mean: float
    standard_error: float | None
    seeds: int


def binomial_standard_error(accuracy: float, samples: int) -> float:
    """sqrt(p (1 - p) / n) of an accuracy p in 0..1 on n samples.

    It is 0 where all or none are right, although n samples cannot show that much: `wilson_interval` holds there too.
    Raises ValueError for an accuracy outside 0..1 or no samples.
    """
    _check(accuracy, samples)
    return math.sqrt(accuracy * (1.0 - accuracy) / samples)


def wilson_interval(accuracy: float, samples: int) -> tuple[float, float]:
    """(low, high) of the 95 % score interval, both in 0..1 (E. B. Wilson, JASA 22:209, 1927).

    (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n). Raises ValueError as above.
    """
    _check(accuracy, samples)
    z = Z_95
    scale = 1.0 + z * z / samples
    center = (accuracy + z * z / (2 * samples)) / scale
    half = z * math.sqrt(accuracy * (1 - accuracy) / samples + (z / (2 * samples)) ** 2) / scale
    # At 0 and 1 the bound is the accuracy itself; rounding must not push it past.
    return min(max(0.0, center - half), accuracy), max(min(1.0, center + half), accuracy)


@dataclass(frozen=True)
class ChanceTest:
    """One-sided exact binomial test of `correct` of `samples` against always giving the most frequent class.

    largest   samples of the most frequent class; its share is at least 1 / n_classes, so that no guess does better
    p_value   probability that a guess of accuracy `baseline` is right as often, or more often
    """

    correct: int
    samples: int
    largest: int
    n_classes: int
    p_value: float

    @property
    def baseline(self) -> float:
        return max(self.largest / self.samples, 1 / self.n_classes)

    @property
    def is_above(self) -> bool:
        return self.p_value < CHANCE_LEVEL

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must stand beside the accuracy; empty where it is above chance."""
        if self.is_above:
            return ()
        return (
            f"the accuracy is not above chance: {self.correct:,} of {self.samples:,} samples are right, and always "
            f"giving the most frequent class is right in {self.largest:,} "
            f"(one-sided binomial test: p = {self.p_value:.2g}, not below {CHANCE_LEVEL:g})",
        )

    def as_dict(self) -> dict[str, float | bool]:
        """For machines: JSON values only."""
        return {"baseline": self.baseline, "p_value": self.p_value, "above_chance": self.is_above}


def chance_test(predictions: np.ndarray, labels: np.ndarray, n_classes: int) -> ChanceTest:
    """Whether predictions (sample,) of labels (sample,) are better than chance: see `ChanceTest`.

    Raises ValueError where there are no samples.

        >>> chance_test(np.zeros(40, int), np.arange(40) % 4, 4).is_above
        False
    """
    samples = len(labels)
    if samples < 1 or n_classes < 1:
        raise ValueError(f"{samples} samples of {n_classes} classes have no accuracy")
    correct = int((np.asarray(predictions) == np.asarray(labels)).sum())
    largest = int(np.unique(labels, return_counts=True)[1].max())
    p_value = binomial_tail(correct, samples, max(largest / samples, 1 / n_classes))
    return ChanceTest(correct, samples, largest, n_classes, p_value)


def binomial_tail(successes: int, trials: int, probability: float) -> float:
    """P(X >= successes) of a binomial X: the sum of its terms, each by logarithms so that it does not underflow early.

    Raises ValueError for a probability outside 0..1 or fewer trials than 1.
    """
    _check(probability, trials)
    if successes <= 0:
        return 1.0
    if probability in (0.0, 1.0) or successes > trials:
        return float(probability == 1.0 and successes <= trials)
    yes, no = math.log(probability), math.log1p(-probability)
    whole = math.lgamma(trials + 1)
    terms = (
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * yes + (trials - k) * no)
        for k in range(successes, trials + 1)
    )
    return min(1.0, math.fsum(terms))


def over_seeds(values: Iterable[float]) -> SeedMean:
    """Mean and its standard error, s / sqrt(seeds) with the sample deviation s (n - 1). Raises ValueError for none."""
    array = np.asarray(list(values), dtype=np.float64)
    if array.size == 0:
        raise ValueError("no runs to average")
    error = float(array.std(ddof=1) / math.sqrt(array.size)) if array.size > 1 else None
    return SeedMean(float(array.mean()), error, int(array.size))


def format_accuracy(accuracy: float, samples: int) -> str:
    """An accuracy and its binomial standard error in percent: `97.50 % ± 0.82`."""
    return f"{100 * accuracy:.2f} % ± {100 * binomial_standard_error(accuracy, samples):.2f}"


def format_seed_mean(result: SeedMean) -> str:
    """A mean over seeds and its standard error in percent: `96.84 % ± 0.40`; without ± where there is one seed."""
    error = "" if result.standard_error is None else f" ± {100 * result.standard_error:.2f}"
    return f"{100 * result.mean:.2f} %{error}"


def format_points(points: float) -> str:
    """A difference in points of accuracy with its sign: `+0.72`, `-1.30`; `0.00` where rounding leaves nothing."""
    text = f"{points:+.2f}"
    return text if float(text) else "0.00"


def _check(accuracy: float, samples: int) -> None:
    if not 0.0 <= accuracy <= 1.0:
        raise ValueError(f"accuracy {accuracy} is outside 0..1")
    if samples < 1:
        raise ValueError(f"{samples} samples have no accuracy")
