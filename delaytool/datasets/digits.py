"""8x8 handwritten digits as spikes: a data set that comes with the package (its origin is in digits-source.txt)."""

from __future__ import annotations

from importlib import resources

import numpy as np

from delaytool.datasets.events import EventData

N_UNITS = 64
N_CLASSES = 10
MAX_VALUE = 16

# A pixel of value x fires in millisecond k = 16 - x, at FIRST_MS + k * SPACING_MS. Exact milliseconds would lie on
# the edges of 1 ms bins, where float32 rounding decides. With these two numbers a spike lies well inside its bin
# both when bins start at zero (0.30..0.62 into it) and when they start at the sample's first spike (0.00..0.32).
FIRST_MS = 0.30
SPACING_MS = 1.02


def digits_images() -> tuple[np.ndarray, np.ndarray]:
    """(pixels (1797, 64) uint8 in 0..16, labels (1797,) int64): Optical Recognition of Handwritten Digits.

    E. Alpaydin, C. Kaynak 1998, UCI Machine Learning Repository, https://doi.org/10.24432/C50P49; the images, and
    their order, of `sklearn.datasets.load_digits`.
    """
    with (resources.files(__package__) / "digits.npz").open("rb") as file, np.load(file) as images:
        return images["pixels"], images["labels"].astype(np.int64)


def digits_events() -> EventData:
    """The 1,797 digits of `digits_images`, in their order.

    64 units (pixels, row by row), 10 classes. A pixel of value x in 0..16 fires exactly once, in millisecond
    16 - x: dark pixels fire early. Every sample has 64 spikes, one per unit, so that only their times carry
    information.
    """
    pixels, labels = digits_images()
    milliseconds = FIRST_MS + (MAX_VALUE - pixels.astype(np.float64)) * SPACING_MS
    n_samples = len(pixels)
    return EventData(
        times=(milliseconds / 1000).astype(np.float32).reshape(-1),
        units=np.tile(np.arange(N_UNITS, dtype=np.int32), n_samples),
        offsets=np.arange(n_samples + 1, dtype=np.int64) * N_UNITS,
        labels=labels,
        n_units=N_UNITS,
        n_classes=N_CLASSES,
        name="digits",
        class_names=tuple(str(digit) for digit in range(N_CLASSES)),
    ).check()
