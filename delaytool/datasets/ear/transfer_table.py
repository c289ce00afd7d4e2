"""The membrane's transfer function at any frequency, interpolated in a table that all recordings share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from delaytool.contract.ear import EarModel
from delaytool.datasets.ear.membrane import places, transfer_function

# Channels that are handled at once: what a step touches stays in the cache, and processors work on 4 or 8 at a time.
BLOCK = 16
# Frequencies of the table: PER_OCTAVE of them, evenly spaced, below LOWEST_HZ and in every octave above.
LOWEST_HZ = 64.0
PER_OCTAVE = 256
# Points of the interpolating polynomial. With these numbers it differs from the function by less than 1e-9 of a
# channel's peak, at every frequency from 1 Hz (tested).
POINTS = 10


@dataclass(frozen=True)
class Run:
    """Evenly spaced frequencies, first + i * spacing for i < number, that serve frequencies up to `last`, all in Hz."""

    first: float
    spacing: float
    number: int
    last: float

    @property
    def frequencies(self) -> np.ndarray:
        return self.first + self.spacing * np.arange(self.number)


@dataclass(frozen=True, eq=False)
class TransferTable:
    """What `transfer_function` gives on a grid.

    runs              the grid's frequencies; neighbors overlap, so that a polynomial's points are of one run
    real, imaginary   (block, frequency, BLOCK) float64; the last block is filled up with channels that stay still
    """

    runs: tuple[Run, ...]
    real: np.ndarray
    imaginary: np.ndarray

    def weights(self, frequencies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lagrange's polynomials at rising frequencies in Hz: ((n,) int64 first point, (n, POINTS) float64 weights)."""
        if not self.runs[0].first <= frequencies[0] <= frequencies[-1] <= self.runs[-1].last:
            raise ValueError(f"{frequencies[0]} to {frequencies[-1]} Hz are not all in the table's range")
        first, weights = np.empty(frequencies.size, np.int64), np.empty((frequencies.size, POINTS))
        begin = offset = 0
        for run in self.runs:
            end = int(np.searchsorted(frequencies, run.last, side="right"))
            position = (frequencies[begin:end] - run.first) / run.spacing
            start = np.clip(np.floor(position).astype(np.int64) - POINTS // 2 + 1, 0, run.number - POINTS)
            first[begin:end], weights[begin:end] = offset + start, _lagrange(position - start)
            begin, offset = end, offset + run.number
        return first, weights

    def highest_frequency(self, share: float) -> np.ndarray:
        """(block,) Hz: above it, the function is below `share` of its peak at each of the block's places."""
        frequencies = np.concatenate([run.frequencies for run in self.runs])
        size = np.hypot(self.real, self.imaginary)
        peak = np.maximum(size.max(axis=1, keepdims=True), np.finfo(float).tiny)
        used = (size > share * peak).any(axis=2)
        return np.array([frequencies[row].max() for row in used])


def _lagrange(position: np.ndarray) -> np.ndarray:
    """(n, POINTS): weights of values at 0, 1, ... POINTS - 1 in the polynomial through them, at `position` (n,)."""
    distance = position[:, None] - np.arange(POINTS)
    weights = np.ones_like(distance)
    for point in range(POINTS):
        for other in range(POINTS):
            if other != point:
                weights[:, point] = weights[:, point] * distance[:, other] / (point - other)
    return weights


def _runs(highest_hz: float) -> tuple[Run, ...]:
    spacing = LOWEST_HZ / PER_OCTAVE
    reach = POINTS // 2
    # The function is not smooth at 0 Hz, so there is no point there, nor below.
    runs = [Run(spacing, spacing, PER_OCTAVE + reach, LOWEST_HZ)]
    low = LOWEST_HZ
    while low < highest_hz:
        spacing = low / PER_OCTAVE
        runs.append(Run(low - reach * spacing, spacing, PER_OCTAVE + 2 * reach, 2 * low))
        low *= 2
    return tuple(runs)


@lru_cache(maxsize=4)
def transfer_table(model: EarModel, highest_hz: float) -> TransferTable:
    """The table of a model up to at least `highest_hz`. It takes seconds to make and is kept in memory.

    Raises MissingExtraError without scipy.
    """
    runs = _runs(highest_hz)
    frequencies = np.concatenate([run.frequencies for run in runs])
    n_blocks = -(-model.n_channels // BLOCK)
    real = np.zeros((n_blocks, frequencies.size, BLOCK))
    imaginary = np.zeros_like(real)
    where = places(model)
    for block in range(n_blocks):
        values = transfer_function(frequencies, where[block * BLOCK : (block + 1) * BLOCK], model)
        real[block, :, : values.shape[1]], imaginary[block, :, : values.shape[1]] = values.real, values.imag
    return TransferTable(runs, real, imaginary)
