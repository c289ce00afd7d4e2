"""Events that are still coming, counted step by step."""

from __future__ import annotations

import itertools

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.errors import DataError

# Silence that events may leave between them. A longer one is taken for a mistake: it would be run step by step.
LONGEST_GAP_S = 3600.0


class EventError(DataError):
    """Events that cannot follow those before them, or are none.

    index    which of the events that were given, from 0
    reason   what is wrong with it, and what to do
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"events: {reason}")
        self.index, self.reason = index, reason


class StepCounts:
    """Events in order of time to counts per step and channel, as `bin_events` makes them of a whole sample.

    With start 'first-spike' step 0 begins at the first event, and what comes before it is no step; with 'zero' at time
    0. A step's frame is complete when an event of a later step comes, or `pass_time` is called for a later time.
    """

    def __init__(self, encoding: InputEncoding) -> None:
        self.encoding = encoding
        self._seconds = encoding.time_step_ms / 1000
        self._zero = self._latest = 0.0
        self._step = 0
        # None: step 0 has not begun.
        self._counts: np.ndarray | None = None if encoding.start == "first-spike" else self._no_counts()

    def count(self, times: np.ndarray, units: np.ndarray) -> np.ndarray:
        """The frames, (time, channel) uint8, that events at `times` (n,) in s, float64, of `units` (n,) complete.

        Raises EventError for events that are out of order, or too long after the one before.
        """
        if times.size == 0:
            return self._none()
        self._check_order(times)
        if self._counts is None:
            self._zero, self._counts = float(times[0]), self._no_counts()
        steps = self._steps(times)
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
        times = np.array([time_s])
        self._check_order(times)
        if self._counts is None:
            return self._none()
        frames = self._until(int(self._steps(times)[0]))
        return np.stack(frames) if frames else self._none()

    def finish(self) -> np.ndarray:
        """The frame of the step that is not complete; no event comes any more."""
        return self._none() if self._counts is None else self._until(self._step + 1)[0][None]

    def _no_counts(self) -> np.ndarray:
        return np.zeros(self.encoding.n_channels, np.int64)

    def _none(self) -> np.ndarray:
        return np.zeros((0, self.encoding.n_channels), np.uint8)

    def _check_order(self, times: np.ndarray) -> None:
        """Raise EventError for a time before the one before it, or too long after it."""
        befores = np.concatenate([[self._latest], times[:-1]])
        gaps = times - befores
        is_too_long = gaps > LONGEST_GAP_S
        is_too_long[0] &= self._counts is not None  # no step passes before step 0
        bad = (gaps < 0) | is_too_long
        if bad.any():
            at = int(np.argmax(bad))
            if gaps[at] < 0:
                raise EventError(at, f"time {times[at]:g} s comes after {befores[at]:g} s; give events in order")
            raise EventError(
                at,
                f"{gaps[at]:g} s pass before time {times[at]:g} s, over the limit of {LONGEST_GAP_S:g} s; "
                "give times in seconds, from the beginning of the stream",
            )
        self._latest = float(times[-1])

    def _steps(self, times: np.ndarray) -> np.ndarray:
        """Which step each time is in."""
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
