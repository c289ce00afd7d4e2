"""Every golden vector, made by stock Lava, is reproduced by the reference and the engine; and by Lava, where it is."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from golden import regenerate
from golden.cases import CASES

from delaytool.contract.bounds import MAX_THRESHOLD
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.runtime import reference
from delaytool.runtime.backends import lava

FILES = sorted(regenerate.FOLDER.glob("*.h5"))
NAMES = [path.stem for path in FILES]


def assert_same(expected, got) -> None:
    for name in ("spikes", "u", "v"):
        for index, (first, second) in enumerate(zip(getattr(expected, name), getattr(got, name), strict=True)):
            assert first.shape == second.shape
            differing = np.argwhere(first != second)
            assert not differing.size, f"{name} of layer {index} first differs at (sample, step, neuron) {differing[0]}"


def test_every_case_has_its_file_and_every_file_its_case():
    assert sorted(NAMES) == sorted(CASES)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_the_reference_reproduces_it(path):
    network, frames, expected = regenerate.load(path)
    assert_same(expected, reference.run(network, frames))


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_the_engine_reproduces_it(path):
    engine = pytest.importorskip("delaytool.runtime.engine")
    network, frames, expected = regenerate.load(path)
    assert_same(expected, engine.run(network, frames))


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_the_file_holds_what_the_case_defines(path):
    network, frames = CASES[path.stem]()
    stored, stored_frames, _ = regenerate.load(path)
    np.testing.assert_array_equal(frames, stored_frames)
    assert_same(reference.run(network, frames), reference.run(stored, stored_frames))


@pytest.mark.parametrize("variant", lava.VARIANTS)
def test_the_installed_lava_reproduces_all(lava_python, variant):
    loaded = [regenerate.load(path) for path in FILES]
    traces = lava.run_many([(network, frames) for network, frames, _ in loaded], variant=variant, python=lava_python)
    for (_, _, expected), trace in zip(loaded, traces, strict=True):
        assert_same(expected, trace)


def test_they_stay_small():
    assert sum(path.stat().st_size for path in FILES) < 2_000_000


def test_the_readme_speaks_of_every_file():
    text = (regenerate.FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if name not in text] == []


def test_a_file_states_its_purpose_and_its_origin():
    for path in FILES:
        with h5py.File(path, "r") as file:
            assert file["extensions/golden/about"][()]
            assert b"lava-nc 0.10.0" in file["extensions/golden/made_by"][()]


# The cases of lava-nc's own DelayDense and DelaySparse tests, as (weight (3, 4), delay, exponent, {(step, row): sum}):
# all four inputs spike at step 3 (Lava's timestep 4), and Lava's tests state what reaches the neurons when.
LAVA_CASES = {
    "one synapse": ({(2, 2): 1}, {(2, 2): 2}, 0, {(6, 2): 1}),
    "fan in": (
        {(2, 0): 2, (2, 1): -3, (2, 2): 4, (2, 3): -5},
        {(2, 0): 1, (2, 1): 2, (2, 2): 2, (2, 3): 4},
        0,
        {(5, 2): 2, (6, 2): 1, (8, 2): -5},
    ),
    "fan out, one delay": (
        {(0, 2): 3, (1, 2): 4, (2, 2): 5},
        {(0, 2): 2, (1, 2): 2, (2, 2): 2},
        0,
        {(6, 0): 3, (6, 1): 4, (6, 2): 5},
    ),
    "fan out, three delays": (
        {(0, 2): 3, (1, 2): 4, (2, 2): 5},
        {(1, 2): 1, (2, 2): 2},
        0,
        {(4, 0): 3, (5, 1): 4, (6, 2): 5},
    ),
    "excitatory": ({(1, 2): 255, (2, 2): 40}, {(1, 2): 1, (2, 2): 2}, 0, {(5, 1): 255, (6, 2): 40}),
    "mixed signs": (
        {(0, 2): 254, (1, 2): -256, (2, 2): 38},
        {(0, 2): 2, (1, 2): 2, (2, 2): 2},
        0,
        {(6, 0): 254, (6, 1): -256, (6, 2): 38},
    ),
    "weight exponent 1": (
        {(0, 2): 254, (1, 2): -256, (2, 2): 38},
        {(1, 2): 1, (2, 2): 2},
        1,
        {(4, 0): 508, (5, 1): -512, (6, 2): 76},
    ),
    "seven weight bits": (
        {(0, 2): 252, (1, 2): -256, (2, 2): 36},
        {(0, 2): 2, (1, 2): 2, (2, 2): 2},
        0,
        {(6, 0): 252, (6, 1): -256, (6, 2): 36},
    ),
    "fan in, mixed signs": (
        {(2, 0): 254, (2, 1): -256, (2, 2): 38},
        {(2, 0): 2, (2, 1): 2, (2, 2): 2},
        0,
        {(6, 2): 36},
    ),
}


@pytest.mark.parametrize("name", LAVA_CASES)
def test_the_values_of_lavas_own_delay_tests(name):
    weights, delays, exponent, expected = LAVA_CASES[name]
    weight, delay = np.zeros((3, 4), int), np.zeros((3, 4), int)
    for values, array in ((weights, weight), (delays, delay)):
        for where, value in values.items():
            array[where] = value
    layer = IntegerLayer("out", 3, (DenseSynapses(0, weight, delay, exponent),), dv=4096, threshold=MAX_THRESHOLD)
    network = IntegerNetwork(InputEncoding(4, values="binary"), (layer,), Readout("sum", 1.0, 0, 10), n_steps=10)
    frames = np.zeros((1, 10, 4), np.uint8)
    frames[0, 3] = 1
    arriving = np.zeros((10, 3), int)
    for where, value in expected.items():
        arriving[where] = value
    np.testing.assert_array_equal(reference.run(network, frames).u[0][0], arriving << 6)
