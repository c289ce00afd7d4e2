"""The ear for live sound: no spike depends on what comes later, and sound comes in pieces of any length."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from delaytool.contract.ear import EarModel
from delaytool.datasets.ear.cells import Cells
from delaytool.datasets.ear.rate import check_rate
from delaytool.datasets.ear.resonators import resonate, resonators
from delaytool.datasets.ear.transfer_table import BLOCK

# Samples that are worked on at once; it changes no number, only where they are kept meanwhile.
AT_ONCE = 4096


class LiveEar:
    """An ear in the middle of a sound, (samples,) at `rate` Hz in -1..1.

    Where the ear of SHD brings a whole recording to one level under a window, this one follows a running level, and
    its membrane answers after the sound (see `resonators`). A network has to be trained with the ear that it is used
    with.

    Example:

        ear = LiveEar(16000, EarModel(causal=True), seed=0)
        for piece in microphone:
            steps, units = ear.spikes(piece)

    Whatever the pieces, their spikes are the spikes of the whole, bit for bit. Raises DataError for a rate that is too
    low, MissingExtraError without scipy.
    """

    def __init__(self, rate: int, model: EarModel, seed: int) -> None:
        check_rate(rate)
        self.rate = rate
        self._resonators = resonators(rate, model)
        self._state = np.zeros_like(self._resonators.poles)
        blocks = range(len(self._state))
        self._cells = [Cells(model, rate // 2, first=block * BLOCK, seed=seed) for block in blocks]
        self._level = level_constants(rate, model)
        self._powers = np.array([0.0, model.live_floor**2])
        self._left = np.empty(0)  # a sample whose partner is still to come: the ear works at half the rate

    def spikes(self, sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """((n,) int64 steps of 1 / (rate // 2) s since the sound began, (n,) int64 units), sorted by step, then unit.

        A spike is known one step late, so the last step's come with the next piece.
        """
        found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
        for low in range(0, sound.size, AT_ONCE):
            piece = follow_level(np.asarray(sound[low : low + AT_ONCE], np.float64), self._level, self._powers)
            piece = np.concatenate([self._left, piece])
            even = piece.size // 2 * 2
            self._left = piece[even:].copy()
            found.append(self._spikes_of(piece[:even]))
        steps, units = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return steps, units

    def _spikes_of(self, piece: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        poles, amplitudes = self._resonators.poles, self._resonators.amplitudes
        found = [
            cells.spikes(resonate(piece, poles[block], amplitudes[block], self._state[block]))
            for block, cells in enumerate(self._cells)
        ]
        steps, units = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(steps, kind="stable")
        return steps[order], units[order]


def level_constants(rate: int, model: EarModel) -> np.ndarray:
    """What `follow_level` needs."""
    return np.array(
        [
            -math.expm1(-1 / (model.live_window_ms / 1000 * rate)),
            math.exp(-1 / (model.live_release_s * rate)),
            model.live_floor**2,
            model.live_level,
        ]
    )


@njit(cache=True, nogil=True)
def follow_level(sound: np.ndarray, constants: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """(samples,): sound times live_level / sqrt(m), m the loudest power of late; `powers` (2,) go on.

    p += (x^2 - p) (1 - exp(-dt / window))      m = max(p, m exp(-dt / release), floor^2)
    """
    rise, keep, floor, level = constants[0], constants[1], constants[2], constants[3]
    p, m = powers[0], powers[1]
    leveled = np.empty_like(sound)
    for t in range(sound.size):
        p += (sound[t] * sound[t] - p) * rise
        m = max(p, m * keep, floor)
        leveled[t] = sound[t] * (level / math.sqrt(m))
    powers[0], powers[1] = p, m
    return leveled
