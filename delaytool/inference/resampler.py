"""Sound that is still coming, as numbers at the rate that its reader works at."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from delaytool.datasets.arrays import array_of
from delaytool.datasets.mel import resample, resampling_factors
from delaytool.datasets.sampling_rate import check_sampling_rate
from delaytool.errors import DataError


def checked_sound(portion: Any, subject: str = "sound", least: int = 0) -> np.ndarray:
    """(samples,) float64, at least so many. Raises DataError for what is no sound; subject begins its sentence."""
    sound = array_of(portion)
    if sound.dtype.kind in "iub" and sound.size:  # of 16 bits, as files and microphones have them
        raise DataError(
            f"{subject} holds {sound.dtype} values, and a sound is floats in -1..1; divide samples of 16 bits by 32768"
        )
    if sound.ndim != 1 or sound.size < least or sound.dtype.kind not in "fiub" or not np.isfinite(sound).all():
        raise DataError(f"{subject} of shape {sound.shape} cannot be used; give (samples,) finite numbers in -1..1")
    return sound.astype(np.float64, copy=False)


class Resampler:
    """`resample` of a sound that is still coming: the same numbers, each as soon as all that it depends on is there.

    delay_s   how long after a sample's time that is
    """

    def __init__(self, rate: int, wanted: int) -> None:
        check_sampling_rate(rate, "sound", "give the rate of the recording")
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
