"""The membrane's answer to a whole recording, directly from the definition: what `fast_membrane` is compared with."""

from __future__ import annotations

import numpy as np

from delaytool.contract.ear import EarModel
from delaytool.datasets.ear.membrane import line_frequencies, places, transfer_function


def membrane_velocity(sound: np.ndarray, rate: int, model: EarModel) -> np.ndarray:
    """(time, channel) float64 at half the rate: what each place answers, directly from the definition.

    sound (samples,) at `rate` Hz. The half of the spectrum without negative frequencies times the transfer function is
    transformed back on as many points as it has lines, so the result has half the sampling rate.
    """
    spectrum = np.fft.fft(sound)[: sound.size // 2 + 1]
    lines = spectrum[:, None] * transfer_function(line_frequencies(sound.size, rate), places(model), model)
    velocity: np.ndarray = np.fft.ifft(lines, axis=0).real
    return velocity
