"""Noise added to a sound at a stated signal-to-noise ratio: white noise, and the babble of other recordings.

The ratio is that of the mean squares over the whole recording, its pauses included: 10 log10 (mean of sound^2 / mean
of noise^2) dB. It is exact for each recording, since the noise that was drawn is scaled to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def power(sound: np.ndarray) -> float:
    """Mean square of a sound (samples,)."""
    return float(np.mean(np.square(sound)))


def with_noise(sound: np.ndarray, noise: np.ndarray, ratio_db: float) -> np.ndarray:
    """(samples,) float64: a sound, and noise of the same length scaled to lie `ratio_db` decibels below it.

    ratio_db   inf: the sound as it is, bit for bit

    The sum may leave -1..1; it is not clipped, and the ear brings whatever it is given to one level.

    Raises ValueError for other lengths, a ratio that is NaN or -inf, and a sound or noise that is silent, beside which
    no ratio is defined.

    Example: `with_noise(sound, white_noise(sound.size, np.random.default_rng(0)), 20.0)`
    """
    if sound.shape != noise.shape or sound.ndim != 1:
        raise ValueError(f"a sound of shape {sound.shape} and noise of shape {noise.shape} cannot be added; cut one")
    if not ratio_db > -np.inf:
        raise ValueError(f"a signal-to-noise ratio of {ratio_db} dB is none; give a number of dB, or inf for no noise")
    if ratio_db == np.inf:
        return sound
    if power(sound) == 0 or power(noise) == 0:
        raise ValueError("a silent sound or noise has no signal-to-noise ratio; leave the recording out")
    return sound + noise * np.sqrt(power(sound) / power(noise)) * 10 ** (-ratio_db / 20)


def white_noise(n_samples: int, generator: np.random.Generator) -> np.ndarray:
    """(n_samples,) float64, independent samples of a normal distribution of variance 1."""
    return generator.standard_normal(n_samples)


def babble(voices: Sequence[np.ndarray], n_samples: int, generator: np.random.Generator) -> np.ndarray:
    """(n_samples,) float64: the sum of recordings, each of the same power and begun at a drawn place.

    voices   (samples,) each, at the same rate; each runs on from its start after its end

    Raises ValueError for no voice and for a silent one.
    """
    if not voices:
        raise ValueError("babble of no voices is silent; give at least one recording")
    total = np.zeros(n_samples)
    for voice in voices:
        if power(voice) == 0:
            raise ValueError("a silent voice cannot be brought to a power; choose another recording")
        begin = int(generator.integers(voice.size))
        total += np.take(voice, np.arange(begin, begin + n_samples), mode="wrap") / np.sqrt(power(voice))
    return total
