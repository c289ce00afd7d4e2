"""Events that are still coming, counted step by step."""

from __future__ import annotations

import itertools

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.errors import DataError

# Silence that events may leave between them. A longer one is taken for a mistake: it would be run step by step.
LONGEST_GAP_S = 3600.0


class StepCounts:
    """Events in order of time to counts per step and channel, as `bin_events` makes them of a whole sample.

    With start 'first-spike' step 0 begins at the first event, and what comes before it is no step; with 'zero' at time
    0. A step's frame is complete when an event of a later step comes, or `pass_time` is called for a later time.
    """

    def __init__(self, encoding: InputEncoding) -> None:
        self.encoding = encoding
        self._seconds = encoding.time_step_ms / 1000
        self._zero = None if encoding.start == "first-spike" else 0.0
        self._latest = 0.0
        self._step = 0
        self._counts: np.ndarray | None = None if encoding.start == "first-spike" else self._no_counts()

    def count(self, times: np.ndarray, units: np.ndarray) -> np.ndarray:
        """The frames, (time, channel) uint8, that events at `times` (n,) in s, float64, of `units` (n,) complete.

        Raises DataError for events that are out of order, or too long after the one before.
        """
        if times.size == 0:
            return self._none()
        steps = self._steps(times)
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

    def pass_time(self, time_s: float) -> np.ndarray:
        """The frames that are complete where no event comes any more before `time_s`. Raises as `count` does."""
        if self._counts is None:
            return self._none()
        frames = self._until(int(self._steps(np.array([time_s]))[0]))
        return np.stack(frames) if frames else self._none()

    def finish(self) -> np.ndarray:
        """The frame of the step that is not complete; no event comes any more."""
        return self._none() if self._counts is None else self._until(self._step + 1)[0][None]

    def _no_counts(self) -> np.ndarray:
        return np.zeros(self.encoding.n_channels, np.int64)

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
