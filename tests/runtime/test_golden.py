"""Every golden vector, made by stock Lava, is reproduced by the reference and the engine; and by Lava, where it is."""

from __future__ import annotations

import json
import sys
import types
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from golden import regenerate
from golden.cases import CASES
from golden.relays import relayed
from oracles.plain_simulator import simulate

from delaytool.contract.bounds import MAX_THRESHOLD
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.errors import NetworkError
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
    loaded = {path.stem: regenerate.load(path) for path in FILES}
    cases = {name: (network, frames) for name, (network, frames, _) in loaded.items()}
    for name, (simulator, trace) in regenerate.run_lava(cases, lava_python, variant).items():
        assert simulator == (regenerate.RELAYED_LAVA if name == "long-delays" else regenerate.LAVA)
        assert_same(loaded[name][2], trace)


def test_they_stay_small():
    beside = [path for path in regenerate.FOLDER.iterdir() if path.suffix in (".h5", ".json", ".npz", ".onnx")]
    assert len(beside) == 4 * len(FILES)
    assert sum(path.stat().st_size for path in beside) < 2_000_000


def test_the_readme_names_every_file():
    text = (regenerate.FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if name not in text] == []


def test_a_file_states_its_purpose_and_its_origin():
    for path in FILES:
        with h5py.File(path, "r") as file:
            assert file["extensions/golden/about"][()]
            assert b"lava-nc 0.10.0" in file["extensions/golden/made_by"][()]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_the_plain_files_hold_the_same(path):
    """By a simulator that reads nothing else and shares nothing with delaytool."""
    _, frames, expected = regenerate.load(path)
    described = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    with np.load(path.with_suffix(".npz")) as arrays:
        np.testing.assert_array_equal(arrays["frames"], frames)
        got = simulate(described, arrays["frames"])
        for name in ("spikes", "u", "v"):
            for index, array in enumerate(getattr(expected, name)):
                np.testing.assert_array_equal(arrays[f"{name}{index}"], array)
                np.testing.assert_array_equal(got[f"{name}{index}"], array, err_msg=f"{name} of layer {index}")


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_the_onnx_file_computes_the_same(path):
    pytest.importorskip("onnxruntime")
    from delaytool.runtime.backends.onnx import open_session, run_sequence

    network, frames, expected = regenerate.load(path)
    assert_same(expected, run_sequence(open_session(str(path.with_suffix(".onnx"))), network, frames))


def test_every_case_names_its_simulators():
    named = [json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["simulators"] for path in FILES]
    assert all(names[0].startswith(regenerate.LAVA) for names in named)
    assert sum(regenerate.EMULATOR in names for names in named) >= 10


def test_the_refusal_limit_is_the_limit():
    network, _, _ = regenerate.load(regenerate.FOLDER / "refusal-limit.h5")
    (layer,) = network.layers
    (group,) = layer.synapses
    weight = group.weight.copy()
    weight[0, 2] += 2
    with pytest.raises(NetworkError, match="beyond what 32-bit accumulators hold"):
        replace(network, layers=(replace(layer, synapses=(replace(group, weight=weight),)),))


def test_relays_change_nothing_but_the_delays():
    """A network with long delays does what the same one does in hops of 63 steps: so Lava can run it."""
    network, frames, expected = regenerate.load(regenerate.FOLDER / "long-delays.h5")
    longer, own = relayed(network)
    assert longer.max_delay == 62
    got = reference.run(longer, frames)
    for name in ("spikes", "u", "v"):
        for place, array in zip(own, getattr(expected, name), strict=True):
            np.testing.assert_array_equal(getattr(got, name)[place], array)


def test_the_ten_lines_of_the_page(tmp_path, monkeypatch):
    """The code of docs/golden-vectors.md runs as it stands, and fails for a simulator that is wrong by one."""
    page = (Path(__file__).parents[2] / "docs/golden-vectors.md").read_text(encoding="utf-8")
    code = page.partition("```python\n")[2].partition("```")[0]
    assert 5 < len([line for line in code.splitlines() if line]) <= 10
    monkeypatch.chdir(Path(__file__).parents[2])
    module = types.ModuleType("my_simulator")
    module.simulate = simulate
    monkeypatch.setitem(sys.modules, "my_simulator", module)
    exec(compile(code, "golden-vectors.md", "exec"), {})
    module.simulate = lambda network, frames: {name: array + 1 for name, array in simulate(network, frames).items()}
    with pytest.raises(AssertionError, match="beyond-one-wrap"):
        exec(compile(code, "golden-vectors.md", "exec"), {})


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
