from __future__ import annotations

import numpy as np
import pytest

from delaytool.contract.encoding import InputEncoding
from delaytool.datasets import bin_events, digits_events, resolve_encoding
from delaytool.datasets.digits import digits_images


def test_the_images_are_those_of_scikit_learn() -> None:
    load_digits = pytest.importorskip("sklearn.datasets").load_digits
    expected_pixels, expected_labels = load_digits(return_X_y=True)
    pixels, labels = digits_images()
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, expected_pixels)
    np.testing.assert_array_equal(labels, expected_labels)


def test_one_spike_per_pixel_dark_ones_first() -> None:
    data = digits_events()
    pixels, labels = digits_images()
    assert (len(data), data.n_units, data.n_classes) == (1797, 64, 10)
    np.testing.assert_array_equal(np.diff(data.offsets), 64)
    np.testing.assert_array_equal(data.labels, labels)
    np.testing.assert_array_equal(np.floor(data.times.astype(float) * 1000).reshape(1797, 64), 16 - pixels.astype(int))


@pytest.mark.parametrize("start", ["zero", "first-spike"])
def test_bins_of_one_millisecond_hold_the_pixels_value(start: str) -> None:
    data = digits_events()
    encoding = resolve_encoding(InputEncoding(n_units=64, time_step_ms=1, start=start), data)
    assert (encoding.n_steps, encoding.max_count) == (17, 1)
    frames = bin_events(data, encoding)
    np.testing.assert_array_equal(frames.sum(axis=1), 1)
    pixels = digits_images()[0].astype(int)
    darkest = pixels.max(axis=1, keepdims=True) if start == "first-spike" else 16
    np.testing.assert_array_equal(frames.argmax(axis=1), darkest - pixels)


def test_the_same_every_time() -> None:
    np.testing.assert_array_equal(digits_events().times, digits_events().times)
