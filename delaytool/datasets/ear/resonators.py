"""The membrane as decaying oscillations, sample by sample: its causal form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit

from delaytool.contract.ear import EarModel
from delaytool.datasets.ear.transfer_table import BLOCK, POINTS, transfer_table

# Oscillations per place, conjugates counted. With 12 the sum differs from the response by less than 0.3 % (rms).
ORDER = 12
# A place that resonates near half the sampling rate would have to answer a little before the sound. All answers come
# so many samples later, and what would come even before that is left out.
LEAD = 4
# The spectrum ends softly over this last share of it, or it would ring.
TAPER = 0.2
RESPONSE_S = 0.5


@dataclass(frozen=True, eq=False)
class Resonators:
    """Each place's answer to an impulse, the real part of a sum of amplitude * pole ** sample.

    poles, amplitudes   (block, oscillation, BLOCK) complex128; amplitudes of 0 fill up
    """

    poles: np.ndarray
    amplitudes: np.ndarray


@lru_cache(maxsize=4)
def resonators(rate: int, model: EarModel) -> Resonators:
    """The resonators of a model for sound at `rate` Hz. They take seconds to find and are kept in memory.

    LAUSCHER transforms the membrane's transfer function, of time dependence exp(-i omega t), back with exp(i omega t),
    so in SHD each place answers before a click, the apex first. Here it is taken with its own sign: its conjugate for
    exp(i omega t), whose places answer after a click. Its impulse responses are fitted with ESPRIT (R. Roy, T. Kailath
    1989, IEEE Trans. ASSP 37, 984). Raises MissingExtraError without scipy.
    """
    responses = impulse_responses(rate, model)
    poles = np.zeros((len(responses), ORDER, BLOCK), np.complex128)
    amplitudes = np.zeros_like(poles)
    for block, response in enumerate(responses):
        for c in range(min(BLOCK, model.n_channels - block * BLOCK)):
            found, strength = fit_oscillations(response[:, c])
            poles[block, : found.size, c], amplitudes[block, : found.size, c] = found, strength
    used = int((amplitudes != 0).any(axis=(0, 2)).sum())
    return Resonators(poles[:, :used].copy(), amplitudes[:, :used].copy())


def impulse_responses(rate: int, model: EarModel) -> list[np.ndarray]:
    """Per block of channels: (samples, BLOCK) float64 answers to an impulse, LEAD late, without what comes earlier."""
    samples = 1 << int(np.ceil(np.log2(RESPONSE_S * rate)))
    frequencies = np.fft.rfftfreq(samples, 1 / rate)[1:]
    share = frequencies / (rate / 2)
    taper = 0.5 + 0.5 * np.cos(np.pi * np.clip((share - 1 + TAPER) / TAPER, 0, 1))
    late = np.exp(-2j * np.pi * frequencies * LEAD / rate)
    table = transfer_table(model, rate / 2)
    first, weights = table.weights(frequencies)
    responses = []
    for real, imaginary in zip(table.real, table.imaginary, strict=True):
        lines = np.zeros((frequencies.size + 1, BLOCK), np.complex128)  # there is no answer at 0 Hz
        for point in range(POINTS):
            values = real[first + point] - 1j * imaginary[first + point]
            lines[1:] += weights[:, point, None] * values
        lines[1:] *= (taper * late)[:, None]
        responses.append(np.fft.irfft(lines, samples, axis=0)[: samples // 2])
    return responses


def fit_oscillations(response: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(poles, amplitudes) complex128, not more than ORDER, whose sum of amplitude * pole ** sample has this real part.

    response (samples,) float64. A slow response is looked at in strides, so that an oscillation always has some 8
    points; the poles are then those of single samples.
    """
    size = np.abs(np.fft.rfft(response))
    period = 2 * response.size / max(int(size.argmax()), 1) / 2  # samples
    stride = max(1, int(period / 8))
    points = response[::stride][: min(400, int(20 * period / stride) + 40)]
    windows = np.lib.stride_tricks.sliding_window_view(points, min(60, points.size // 2))
    space = np.linalg.svd(windows.T, full_matrices=False)[0][:, :ORDER]
    poles = np.linalg.eigvals(np.linalg.lstsq(space[:-1], space[1:], rcond=None)[0]).astype(np.complex128)
    poles = np.where(np.abs(poles) >= 1, 1 / np.conj(poles), poles)  # one that would grow decays as fast instead
    amplitudes = np.linalg.lstsq(
        poles[None, :] ** np.arange(points.size)[:, None], points.astype(np.complex128), rcond=None
    )[0]
    # Of a conjugate pair one is enough: the real part of twice its amplitude.
    kept = poles.imag >= 0
    amplitudes = np.where(poles.imag > 0, 2, 1) * amplitudes
    return poles[kept] ** (1 / stride), amplitudes[kept]


@njit(cache=True, nogil=True)
def resonate(sound: np.ndarray, poles: np.ndarray, amplitudes: np.ndarray, state: np.ndarray) -> np.ndarray:
    """(len(sound) // 2, BLOCK): the places' answers at every second sample, of an even number of samples.

    poles, amplitudes and state are (oscillation, BLOCK) complex128; the state goes on.
    """
    n = poles.shape[0]
    velocity = np.zeros((sound.size // 2, BLOCK))
    for k in range(n):
        pole_re, pole_im = poles[k].real.copy(), poles[k].imag.copy()
        square_re, square_im = (poles[k] * poles[k]).real.copy(), (poles[k] * poles[k]).imag.copy()
        gain_re, gain_im = amplitudes[k].real.copy(), amplitudes[k].imag.copy()
        re, im = state[k].real.copy(), state[k].imag.copy()
        for t in range(sound.size // 2):
            before, now = sound[2 * t], sound[2 * t + 1]
            for c in range(BLOCK):
                x = square_re[c] * re[c] - square_im[c] * im[c] + (pole_re[c] * before + now)
                y = square_re[c] * im[c] + square_im[c] * re[c] + pole_im[c] * before
                re[c], im[c] = x, y
                velocity[t, c] += gain_re[c] * x - gain_im[c] * y
        for c in range(BLOCK):
            state[k, c] = complex(re[c], im[c])
    return velocity
