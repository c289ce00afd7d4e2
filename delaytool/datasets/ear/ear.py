"""A recording to spikes."""

from __future__ import annotations

import numpy as np

from delaytool.contract.ear import EarModel
from delaytool.datasets.ear.cells import Cells
from delaytool.datasets.ear.fast_membrane import fast_membrane
from delaytool.datasets.ear.level import leveled, windowed
from delaytool.datasets.ear.live import LiveEar
from delaytool.datasets.ear.rate import check_rate
from delaytool.datasets.ear.transfer_table import BLOCK
from delaytool.errors import DataError

MOST_SECONDS = 60.0


def ear_spikes(sound: np.ndarray, rate: int, model: EarModel, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The spikes of one recording: ((n,) float32 times in s, (n,) uint16 units), sorted by time, then by unit.

    sound  (samples,) in -1..1
    rate   in Hz; the ear works at half of it
    seed   decides the random part: the same sound, rate, model and seed give the same spikes

    Example: `times, units = ear_spikes(sound, 16000, EarModel(), seed=0)`, as SHD's files hold them.

    Raises DataError for a rate or a length that the model cannot work with, MissingExtraError without scipy.
    """
    check_sound(sound, rate)
    if model.causal:
        steps, units = LiveEar(rate, model, seed).spikes(sound)
    else:
        steps, units = _whole(sound, rate, model, seed)
    return (steps / (rate // 2)).astype(np.float32), units.astype(np.uint16)


def _whole(sound: np.ndarray, rate: int, model: EarModel, seed: int) -> tuple[np.ndarray, np.ndarray]:
    membrane = fast_membrane(rate, model)
    spectrum = membrane.spectrum(windowed(leveled(np.asarray(sound, np.float64), model)))
    found = []
    for number in range(membrane.n_blocks):
        cells = Cells(model, rate // 2, first=number * BLOCK, seed=seed)
        found.append(cells.spikes(membrane.block(spectrum, number)))
    steps, units = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(steps, kind="stable")  # units rise already
    return steps[order], units[order]


def check_sound(sound: np.ndarray, rate: int) -> None:
    """Raise DataError where the ear cannot take a sound (samples,) at `rate` Hz."""
    check_rate(rate)
    if sound.ndim != 1 or sound.size < 2:
        raise DataError(f"a sound of shape {sound.shape} is not a recording of one channel; give at least 2 samples")
    if sound.size > MOST_SECONDS * rate:
        raise DataError(
            f"a recording of {sound.size / rate:.0f} s is longer than the {MOST_SECONDS:.0f} s that are taken as one "
            "sample; cut it into samples"
        )
