"""scikit-learn's 8x8 handwritten digits as spikes: a data set that needs no download."""

from __future__ import annotations

import numpy as np

from delaytool.datasets.events import EventData
from delaytool.errors import MissingExtraError

N_UNITS = 64
N_CLASSES = 10
MAX_VALUE = 16

# A pixel of value x fires in millisecond k = 16 - x, at FIRST_MS + k * SPACING_MS. Exact milliseconds would lie on
# the edges of 1 ms bins, where float32 rounding decides. With these two numbers a spike lies well inside its bin
# both when bins start at zero (0.30..0.62 into it) and when they start at the sample's first spike (0.00..0.32).
FIRST_MS = 0.30
SPACING_MS = 1.02


def digits_events() -> EventData:
    """The 1,797 digits of `sklearn.datasets.load_digits` (E. Alpaydin, C. Kaynak 1998), in their order.

    64 units (pixels, row by row), 10 classes. A pixel of value x in 0..16 fires exactly once, in millisecond
    16 - x: dark pixels fire early. Every sample has 64 spikes, one a unit, so that only their times carry
    information. Raises MissingExtraError without scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtraError("the data set 'digits'", "scikit-learn", "train") from None
    pixels, labels = load_digits(return_X_y=True)  # (1797, 64) whole numbers as floats, (1797,)
    pixels, labels = np.asarray(pixels), np.asarray(labels)
    milliseconds = FIRST_MS + (MAX_VALUE - pixels) * SPACING_MS
    n_samples = len(pixels)
    return EventData(
        times=(milliseconds / 1000).astype(np.float32).reshape(-1),
        units=np.tile(np.arange(N_UNITS, dtype=np.int32), n_samples),
        offsets=np.arange(n_samples + 1, dtype=np.int64) * N_UNITS,
        labels=labels.astype(np.int64),
        n_units=N_UNITS,
        n_classes=N_CLASSES,
        name="digits",
        class_names=tuple(str(digit) for digit in range(N_CLASSES)),
    ).check()
