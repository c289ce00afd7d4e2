"""Input that is still coming, to frames: each frame as soon as it is complete.

An `Encoder` is all that `listen.Listener` knows of a kind of input, and `encoder_for` chooses one for a network.
Another kind of input is a class with these members and a line there.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.datasets.graded import quantize_rows
from delaytool.datasets.mel import decibels, filterbank, hann_window
from delaytool.errors import DataError
from delaytool.inference.ear_encoder import EarEncoder
from delaytool.inference.resampler import Resampler, checked_sound
from delaytool.inference.step_counts import EventError, StepCounts


class Encoder(Protocol):
    """Portions of input to the frames of a network's steps.

    Whatever the portions, the frames together are those of the whole input.

    delay_s   how long after the end of a frame's step the last input comes that the frame depends on
    """

    delay_s: float

    def push(self, portion: Any) -> np.ndarray:
        """The frames, (time, channel) uint8, that are complete with this portion and were not before."""

    def finish(self) -> np.ndarray:
        """The input has ended: the frames, (time, channel) uint8, that are left."""


def encoder_for(encoding: InputEncoding, rate: int | None = None) -> Encoder:
    """The encoder of the input that a network was trained on.

    rate   Hz, of sound; None: the rate that the network's mel frames are made at. A network that was trained on
           spikes of the ear takes sound where a rate is given, and events, such as another ear makes, where none is
    Raises DataError where frames of real numbers are read, which nothing that streams is made into, and for sound
    where the network was trained on spikes of the ear that takes a recording as a whole.
    """
    if encoding.ear is not None and rate is not None:
        return EarEncoder(encoding, rate)
    if encoding.mel is not None:
        return MelEncoder(encoding, encoding.mel.sample_rate if rate is None else rate)
    if encoding.values == "graded":
        raise DataError(
            f"the network reads frames of {encoding.n_units} real numbers, made by nothing that it names; quantize "
            "them and give each to Stream.step"
        )
    return EventEncoder(encoding)


class EventEncoder:
    """Events, (times in s, units) in order of time, to counts per step and channel (see `StepCounts`).

    A step's frame is complete when an event of a later step comes, or `advance` is called for a later time.
    Times are float32, as in files of events, so that the frames are the same.
    """

    delay_s = 0.0

    def __init__(self, encoding: InputEncoding) -> None:
        self.encoding = encoding
        self._counts = StepCounts(encoding)

    def push(self, portion: tuple[Any, Any]) -> np.ndarray:
        """See Encoder. Raises DataError for times and units that are none, EventError where it is one event's fault."""
        times = _checked_times(portion[0])
        units = np.asarray(portion[1]).reshape(-1)
        if times.size != units.size or (units.size and units.dtype.kind not in "iu"):
            raise DataError(f"events: {times.size} times and {units.size} units ({units.dtype}); give one of each")
        n_units = self.encoding.n_units
        if units.size and (units.min() < 0 or units.max() >= n_units):
            at = int(np.argmax((units < 0) | (units >= n_units)))
            raise EventError(at, unit_fault(units[at], n_units))
        return self._counts.count(times, units)

    def advance(self, time_s: float) -> np.ndarray:
        """The frames that are complete where no event came before `time_s`. Raises EventError for no such time."""
        return self._counts.pass_time(float(_checked_times(time_s)[0]))

    def finish(self) -> np.ndarray:
        return self._counts.finish()


def unit_fault(unit: object, n_units: int) -> str:
    return f"unit {unit} is outside 0..{n_units - 1}; give events of the units that the network was trained on"


def _checked_times(times: Any) -> np.ndarray:
    """(n,) float64, rounded to float32 as files have them. Raises EventError for what is no time."""
    with np.errstate(over="ignore"):  # what is beyond float32 becomes inf
        rounded = np.asarray(times).reshape(-1).astype(np.float32).astype(np.float64)
    is_time = (rounded >= 0) & (rounded < np.inf)  # NaN fails every comparison
    if not is_time.all():
        at = int(np.argmin(is_time))
        raise EventError(at, f"time {rounded[at]:g} is not a finite, non-negative number of seconds; correct it")
    return rounded


class MelEncoder:
    """Sound, (samples,) in -1..1 at `rate` Hz, to quantized mel frames; as `mel_frames` and `quantize` make them.

    A frame is centered on its time, so it is complete half a transform (n_fft / 2 samples) later, and where sound is
    resampled also the reach of that kernel: `delay_s`. Before the first sample the sound is reflected, as in
    `mel_frames`, which needs no more than that delay; after the last one it is when the input ends. An input that is
    shorter than the encoding's `mel.seconds` is followed by zeros up to there, as in training; a longer one is not cut.
    """

    def __init__(self, encoding: InputEncoding, rate: int) -> None:
        if encoding.mel is None:
            raise DataError("the network was not trained on recordings; give it what it reads")
        self.encoding, self.rate, self.mel = encoding, rate, encoding.mel
        self._resampler = Resampler(rate, self.mel.sample_rate)
        self._window, self._bank = hann_window(self.mel), filterbank(self.mel)
        self._half, self._hop = self.mel.n_fft // 2, self.mel.hop(encoding.time_step_ms)
        self.delay_s = (self.mel.n_fft - self._half) / self.mel.sample_rate + self._resampler.delay_s
        self._n_given = 0
        self._sound = np.zeros(0)
        self._has_begun = False
        self._next = 0  # where in self._sound the next frame begins

    def push(self, portion: Any) -> np.ndarray:
        """See Encoder. Raises DataError for what is no sound."""
        sound = checked_sound(portion)
        self._n_given += sound.size
        return self._frames(self._resampler.push(sound))

    def finish(self) -> np.ndarray:
        missing = 0 if self.mel.seconds is None else round(self.mel.seconds * self.rate) - self._n_given
        parts = [self.push(np.zeros(missing))] if missing > 0 else []
        rest = self._resampler.finish()
        if not self._has_begun:  # reflection needs as much
            rest = np.pad(rest, (0, max(0, self._half + 1 - self._sound.size - rest.size)))
        parts.append(self._frames(rest))
        parts.append(self._frames(self._sound[-2 : -self._half - 2 : -1]))
        return np.concatenate(parts)

    def _frames(self, sound: np.ndarray) -> np.ndarray:
        """The frames that `sound`, at the frames' rate, completes."""
        whole = np.concatenate([self._sound, sound])
        if not self._has_begun and whole.size > self._half:
            self._has_begun = True
            whole = np.concatenate([whole[self._half : 0 : -1], whole])
        n_fft = self.mel.n_fft
        count = (whole.size - self._next - n_fft) // self._hop + 1 if self._has_begun else 0
        rows = np.zeros((0, self.mel.n_mels), np.float16)
        if count > 0:
            pieces = np.lib.stride_tricks.sliding_window_view(whole[self._next :], n_fft)[:: self._hop][:count]
            rows = decibels(pieces, self._window, self._bank)
            self._next += count * self._hop
        # What the next frame begins with stays, and what the end reflects.
        gone = max(0, min(self._next, whole.size - self._half - 1))
        self._sound, self._next = whole[gone:], self._next - gone
        return quantize_rows(rows, self.encoding)
