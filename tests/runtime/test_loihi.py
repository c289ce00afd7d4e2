"""The Loihi 2 backend as far as it goes without a chip: its refusals, and a dry run with stand-in adapters."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

import delaytool
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.errors import BackendError
from delaytool.runtime import reference
from delaytool.runtime.backends import lava, loihi

STAND_IN = Path(__file__).parent / "chip_stand_in.py"


def network(delay: int = 5, dv: int = 409) -> IntegerNetwork:
    """Two layers, biases and counts, for what the latencies of a chip could upset."""
    rng = np.random.default_rng(1)
    layers = []
    for index, (name, n_in, n_out) in enumerate((("hidden", 3, 4), ("out", 4, 2))):
        group = DenseSynapses(index, rng.integers(-30, 90, (n_out, n_in)) * 2, np.full((n_out, n_in), delay))
        layers.append(IntegerLayer(name, n_out, (group,), dv, 100, 2000, rng.integers(-40, 60, n_out), 4))
    return IntegerNetwork(InputEncoding(3, max_count=3), tuple(layers), Readout("sum", 1.0, 0, 25), n_steps=25)


FRAMES = np.random.default_rng(2).integers(0, 4, (2, 20, 3)).astype(np.uint8)


def test_without_lava_it_is_one_line_and_exit_code_3(monkeypatch):
    monkeypatch.delenv(lava.PYTHON_VARIABLE, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(loihi.MissingLoihiError) as caught:
        loihi.run(network(), FRAMES)
    assert caught.value.exit_code == 3
    assert "--backend lava" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_extension_it_is_one_line_and_exit_code_3(lava_python):
    with pytest.raises(loihi.MissingLoihiError) as caught:
        loihi.run(network(), FRAMES, python=lava_python)
    assert caught.value.exit_code == 3
    assert lava_python in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "text"), [({"delay": 63}, "delay 63 exceeds loihi2's 62"), ({"dv": 4096}, "dv 4096 exceeds")]
)
def test_what_the_chip_cannot_hold_is_refused(options, text):
    with pytest.raises(BackendError, match=text):
        loihi.run(network(**options), FRAMES)


def test_what_lava_cannot_hold_is_refused():
    odd = network()
    layer = replace(odd.layers[0], synapses=(DenseSynapses(0, np.full((4, 3), 3), np.zeros((4, 3), int)),))
    with pytest.raises(BackendError, match="weight 3 is odd"):
        loihi.run(replace(odd, layers=(layer, odd.layers[1])), FRAMES)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"generation": "N2A2"}, "generation 'N2A2' is unknown"),
        ({"board": "a", "partition": "b"}, "give one of them"),
        ({"input_latency": -1}, "below 0 steps"),
    ],
)
def test_a_host_that_makes_no_sense_is_refused(options, text):
    with pytest.raises(BackendError, match=text):
        loihi.Host(**options)


@pytest.mark.parametrize(
    ("host", "connected"),
    [
        (loihi.Host(address="192.0.2.1", generation="N3C1"), "ethernet 192.0.2.1 N3C1"),
        (loihi.Host(partition="oheogulch"), "slurm None oheogulch"),
    ],
)
def test_a_dry_run_takes_the_latencies_out_again(lava_python, tmp_path, host, connected):
    """With adapters that are one step late, the trace is the reference's: input, biases, spikes, u and v line up."""
    made = network()
    made.save(tmp_path / "network.h5")
    np.save(tmp_path / "frames.npy", FRAMES)
    (tmp_path / "options.json").write_text(json.dumps(asdict(host)), encoding="utf-8")
    package = str(Path(delaytool.__file__).parent)
    done = subprocess.run(
        [lava_python, str(STAND_IN), package, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert connected in done.stdout
    expected = reference.run(made, FRAMES)
    assert expected.events().min() > 0
    with np.load(tmp_path / "trace.npz") as arrays:
        for name in ("spikes", "u", "v"):
            for index, array in enumerate(getattr(expected, name)):
                np.testing.assert_array_equal(arrays[f"{name}{index}"], array, err_msg=f"{name} of layer {index}")
