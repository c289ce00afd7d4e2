"""Sound through the ear that a network was trained with: of a whole recording, and of what is still coming."""

from __future__ import annotations

from typing import Any

import numpy as np

from delaytool.contract.ear import Ear
from delaytool.contract.encoding import InputEncoding
from delaytool.datasets.mel import resample
from delaytool.errors import DataError
from delaytool.inference.resampler import Resampler, checked_sound
from delaytool.inference.step_counts import StepCounts

# Of the ear's random stage. A stream has no name that a seed could come of, and the same sound as a file and as a
# stream must get the same spikes; so every sound has this one, whose random numbers depend on channel and step alone.
SEED = 0
# Times are float32, as in files of spikes, where they are within a recording's longest length; later, where that would
# be too coarse, float64. A power of two, so that times stay in order there.
FLOAT32_UNTIL_S = 64.0


def spikes_of_sound(ear: Ear, sound: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """The spikes of a whole recording, (samples,) at `rate` Hz in -1..1: ((n,) float32 times in s, (n,) units).

    The ear is that of a network's `encoding.ear`, in its form, at its sampling rate. The same sound gives the same
    spikes. Raises DataError for a sound that the ear does not take, MissingExtraError without scipy.
    """
    from delaytool.datasets.ear.ear import ear_spikes  # its compiler takes long to import

    at = ear.sample_rate or rate
    return ear_spikes(resample(sound, rate, at), at, ear.model, SEED)


class EarEncoder:
    """Sound, (samples,) in -1..1 at `rate` Hz, through the causal ear to counts of its spikes per step and channel.

    The frames are those that `spikes_of_sound` and `bin_events` make of the whole sound, as far as it is a recording's
    length, followed by frames without spikes up to the sound's end. A spike is known one step of the ear after it, and
    a time that rounds down to a step's end may take one more, besides the reach of the resampling kernel: `delay_s`.

    Raises DataError where the network was not trained on spikes of the causal ear, or for a rate that is too low for
    hair cells, MissingExtraError without scipy.
    """

    def __init__(self, encoding: InputEncoding, rate: int) -> None:
        ear = causal_ear_of(encoding)
        from delaytool.datasets.ear.live import LiveEar

        at = ear.sample_rate or rate
        self.encoding, self.rate = encoding, rate
        self._resampler = Resampler(rate, at)
        self._ear = LiveEar(at, ear.model, SEED)
        LiveEar(at, ear.model, SEED).spikes(np.zeros(4))  # compiles or loads the loops: no input has to wait for it
        self._counts = StepCounts(encoding)
        self._n_samples = 0
        self._steps_per_s = at // 2
        self.delay_s = 2 / self._steps_per_s + self._resampler.delay_s

    def push(self, portion: Any) -> np.ndarray:
        """See Encoder. Raises DataError for what is no sound."""
        sound = checked_sound(portion)
        # A second at a time, so that no silence is long.
        pieces = [sound[at : at + self.rate] for at in range(0, sound.size, self.rate)] or [sound]
        return np.concatenate([self._frames(self._resampler.push(piece)) for piece in pieces])

    def finish(self) -> np.ndarray:
        return np.concatenate([self._frames(self._resampler.finish()), self._counts.finish()])

    def _frames(self, sound: np.ndarray) -> np.ndarray:
        """The frames that `sound`, at the ear's rate, completes."""
        steps, units = self._ear.spikes(sound)
        self._n_samples += sound.size
        frames = self._counts.count(self._times(steps), units)
        # The ear works at half the rate, and the last step's spikes are still to come.
        known = max(0, self._n_samples // 2 - 1)
        return np.concatenate([frames, self._counts.pass_time(float(self._times(np.array(known))))])

    def _times(self, steps: np.ndarray) -> np.ndarray:
        """In s, float64."""
        times = steps / self._steps_per_s
        return np.where(times < FLOAT32_UNTIL_S, times.astype(np.float32).astype(np.float64), times)


def causal_ear_of(encoding: InputEncoding) -> Ear:
    """The ear that a network's sound can stream through. Raises DataError where there is none, or not a causal one."""
    if encoding.ear is None:
        raise DataError("the network was not trained on spikes of the ear; give it what it reads")
    if not encoding.ear.model.causal:
        raise DataError(
            "the network was trained on spikes of the ear that takes a recording as a whole, which sound that is still "
            "coming is not; for --stream, train one on those of the causal ear: --set data.ear=causal with recordings, "
            "or spikes that `delaytool encode --causal` made"
        )
    return encoding.ear
