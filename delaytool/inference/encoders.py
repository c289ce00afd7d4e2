"""Input that is still coming, to frames: each frame as soon as it is complete.

An `Encoder` is all that `listen.Listener` knows of a kind of input, and `encoder_for` chooses one for a network.
Another kind of input is a class with these members and a line there.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Protocol

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.datasets.events import check_times, check_units
from delaytool.datasets.graded import quantize_rows
from delaytool.datasets.mel import decibels, filterbank, hann_window, resample, resampling_factors
from delaytool.errors import DataError

# Silence that events may leave between them. A longer one is taken for a mistake: it would be run step by step.
LONGEST_GAP_S = 3600.0


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

    rate   Hz, of sound; None: the rate that the network's frames are made at
    Raises DataError where frames of real numbers are read, which nothing that streams is made into.
    """
    if encoding.mel is not None:
        return MelEncoder(encoding, encoding.mel.sample_rate if rate is None else rate)
    if encoding.values == "graded":
        raise DataError(
            f"the network reads frames of {encoding.n_units} real numbers, made by nothing that it names; quantize "
            "them and give each to Stream.step"
        )
    return EventEncoder(encoding)


class EventEncoder:
    """Events, (times in s, units) in order of time, to counts per step and channel; as `bin_events` does it.

    With start 'first-spike' step 0 begins at the first event, and what comes before it is no step; with 'zero' at time
    0. A step's frame is complete when an event of a later step comes, or `advance` is called for a later time.
    Times are float32, as in files of events, so that the frames are the same.
    """

    delay_s = 0.0

    def __init__(self, encoding: InputEncoding) -> None:
        self.encoding = encoding
        self._seconds = encoding.time_step_ms / 1000
        self._zero = None if encoding.start == "first-spike" else 0.0
        self._latest = 0.0
        self._step = 0
        self._counts: np.ndarray | None = None if encoding.start == "first-spike" else self._no_counts()

    def _no_counts(self) -> np.ndarray:
        return np.zeros(self.encoding.n_channels, np.int64)

    def push(self, portion: tuple[Any, Any]) -> np.ndarray:
        """See Encoder. Raises DataError for times and units that are none, or events that are out of order."""
        with np.errstate(over="ignore"):  # what is beyond float32 becomes inf, which check_times names
            times = np.asarray(portion[0]).reshape(-1).astype(np.float32)
        units = np.asarray(portion[1]).reshape(-1)
        if times.size != units.size or (units.size and units.dtype.kind not in "iu"):
            raise DataError(f"events: {times.size} times and {units.size} units ({units.dtype}); give one of each")
        if times.size == 0:
            return self._none()
        ends = np.array([0, times.size])
        check_times("events", times, ends)
        check_units("events", units, ends, self.encoding.n_units)
        steps = self._steps(times.astype(np.float64))
        if self._counts is None:
            self._counts = self._no_counts()
        channels = units // self.encoding.channel_bins
        frames = []
        # Where steps change: events of one step are counted together.
        starts = np.concatenate([[0], np.flatnonzero(np.diff(steps)) + 1, [steps.size]])
        for low, high in itertools.pairwise(starts):
            frames += self._until(int(steps[low]))
            np.add.at(self._counts, channels[low:high], 1)
        return np.stack(frames) if frames else self._none()

    def advance(self, time_s: float) -> np.ndarray:
        """The frames that are complete where no event came before `time_s`."""
        time = float(np.float32(time_s))
        check_times("events", np.array([time]), np.array([0, 1]))
        if self._counts is None:
            return self._none()
        frames = self._until(int(self._steps(np.array([time]))[0]))
        return np.stack(frames) if frames else self._none()

    def finish(self) -> np.ndarray:
        if self._counts is None:
            return self._none()
        return self._until(self._step + 1)[0][None]

    def _none(self) -> np.ndarray:
        return np.zeros((0, self.encoding.n_channels), np.uint8)

    def _steps(self, times: np.ndarray) -> np.ndarray:
        """Which step each time is in. Raises DataError for a time before the one before it, or too long after it."""
        if self._zero is None:
            self._zero = self._latest = float(times[0])
        befores = np.concatenate([[self._latest], times[:-1]])
        gaps = times - befores
        bad = (gaps < 0) | (gaps > LONGEST_GAP_S)
        if bad.any():
            at = int(np.argmax(bad))
            if gaps[at] < 0:
                raise DataError(f"events: time {times[at]:g} s comes after {befores[at]:g} s; give events in order")
            raise DataError(
                f"events: {gaps[at]:g} s pass before time {times[at]:g} s, over the limit of {LONGEST_GAP_S:g} s; "
                "give times in seconds, from the beginning of the stream"
            )
        self._latest = float(times[-1])
        return np.floor((times - self._zero) / self._seconds).astype(np.int64)

    def _until(self, step: int) -> list[np.ndarray]:
        """The frames of the steps before `step` that have not been given."""
        assert self._counts is not None
        frames = []
        while self._step < step:
            frames.append(np.minimum(self._counts, self.encoding.max_payload).astype(np.uint8))
            self._counts = self._no_counts()
            self._step += 1
        return frames


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
        sound = np.asarray(portion, np.float64)
        if sound.ndim != 1 or not np.isfinite(sound).all():
            raise DataError(f"sound of shape {sound.shape} cannot be used; give (samples,) finite numbers in -1..1")
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


class Resampler:
    """`resample` of a sound that is still coming: the same numbers, each as soon as all that it depends on is there.

    delay_s   how long after a sample's time that is
    """

    def __init__(self, rate: int, wanted: int) -> None:
        self.rate, self.wanted = rate, wanted
        self._up, self._down, self._reach = resampling_factors(rate, wanted)
        self.delay_s = 0.0 if rate == wanted else self._reach / self._up / rate
        self._sound = np.zeros(0)
        self._first = 0  # number of the first sample in self._sound, a multiple of `down`
        self._n_made = 0
        resample(np.zeros(1), rate, wanted)  # raises here where scipy is missing, and loads it

    def push(self, sound: np.ndarray) -> np.ndarray:
        if self.rate == self.wanted:
            return sound
        self._sound = np.concatenate([self._sound, sound])
        n_given = self._first + self._sound.size
        return self._until((n_given * self._up - self._reach - 1) // self._down + 1)

    def finish(self) -> np.ndarray:
        """The rest of math.ceil(samples * wanted / rate)."""
        if self.rate == self.wanted:
            return np.zeros(0)
        n_given = self._first + self._sound.size
        return self._until(math.ceil(n_given * self._up / self._down))

    def _until(self, stop: int) -> np.ndarray:
        if stop <= self._n_made:
            return np.zeros(0)
        offset = self._first * self._up // self._down
        made = resample(self._sound, self.rate, self.wanted)[self._n_made - offset : stop - offset]
        self._n_made = stop
        # The next number needs what is within reach before it; slices begin at multiples of `down`.
        needed = max(0, (stop * self._down - self._reach) // self._up - 1)
        drop = max(0, needed // self._down * self._down - self._first)
        self._sound, self._first = self._sound[drop:], self._first + drop
        return made
