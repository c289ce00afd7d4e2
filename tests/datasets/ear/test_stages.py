"""Each stage of the ear against LAUSCHER's numbers.

`lauscher.npz` was written by LAUSCHER 1.0.1 (numpy 2.4, scipy 1.17) for three synthetic sounds: two tones in a little
noise at 16 kHz, a click at 8 kHz, a chirp at 22.05 kHz, through ears of 10 channels. Of each it has the sound, its
rate, and what the stages make of it: leveled, windowed (samples,), velocity and probability (channel, time), and of one
draw of 40 fibers a channel the number that fire and the bushy cell's spikes (channel, time).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from oracles.membrane import membrane_velocity

from delaytool.contract.ear import EarModel
from delaytool.datasets.ear.cells import bushy_cells, bushy_constants, hair_cells, hair_constants, resting_pools
from delaytool.datasets.ear.fast_membrane import fast_membrane
from delaytool.datasets.ear.level import leveled, windowed
from delaytool.datasets.ear.membrane import line_frequencies, places, transfer_function
from delaytool.datasets.ear.transfer_table import BLOCK, transfer_table

pytest.importorskip("scipy")
SOUNDS = ("tones", "click", "chirp")
MODEL = EarModel(n_channels=10)


@pytest.fixture(scope="module")
def lauscher() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "lauscher.npz") as kept:
        return dict(kept)


def fast_velocity(sound: np.ndarray, rate: int, model: EarModel) -> np.ndarray:
    membrane = fast_membrane(rate, model)
    spectrum = membrane.spectrum(sound)
    blocks = [membrane.block(spectrum, number) for number in range(membrane.n_blocks)]
    return np.concatenate(blocks, axis=1)[:, : model.n_channels]


def assert_near(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal to 1e-9 of each channel's peak."""
    assert ours.shape == theirs.shape
    assert np.all(np.abs(ours - theirs).max(axis=0) <= 1e-9 * np.abs(theirs).max(axis=0))


@pytest.mark.parametrize("name", SOUNDS)
def test_level_and_window(lauscher: dict[str, np.ndarray], name: str) -> None:
    ours = leveled(lauscher[f"{name}_sound"], MODEL)
    assert_near(ours, lauscher[f"{name}_leveled"])
    assert_near(windowed(ours), lauscher[f"{name}_windowed"])


@pytest.mark.parametrize("velocity", [membrane_velocity, fast_velocity])
@pytest.mark.parametrize("name", SOUNDS)
def test_membrane(lauscher: dict[str, np.ndarray], name: str, velocity) -> None:
    ours = velocity(lauscher[f"{name}_windowed"], int(lauscher[f"{name}_rate"]), MODEL)
    assert_near(ours, lauscher[f"{name}_velocity"].T)


@pytest.mark.parametrize("name", SOUNDS)
def test_hair_cells(lauscher: dict[str, np.ndarray], name: str) -> None:
    pools = np.repeat(resting_pools(MODEL)[:, None], 10, axis=1)
    constants = hair_constants(MODEL, int(lauscher[f"{name}_rate"]) // 2)
    ours = hair_cells(np.ascontiguousarray(lauscher[f"{name}_velocity"].T), constants, pools)
    np.testing.assert_allclose(ours, lauscher[f"{name}_probability"].T, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", SOUNDS)
def test_all_up_to_the_probability(lauscher: dict[str, np.ndarray], name: str) -> None:
    rate = int(lauscher[f"{name}_rate"])
    velocity = fast_velocity(windowed(leveled(lauscher[f"{name}_sound"], MODEL)), rate, MODEL)
    pools = np.repeat(resting_pools(MODEL)[:, None], 10, axis=1)
    ours = hair_cells(np.ascontiguousarray(velocity), hair_constants(MODEL, rate // 2), pools)
    np.testing.assert_allclose(ours, lauscher[f"{name}_probability"].T, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", SOUNDS)
def test_bushy_cells(lauscher: dict[str, np.ndarray], name: str) -> None:
    counts = np.ascontiguousarray(lauscher[f"{name}_fibers"].T)
    constants = bushy_constants(MODEL, int(lauscher[f"{name}_rate"]) // 2)
    steps, cells = bushy_cells(counts, constants, np.zeros((2, 10)), np.zeros(10, np.int64))
    theirs = np.nonzero(lauscher[f"{name}_bushy"])  # sorted by channel, then by step
    assert theirs[0].size > 5 or name == "chirp"
    np.testing.assert_array_equal(cells, theirs[0])
    np.testing.assert_array_equal(steps - 1, theirs[1])  # a spike is known one step later


@pytest.mark.parametrize(
    ("samples", "rate"), [(2, 8000), (3, 8000), (5, 16000), (1000, 16000), (1002, 16000), (997, 44100), (16000, 16000)]
)
def test_the_fast_membrane_equals_its_definition(samples: int, rate: int) -> None:
    model = EarModel(n_channels=37)
    sound = np.random.default_rng(samples).standard_normal(samples)
    assert_near(fast_velocity(sound, rate, model), membrane_velocity(sound, rate, model))


def test_the_table_is_near_the_function_at_every_frequency() -> None:
    model = EarModel(n_channels=BLOCK)
    table = transfer_table(model, 24000.0)
    frequencies = np.sort(np.random.default_rng(0).uniform(np.log(1.0), np.log(24000.0), 4000))
    frequencies = np.concatenate([[1.0], np.exp(frequencies), [24000.0]])
    first, weights = table.weights(frequencies)
    points = first[:, None] + np.arange(weights.shape[1])
    values = np.einsum("fp,fpc->fc", weights, (table.real + 1j * table.imaginary)[0][points])
    assert_near(values, transfer_function(frequencies, places(model), model))


def test_lines_reach_from_1_hz_to_half_the_rate() -> None:
    np.testing.assert_array_equal(line_frequencies(4, 8000), [1.0, 2000.5, 4000.0])


def test_silence_stays_silent() -> None:
    np.testing.assert_array_equal(leveled(np.zeros(5), MODEL), np.zeros(5))
