"""The membrane's answer to a whole recording, fast: the numbers of the definition, to 1e-9."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit

from delaytool.contract.ear import EarModel
from delaytool.datasets.ear.membrane import line_frequencies
from delaytool.datasets.ear.transfer_table import BLOCK, POINTS, transfer_table

# A recording of n samples has n // 2 + 1 lines, and a Fourier transform of that length is slow where it has large
# factors (8001 = 3 * 3 * 7 * 127 for one second at 16 kHz, or a prime). So a sum of waves is first evaluated on a
# grid of a length that suits the transform, at least FINER times as fine as the fastest wave needs, and read off
# between the grid's points with a Kaiser-Bessel window of WIDTH points (J. Fourmont 2003, J. Fourier Anal. Appl. 9,
# 431), whose shape is divided out beforehand. The error is near exp(-pi * WIDTH * sqrt(1 - 1 / FINER)), 1e-11.
FINER = 1.35
WIDTH = 16
# Of a place's answer, what is below this share of its peak is left out: low tones' places do not answer high tones, so
# that a half, a quarter or an eighth of the waves is enough there.
NEGLIGIBLE = 1e-11
SHARES = (8, 4, 2)


@dataclass(frozen=True, eq=False)
class _Reading:
    """How a signal of n points is read off a finer grid.

    points     of the grid
    gain       (waves,) what each wave is multiplied with beforehand
    first      (n,) int64: the grid's first point that a point reads
    weights    (n, WIDTH): what the points count
    """

    points: int
    gain: np.ndarray
    first: np.ndarray
    weights: np.ndarray


@lru_cache(maxsize=16)
def _reading(n: int, waves: int) -> _Reading:
    from scipy.fft import next_fast_len
    from scipy.special import i0

    points = next_fast_len(max(math.ceil(FINER * (2 * waves - 1)), 2 * WIDTH), real=True)
    beta = math.pi * WIDTH * (1 - (2 * waves - 1) / (2 * points))
    position = np.arange(n) * (points / n)
    first = np.floor(position).astype(np.int64) - WIDTH // 2 + 1
    offset = (first[:, None] + np.arange(WIDTH) - position[:, None]) / (WIDTH / 2)  # -1..1
    weights = i0(beta * np.sqrt(np.maximum(1 - offset**2, 0)))
    root = np.sqrt(beta**2 - (math.pi * WIDTH * np.arange(waves) / points) ** 2)
    return _Reading(points, root / (WIDTH * np.sinh(root)), first % points, weights)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """A recording as the blocks of channels need it.

    lines      (n,) complex128, divided by n
    first      (n,) int64, and weights (n, POINTS): where the table is interpolated for each line
    """

    lines: np.ndarray
    first: np.ndarray
    weights: np.ndarray


class FastMembrane:
    """The membrane's answer to recordings of any length at one sampling rate, block of channels by block.

    Example, with `sound` (samples,) at 16 kHz:

        membrane = fast_membrane(16000, EarModel())
        spectrum = membrane.spectrum(sound)
        velocities = [membrane.block(spectrum, number) for number in range(membrane.n_blocks)]

    are (time, BLOCK) float64 arrays at 8 kHz; the last is filled up with channels that are still.
    """

    def __init__(self, rate: int, model: EarModel) -> None:
        self.rate = rate
        self.table = transfer_table(model, float(rate // 2))
        self.n_blocks = len(self.table.real)
        self._highest = self.table.highest_frequency(NEGLIGIBLE)
        self._weights: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def spectrum(self, sound: np.ndarray) -> Spectrum:
        """What every block of channels needs of one recording, (samples,) float64."""
        if sound.size not in self._weights:  # recordings are often of one length
            self._weights = {sound.size: self.table.weights(line_frequencies(sound.size, self.rate))}
        first, weights = self._weights[sound.size]
        return Spectrum(np.fft.rfft(sound) / first.size, first, weights)

    def block(self, spectrum: Spectrum, number: int) -> np.ndarray:
        """(time, BLOCK) float64 at half the rate: the answer of channels BLOCK * number to BLOCK * (number + 1) - 1."""
        from scipy.fft import irfft

        n = spectrum.lines.size
        used = n
        for share in SHARES:
            if self._highest[number] * share <= self.rate // 2 and n >= 64 * share:
                used = n // share
                break
        filtered = _filtered(
            spectrum.lines[:used],
            n,
            spectrum.first,
            spectrum.weights,
            self.table.real[number],
            self.table.imaginary[number],
        )
        reading = _reading(n, len(filtered))
        filtered *= reading.gain[:, None]
        return _read_off(irfft(filtered, reading.points, axis=0, norm="forward"), reading.first, reading.weights)


@lru_cache(maxsize=4)
def fast_membrane(rate: int, model: EarModel) -> FastMembrane:
    """The membrane for sound at `rate` Hz, kept in memory. Raises MissingExtraError without scipy."""
    return FastMembrane(rate, model)


@njit(cache=True, nogil=True)
def _filtered(
    lines: np.ndarray, n: int, first: np.ndarray, weights: np.ndarray, real: np.ndarray, imaginary: np.ndarray
) -> np.ndarray:
    """(waves, BLOCK) complex128: waves whose sum, as irfft makes it, is the real part of n lines' inverse transform.

    lines (used,) complex128 are the first of the n. Line k and line n - k turn in opposite senses at the same speed,
    so that their real parts are one wave's, and no wave is faster than n // 2.
    """
    waves = np.zeros((min(lines.size, n // 2 + 1), BLOCK), np.complex128)
    re, im = np.empty(BLOCK), np.empty(BLOCK)
    for k in range(lines.size):
        re[:] = 0.0
        im[:] = 0.0
        start = first[k]
        for point in range(POINTS):
            weight = weights[k, point]
            for c in range(BLOCK):
                re[c] += weight * real[start + point, c]
                im[c] += weight * imaginary[start + point, c]
        upper = 2 * k > n
        row = n - k if upper else k
        half = 1.0 if k == 0 else 0.5  # irfft counts every wave but the first twice
        a, b = half * lines[k].real, half * lines[k].imag
        for c in range(BLOCK):
            x, y = a * re[c] - b * im[c], a * im[c] + b * re[c]
            waves[row, c] += complex(x, -y) if upper else complex(x, y)
    return waves


@njit(cache=True, nogil=True)
def _read_off(grid: np.ndarray, first: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n, BLOCK): the signal between the points of a periodic grid (points, BLOCK)."""
    n, size = first.size, grid.shape[0]
    signal = np.zeros((n, BLOCK))
    for t in range(n):
        at = first[t]
        for point in range(weights.shape[1]):
            weight = weights[t, point]
            for c in range(BLOCK):
                signal[t, c] += weight * grid[at, c]
            at += 1
            if at == size:
                at = 0
    return signal
