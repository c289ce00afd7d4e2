"""How sure an accuracy is: the error of a finite test set, and the error over seeds.

A test set of n samples is a draw from all that could have been recorded. The binomial error is the error of that draw,
and further seeds on the same samples do not lower it. The error over seeds comes from initialization and the order of
training, on these samples. A figure needs both, and a test of whether the accuracy is above chance at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

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

    largest   samples of the most frequent class; of n classes its share is at least 1 / n, so that no guess does better
    p_value   probability that a guess of accuracy `baseline` is right as often, or more often
    """

    correct: int
    samples: int
    largest: int
    p_value: float

    @property
    def baseline(self) -> float:
        return self.largest / self.samples

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


def chance_test(predictions: np.ndarray, labels: np.ndarray) -> ChanceTest:
    """Whether predictions (sample,) of labels (sample,) are better than chance: see `ChanceTest`.

    Raises ValueError where there are no samples.

        >>> chance_test(np.zeros(40, int), np.arange(40) % 4).is_above
        False
    """
    samples = len(labels)
    if samples < 1:
        raise ValueError("0 samples have no accuracy")
    correct = int((np.asarray(predictions) == np.asarray(labels)).sum())
    largest = int(np.unique(labels, return_counts=True)[1].max())
    p_value = binomial_tail(correct, samples, largest / samples)
    return ChanceTest(correct, samples, largest, p_value)


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
    # fsum: the same values in another order have the same mean, to the last bit.
    return SeedMean(math.fsum(array) / array.size, error, int(array.size))


def over_parts(values: Sequence[float], samples: Sequence[int]) -> SeedMean:
    """Mean of R values on parts of different size, in which every sample counts the same, and its standard error.

    With w a part's share of all samples: sum w p, and sqrt(R / (R - 1) sum w^2 (p - mean)^2). For parts of one size
    they are those of `over_seeds`. Raises ValueError for none, and for a part without samples.
    """
    if len(set(samples)) == 1 and samples[0] > 0:
        return over_seeds(values)
    p, n = np.asarray(values, dtype=np.float64), np.asarray(samples, dtype=np.int64)
    if p.size == 0 or p.shape != n.shape or n.min() < 1:
        raise ValueError(f"{p.size} values of parts of {n.tolist()} samples have no mean")
    whole = int(n.sum())
    mean = math.fsum(p * n) / whole
    variance = p.size / (p.size - 1) * math.fsum((n / whole * (p - mean)) ** 2)
    return SeedMean(mean, math.sqrt(variance), int(p.size))


def exact_mean(accuracies: Sequence[float], samples: Sequence[int]) -> Fraction:
    """Mean of accuracies, each of which is a number of right samples by all of its samples, without rounding.

    Of means that are equal, sums of floats may make two that differ in the last bit. An accuracy that is no such number
    is taken as it is. Raises ZeroDivisionError for none.

    >>> exact_mean([13 / 30, 18 / 30, 12 / 30], [30] * 3) == exact_mean([18 / 30, 12 / 30, 13 / 30], [30] * 3)
    True
    """
    parts = []
    for accuracy, count in zip(accuracies, samples, strict=True):
        right = round(accuracy * count)
        parts.append(Fraction(right, count) if count and right / count == accuracy else Fraction(accuracy))
    return sum(parts, Fraction(0)) / len(parts)


def format_percent(share: float) -> str:
    """A share in percent: `97.50 %`."""
    return f"{100 * share:.2f} %"


def format_accuracy(accuracy: float, samples: int) -> str:
    """An accuracy and its binomial standard error in percent: `97.50 % ± 0.82`."""
    return f"{format_percent(accuracy)} ± {100 * binomial_standard_error(accuracy, samples):.2f}"


def format_seed_mean(result: SeedMean | None) -> str:
    """A mean over seeds and its standard error in percent: `96.84 % ± 0.40`; without ± where there is one seed."""
    if result is None:
        return "-"
    error = "" if result.standard_error is None else f" ± {100 * result.standard_error:.2f}"
    return f"{format_percent(result.mean)}{error}"


def format_points(points: float) -> str:
    """A difference in points of accuracy with its sign: `+0.72`, `-1.30`; `0.00` where rounding leaves nothing."""
    text = f"{points:+.2f}"
    return text if float(text) else "0.00"


def _check(accuracy: float, samples: int) -> None:
    if not 0.0 <= accuracy <= 1.0:
        raise ValueError(f"accuracy {accuracy} is outside 0..1")
    if samples < 1:
        raise ValueError(f"{samples} samples have no accuracy")
