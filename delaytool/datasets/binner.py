"""Events to frames: count the spikes of every time step and channel."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.datasets.events import EVENTS_AT_ONCE, EventData, runs
from delaytool.datasets.memory import MAX_CELLS, new_frames
from delaytool.errors import DataError

# Cells of the int64 count array that is made at once: 64 MiB.
CELLS_AT_ONCE = 1 << 23
# A sample of more steps has times in ms or us rather than such a length.
MAX_STEPS = 100_000


def bin_events(data: EventData, encoding: InputEncoding) -> np.ndarray:
    """(sample, time, channel) uint8 frames of `data`.

    step = floor((t - t0) / dt) in float64, with t0 the sample's first event, or 0 for start 'zero', and
    dt = time_step_ms / 1000. Events at or past n_steps are cut, shorter samples end in silence. A channel is
    unit // channel_bins. Counts saturate at max_count (255 where it is None); 'binary' gives 0 and 1.

    Raises DataError where the data's number of units is not the encoding's, n_steps is None, or the frames do
    not fit into memory.
    """
    n_steps = _check(data, encoding)
    frames = new_frames(data.name, len(data), n_steps, encoding.n_channels)
    for low, high, counts in _counts(data, encoding, n_steps):
        # Saturate while the counts are wide: a cast to uint8 would wrap 256 to 0.
        frames[low:high] = np.minimum(counts, encoding.max_payload).reshape(high - low, *frames.shape[1:])
    return frames


def resolve_counts(encoding: InputEncoding, train: EventData) -> InputEncoding:
    """Decide what the encoding leaves open, from the training data alone.

    n_steps None: the steps of the longest training sample. max_count None: the largest count in the training
    frames, at most 255 (1 for values 'binary'). Raises DataError where the units disagree, no sample has an
    event, or the longest sample has more than 100,000 steps.
    """
    _check_units(train, encoding)
    if train.n_events == 0:
        raise DataError(f"{train.name}: no sample has any event; give data with spikes")
    if encoding.n_steps is None:
        encoding = replace(encoding, n_steps=_longest(train, encoding))
    if encoding.max_count is None:
        largest = 1
        if encoding.values == "count":
            for _, _, counts in _counts(train, encoding, _check(train, encoding)):
                largest = max(largest, int(counts.max(initial=0)))
        encoding = replace(encoding, max_count=min(largest, 255))
    return encoding


def digest(frames: np.ndarray, labels: np.ndarray) -> str:
    """Hexadecimal SHA-256 over the frames' and labels' shapes, types and values: equal data have the same digest.

    Labels count by value, whatever their integer type.
    """
    sha = hashlib.sha256()
    for array in (frames, np.asarray(labels, dtype=np.int64)):
        plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        sha.update(f"{array.shape} {plain.dtype.str}\n".encode())
        sha.update(plain.reshape(-1).view(np.uint8).data)
    return sha.hexdigest()


def _check_units(data: EventData, encoding: InputEncoding) -> None:
    if data.n_units != encoding.n_units:
        raise DataError(
            f"{data.name}: its {data.n_units} units do not match the encoding's {encoding.n_units}; "
            "give data of the same recording layout, or set data.n_units"
        )


def _check(data: EventData, encoding: InputEncoding) -> int:
    """The encoding's n_steps, if the data can be binned with it."""
    _check_units(data, encoding)
    if encoding.n_steps is None:
        raise DataError(
            f"{data.name}: the encoding's n_steps is not decided; set data.n_steps, or take it from the training data"
        )
    return encoding.n_steps


def _counts(data: EventData, encoding: InputEncoding, n_steps: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (low, high, counts (high - low) * n_steps * n_channels int64) for ranges of samples that fit memory."""
    cells = n_steps * encoding.n_channels
    if cells > MAX_CELLS:
        new_frames(data.name, len(data), n_steps, encoding.n_channels)  # raises
    for low, high in runs(data.offsets, EVENTS_AT_ONCE, CELLS_AT_ONCE // cells):
        sample, step = _steps(data, encoding, low, high)
        inside = step < n_steps  # while steps are floats: an absurdly late one need not fit an integer
        channel = data.units[data.offsets[low] : data.offsets[high]][inside] // encoding.channel_bins
        cell = (sample[inside] * n_steps + step[inside].astype(np.int64)) * encoding.n_channels + channel
        yield low, high, np.bincount(cell, minlength=(high - low) * cells)


def _steps(data: EventData, encoding: InputEncoding, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """(sample - low, step as float64) of every event of samples low..high - 1."""
    offsets = data.offsets[low : high + 1]
    times = data.times[offsets[0] : offsets[-1]].astype(np.float64)
    sample = np.repeat(np.arange(high - low), np.diff(offsets))
    if encoding.start == "first-spike" and times.size:
        first = np.zeros(high - low)
        # reduceat gives nonsense for empty ranges; without them, each range ends where the next one starts.
        filled = np.flatnonzero(np.diff(offsets))
        first[filled] = np.minimum.reduceat(times, offsets[filled] - offsets[0])
        times = times - first[sample]
    return sample, np.floor(times / (encoding.time_step_ms / 1000))


def _longest(train: EventData, encoding: InputEncoding) -> int:
    longest, at = 0.0, 0
    for low, high in runs(train.offsets):
        sample, step = _steps(train, encoding, low, high)
        if step.max(initial=-1) + 1 > longest:
            longest, at = float(step.max()) + 1, low + int(sample[np.argmax(step)])
    if longest > MAX_STEPS:
        raise DataError(
            f"{train.name}: sample {at}: it lasts {longest:.0f} steps of {encoding.time_step_ms:g} ms, over the limit "
            f'of {MAX_STEPS:,}; if its times are not seconds set data.time_unit ("ms", "us"), else '
            "data.n_steps or a longer data.time_step_ms"
        )
    return int(longest)
