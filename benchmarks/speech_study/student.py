"""Student's interval of a mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats


def student_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """(mean, low, high): a 95 % interval of the mean of independent values, such as differences of pairs.

    mean -+ t s / sqrt(n) with s the sample deviation and t Student's 97.5 % quantile with n - 1 degrees of freedom
    (Student, Biometrika 6:1, 1908). Raises ValueError for fewer than two values.

    >>> [round(value, 3) for value in student_interval([1.0, 2.0, 3.0])]
    [2.0, -0.484, 4.484]
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size < 2:
        raise ValueError(f"{array.size} values have no interval; give at least 2")
    half = float(stats.t.ppf(0.975, array.size - 1) * array.std(ddof=1) / np.sqrt(array.size))
    mean = float(array.mean())
    return mean, mean - half, mean + half
