"""Real numbers to the small integers that a network reads in training, export and verification."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.datasets.frames import FrameData
from delaytool.datasets.memory import new_frames
from delaytool.errors import DataError

# The shares of the training part's values that lie below the lowest integer and above the highest. The quieter half
# becomes 0: every other value costs synaptic events, and biases would have to compensate a mean.
BELOW, ABOVE = 0.5, 0.001
DEFAULT_BITS = 4


def resolve_graded(encoding: InputEncoding, train: FrameData) -> InputEncoding:
    """Decide what the encoding leaves open, from the training data alone.

    n_steps None: the steps of the longest training sample. offset, scale None: integers 0..2^bits - 1 spread evenly
    from the median of the training values to what 0.1 % of them exceed; values at the data's floor (filters without
    any energy) do not count. mel becomes the data's own.
    Raises DataError where units or steps disagree, there is no range, or 32 bit floats lie further apart there than the
    integers can tell.
    """
    _refuse_other_values(train, encoding)
    encoding = replace(encoding, mel=train.mel)
    _check(train, encoding)
    if encoding.n_steps is None:
        encoding = replace(encoding, n_steps=int(train.steps.max()))
    if encoding.offset is None:
        low, high = _range(train)
        encoding = replace(encoding, offset=low, scale=(high - low) / encoding.max_payload)
    _refuse_lost_levels(train, encoding)
    return replace(encoding, max_count=encoding.max_payload)


def quantize(data: FrameData, encoding: InputEncoding) -> np.ndarray:
    """(sample, time, channel) uint8 frames: q = clip(rint((value - offset) / scale), 0, 2^bits - 1) in float32.

    Steps past n_steps are cut, shorter samples end in zeros. Raises DataError where the data do not fit the
    encoding, or the encoding is not decided.
    """
    _check(data, encoding)
    if encoding.n_steps is None or encoding.offset is None or encoding.scale is None:
        raise DataError(
            f"{data.name}: the encoding's n_steps, offset and scale are not decided; take them from the training data"
        )
    frames = new_frames(data.name, len(data), encoding.n_steps, encoding.n_channels)
    for index in range(len(data)):
        rows = data.sample(index)[: encoding.n_steps]
        frames[index, : len(rows)] = quantize_rows(rows, encoding)
    return frames


def quantize_rows(rows: np.ndarray, encoding: InputEncoding) -> np.ndarray:
    """Real numbers (time, channel) to the integers, uint8, that an encoding with offset and scale has for them."""
    assert encoding.offset is not None
    assert encoding.scale is not None
    offset, scale = np.float32(encoding.offset), np.float32(encoding.scale)
    return np.clip(np.rint((rows.astype(np.float32) - offset) / scale), 0, encoding.max_payload).astype(np.uint8)


def quantiles(data: FrameData, shares: tuple[float, ...]) -> tuple[float, ...]:
    """The smallest value that at least each share (0..1) of the values above the floor does not exceed; exact.

    float16 has 65,536 values, so counting them needs no sorting and little memory. float32 is sorted. Raises DataError
    where no value is above the floor.
    """
    if data.values.dtype == np.float32:
        return _quantiles_of_float32(data, shares)
    counts = np.zeros(1 << 16, np.int64)
    for block in data.blocks():
        counts += np.bincount(np.ascontiguousarray(block).view(np.uint16).reshape(-1), minlength=1 << 16)
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64)
    counts[~np.isfinite(every)] = 0
    if data.floor is not None:
        counts[every <= data.floor] = 0
    rising = np.argsort(every, kind="stable")
    below = np.cumsum(counts[rising])
    if below[-1] == 0:
        raise _no_signal(data)
    return tuple(float(every[rising[np.searchsorted(below, max(share * below[-1], 1))]]) for share in shares)


def _quantiles_of_float32(data: FrameData, shares: tuple[float, ...]) -> tuple[float, ...]:
    values = np.concatenate([block.reshape(-1) for block in data.blocks()])
    if data.floor is not None:
        values = values[values > data.floor]
    if values.size == 0:
        raise _no_signal(data)
    values.sort()
    return tuple(float(values[math.ceil(max(share * values.size, 1)) - 1]) for share in shares)


def _no_signal(data: FrameData) -> DataError:
    return DataError(f"{data.name}: every value is at its floor, {data.floor}; give data with a signal in them")


def _refuse_lost_levels(train: FrameData, encoding: InputEncoding) -> None:
    assert encoding.offset is not None
    assert encoding.scale is not None
    furthest = max(abs(encoding.offset), abs(encoding.offset + encoding.max_payload * encoding.scale))
    step = float(np.spacing(np.float32(furthest)))
    if train.values.dtype == np.float32 and step > encoding.scale / 2:
        raise DataError(
            f"{train.name}: at {furthest:,.6g} 32 bit floats are {step:g} apart, and one of the integers stands for "
            f"{encoding.scale:g}; subtract what all values have in common"
        )


def _range(train: FrameData) -> tuple[float, float]:
    low, high = quantiles(train, (BELOW, 1 - ABOVE))
    if not low < high:
        raise DataError(f"{train.name}: its values hardly differ from {low:g}; give data with a signal in them")
    return low, high


def _refuse_other_values(data: FrameData, encoding: InputEncoding) -> None:
    if encoding.values != "graded":
        raise DataError(
            f"{data.name}: its values are real numbers, which data.values {encoding.values!r} cannot hold; "
            "build on a preset for recordings (gsc-3l-1kc or hd-1l-1kc, with --data FOLDER), set data.ear to true "
            "for spikes of recordings, or data.values to 'graded' and data.channel_bins to 1"
        )


def _check(data: FrameData, encoding: InputEncoding) -> None:
    _refuse_other_values(data, encoding)
    if data.n_units != encoding.n_units:
        raise DataError(
            f"{data.name}: its {data.n_units} channels do not match the encoding's {encoding.n_units}; "
            "give data of the same kind, or set data.n_units"
        )
    if data.time_step_ms != encoding.time_step_ms:
        raise DataError(
            f"{data.name}: its steps of {data.time_step_ms:g} ms do not match the encoding's "
            f"{encoding.time_step_ms:g} ms; make them anew with data.time_step_ms={encoding.time_step_ms:g}"
        )
    if encoding.mel is not None and data.mel != encoding.mel:
        raise DataError(f"{data.name}: its frames were made with {data.mel}, the encoding's with {encoding.mel}")
