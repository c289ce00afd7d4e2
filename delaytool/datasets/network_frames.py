"""Frames that a caller has, as the integers that a network reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.datasets.arrays import array_of, count_frames
from delaytool.datasets.frames import check_finite
from delaytool.datasets.graded import quantize_rows
from delaytool.errors import DataError


def network_frames(encoding: InputEncoding, values: Any) -> np.ndarray:
    """Frames (sample, time, channel) as integers, of as many steps as were given.

    Whole numbers are what the network reads; of values 'graded', floats are real numbers, quantized as in training.
    Raises DataError for another shape, and for numbers that are neither.
    """
    frames = array_of(values)
    if encoding.values != "graded" or encoding.offset is None or frames.ndim != 3:
        return count_frames(frames)
    if frames.dtype.kind == "f":
        return _quantized(frames, encoding)
    frames = count_frames(frames)
    low, high = int(frames.min(initial=0)), int(frames.max(initial=0))
    if low < 0 or high > encoding.max_payload:
        raise DataError(
            f"frames hold the value {low if low < 0 else high}, and whole numbers are taken as quantized already, "
            f"0..{encoding.max_payload}; give real numbers as floats (frames.astype(float)), which are quantized as in "
            "training"
        )
    return frames


def _quantized(frames: np.ndarray, encoding: InputEncoding) -> np.ndarray:
    kind = np.float32 if encoding.mel is None else np.float16  # as training has them
    quantized = np.empty(frames.shape, np.uint8)
    for index, sample in enumerate(frames):
        with np.errstate(over="ignore"):  # what the type does not hold becomes infinite
            rows = sample.astype(kind)
        check_finite("frames", index, rows)
        quantized[index] = quantize_rows(rows, encoding)
    return quantized
