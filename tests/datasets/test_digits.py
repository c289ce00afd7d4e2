from __future__ import annotations

import sys

import numpy as np
import pytest

from delaytool.datasets import bin_events, digits_events, resolve_encoding
from delaytool.errors import MissingExtraError
from delaytool.network import InputEncoding

sklearn_datasets = pytest.importorskip("sklearn.datasets")


def test_one_spike_a_pixel_dark_ones_first() -> None:
    data = digits_events()
    pixels, labels = sklearn_datasets.load_digits(return_X_y=True)
    assert (len(data), data.n_units, data.n_classes) == (1797, 64, 10)
    np.testing.assert_array_equal(np.diff(data.offsets), 64)
    np.testing.assert_array_equal(data.labels, labels)
    np.testing.assert_array_equal(np.floor(data.times.astype(float) * 1000).reshape(1797, 64), 16 - pixels)


@pytest.mark.parametrize("start", ["zero", "first-spike"])
def test_bins_of_one_millisecond_hold_the_pixels_value(start: str) -> None:
    data = digits_events()
    encoding = resolve_encoding(InputEncoding(n_units=64, time_step_ms=1, start=start), data)
    assert (encoding.n_steps, encoding.max_count) == (17, 1)
    frames = bin_events(data, encoding)
    np.testing.assert_array_equal(frames.sum(axis=1), 1)
    pixels, _ = sklearn_datasets.load_digits(return_X_y=True)
    darkest = pixels.max(axis=1, keepdims=True) if start == "first-spike" else 16
    np.testing.assert_array_equal(frames.argmax(axis=1), darkest - pixels)


def test_the_same_every_time() -> None:
    np.testing.assert_array_equal(digits_events().times, digits_events().times)


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r"'digits' needs scikit-learn.*delaytool\[train\]"):
        digits_events()
