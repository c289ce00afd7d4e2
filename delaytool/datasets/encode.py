"""Data of either kind to frames: events are counted, real numbers quantized."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from delaytool.contract.ear import EarModel
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
    return replace(resolve_counts(encoding, train), ear=train.ear)


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
    if data.ear is not None and encoding.ear is not None:
        _check_same_ear(data.name, data.ear.model, encoding.ear.model)


def _check_same_ear(name: str, made: EarModel, read: EarModel) -> None:
    """Raise DataError where spikes were `made` by another ear than that whose spikes are `read`."""
    if made.form != read.form:
        raise DataError(
            f"{name}: its spikes are those of the {made.form} ear, the encoding is of the {read.form} one; encode the "
            f"recordings again {'with' if read.causal else 'without'} --causal"
        )
    other = [field.name for field in fields(EarModel) if getattr(made, field.name) != getattr(read, field.name)]
    if other and other != ["n_channels"]:  # another number of units has an error of its own
        first = other[0]
        raise DataError(
            f"{name}: its spikes are those of an ear with {first} {getattr(made, first):g}, the encoding is of one "
            f"with {getattr(read, first):g}; encode the recordings again with that ear"
        )
