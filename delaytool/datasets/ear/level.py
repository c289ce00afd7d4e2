"""Level and window of a whole recording, as SHD and SSC were made."""

from __future__ import annotations

import numpy as np

from delaytool.contract.ear import EarModel


def leveled(sound: np.ndarray, model: EarModel) -> np.ndarray:
    """(samples,) with a root mean square of `model.level`. Silence stays silence."""
    rms = np.sqrt(np.mean(np.square(sound)))
    return sound * (model.level / rms) if rms > 0 else sound


def windowed(sound: np.ndarray) -> np.ndarray:
    """(samples,): faded in over the first half and out over the second, with the halves of a Hann window.

    Each half is that of a symmetric window of 2 * (samples // 2) points, so that the middle sample of an odd number
    stays as it is.
    """
    half = sound.size // 2
    fade = np.hanning(2 * half)[:half]
    result = sound.copy()
    result[:half] *= fade
    result[sound.size - half :] *= fade[::-1]
    return result
