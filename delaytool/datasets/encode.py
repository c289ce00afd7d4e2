"""Data of either kind to frames: events are counted, real numbers quantized."""

from __future__ import annotations

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.datasets.binner import bin_events, resolve_counts
from delaytool.datasets.events import EventData
from delaytool.datasets.frames import FrameData
from delaytool.datasets.graded import quantize, resolve_graded
from delaytool.errors import DataError


def resolve_encoding(encoding: InputEncoding, train: EventData | FrameData) -> InputEncoding:
    """Decide what the encoding leaves open, from the training data alone; see `resolve_counts`, `resolve_graded`."""
    if isinstance(train, FrameData):
        return resolve_graded(encoding, train)
    _check(train, encoding)
    return resolve_counts(encoding, train)


def frames_of(data: EventData | FrameData, encoding: InputEncoding) -> np.ndarray:
    """(sample, time, channel) uint8 frames of `data`; see `bin_events` and `quantize`. Raises DataError."""
    if isinstance(data, FrameData):
        return quantize(data, encoding)
    _check(data, encoding)
    return bin_events(data, encoding)


def _check(data: EventData, encoding: InputEncoding) -> None:
    if encoding.values == "graded":
        raise DataError(
            f"{data.name}: these are events, and values 'graded' is for real numbers; set data.values to 'count' or "
            "'binary', or give the data that the network was trained for"
        )
