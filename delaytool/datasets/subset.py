"""A subset of samples that represents all of them."""

from __future__ import annotations

import numpy as np


def evenly_spaced(total: int, count: int) -> np.ndarray:
    """Indices of at most `count` of `total` samples, spread out: data are often sorted by speaker or class."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).astype(int))
