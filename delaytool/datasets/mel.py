"""Recordings to frames of decibels in mel filters. Needs numpy, and scipy to resample."""

from __future__ import annotations

import math

import numpy as np

from delaytool.contract.encoding import MelSpectrogram
from delaytool.datasets.sampling_rate import check_sampling_rate
from delaytool.errors import MissingExtraError

# Smaller powers count as this, so that decibels start at FLOOR_DB.
SMALLEST_POWER = 1e-10
FLOOR_DB = 10 * math.log10(SMALLEST_POWER)
# Of the resampling kernel: zero crossings on each side, and where it cuts off, of half the lower rate.
_CROSSINGS, _CUT_OFF = 6, 0.99
AT_ONCE = 1 << 20  # samples of all frames that are transformed together

MELS = {
    # What arXiv 2306.17670 was trained with, by its reference code. At 8 kHz there is nothing above 4 kHz, so that
    # the 53 highest of its 140 filters are empty: always at the floor.
    "gsc-paper": MelSpectrogram(
        sample_rate=8000, window=256, n_fft=256, n_mels=140, f_min=50.0, f_max=14000.0, seconds=1.0
    ),
    # The same with all filters below 4 kHz. They are so narrow there that 7 would fall between two of the 129 lines
    # of the shorter transform.
    "gsc-corrected": MelSpectrogram(
        sample_rate=8000, window=256, n_fft=512, n_mels=140, f_min=50.0, f_max=4000.0, seconds=1.0
    ),
    # 40 channels, as in arXiv 2407.18917, which gives no more settings; windows of 25 ms at 16 kHz.
    "hd": MelSpectrogram(sample_rate=16000, window=400, n_fft=512, n_mels=40, f_min=50.0, f_max=8000.0),
}


def filterbank(mel: MelSpectrogram) -> np.ndarray:
    """(n_fft // 2 + 1, n_mels) float64: the weight of each line of the power spectrum in each filter.

    Triangles between neighboring points, n_mels + 2 of them spaced evenly on the scale 2595 log10(1 + f / 700)
    (D. O'Shaughnessy 1987), not normalized.
    """
    low, high = (2595 * math.log10(1 + end / 700) for end in (mel.f_min, mel.f_max))
    points = 700 * (10 ** (np.linspace(low, high, mel.n_mels + 2) / 2595) - 1)
    lines = np.linspace(0, mel.sample_rate / 2, mel.n_fft // 2 + 1)[:, None]
    left, center, right = points[:-2], points[1:-1], points[2:]
    rising, falling = (lines - left) / (center - left), (right - lines) / (right - center)
    return np.maximum(0, np.minimum(rising, falling))


def mel_frames(sound: np.ndarray, rate: int, mel: MelSpectrogram, time_step_ms: float) -> np.ndarray:
    """(frames, n_mels) float16 decibels of one recording, (samples,) in -1..1 at `rate` Hz.

    Frame k is centered on time k * time_step_ms, from 0 to the recording's end. Raises DataError for a rate that no
    recording has, MissingExtraError without scipy.
    """
    sound = np.asarray(sound, np.float64)
    check_sampling_rate(rate, "sound", "give the rate of the recording")
    if mel.seconds is not None:
        wanted = round(mel.seconds * rate)
        sound = np.pad(sound[:wanted], (0, max(0, wanted - sound.size)))
    sound = resample(sound, rate, mel.sample_rate)
    half = mel.n_fft // 2
    sound = np.pad(sound, (0, max(0, half + 1 - sound.size)))  # reflection needs as much
    padded = np.pad(sound, half, mode="reflect")
    pieces = np.lib.stride_tricks.sliding_window_view(padded, mel.n_fft)[:: mel.hop(time_step_ms)]
    window, bank = hann_window(mel), filterbank(mel)
    # A stretch of n_fft samples for each frame: some at a time, so that they take no more memory than the sound.
    count = max(1, AT_ONCE // mel.n_fft)
    blocks = [decibels(pieces[low : low + count], window, bank) for low in range(0, len(pieces), count)]
    return np.concatenate(blocks)


def decibels(pieces: np.ndarray, window: np.ndarray, bank: np.ndarray) -> np.ndarray:
    """Stretches of sound (frames, n_fft) to (frames, n_mels) float16 decibels, by `hann_window` and `filterbank`."""
    spectrum = np.fft.rfft(pieces * window, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2) @ bank
    return (10 * np.log10(np.maximum(power, SMALLEST_POWER))).astype(np.float16)


def resample(sound: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """(samples,) at `rate` Hz to (ceil(samples * wanted / rate),) at `wanted` Hz.

    Band-limited interpolation (J. O. Smith, ccrma.stanford.edu/~jos/resample) with a sinc of six zero crossings per
    side under a Hann window, cut off at 99 % of the lower rate's half: the defaults of torchaudio's Resample.
    Raises DataError for a rate that no recording has, MissingExtraError without scipy.
    """
    check_sampling_rate(rate, "sound", "give the rate of the recording")
    if rate == wanted:
        return sound
    try:
        from scipy.signal import resample_poly
    except ImportError:
        raise MissingExtraError("resampling recordings", "scipy", "audio") from None
    up, down, reach = resampling_factors(rate, wanted)
    cut_off = _CUT_OFF * min(up, down)
    phase = np.clip(np.arange(-reach, reach + 1) * cut_off / (up * down), -_CROSSINGS, _CROSSINGS)
    kernel = np.sinc(phase) * np.cos(phase * np.pi / _CROSSINGS / 2) ** 2 * cut_off / (up * down)
    resampled: np.ndarray = resample_poly(sound, up, down, window=kernel)
    return resampled


def resampling_factors(rate: int, wanted: int) -> tuple[int, int, int]:
    """(up, down, reach) of `resample`: output m is at m * down, input n at n * up, and they meet within `reach`."""
    common = math.gcd(rate, wanted)
    up, down = wanted // common, rate // common
    return up, down, math.ceil(_CROSSINGS * up * down / (_CUT_OFF * min(up, down)))


def hann_window(mel: MelSpectrogram) -> np.ndarray:
    """(n_fft,): the Hann window in the middle of zeros."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(mel.window) / mel.window)
    left = (mel.n_fft - mel.window) // 2
    return np.pad(hann, (left, mel.n_fft - mel.window - left))
