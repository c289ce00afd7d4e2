"""Our netx files, read and run by lava-dl's own `lava.lib.dl.netx.hdf5.Network`, spike as the reference does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import delaytool
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.formats.netx import write_netx
from delaytool.runtime import reference

SHIM = Path(delaytool.__file__).parent / "runtime" / "backends" / "lava_worker" / "shim.py"
WORKER = Path(__file__).parent / "netx_in_lava_dl.py"


def network(seed: int, low: int, high: int) -> IntegerNetwork:
    """Three dense layers of even weights in low..high, all of which may fire."""
    rng = np.random.default_rng(seed)
    sizes = [6, 8, 8, 3]
    layers = []
    for index, n_out in enumerate(sizes[1:]):
        shape = (n_out, sizes[index])
        group = DenseSynapses(index, rng.integers(low // 2, high // 2 + 1, shape) * 2, rng.integers(0, 63, shape))
        bias = rng.integers(-10, 30, n_out)
        layers.append(
            IntegerLayer(f"layer{index}", n_out, (group,), 300, 200, int(rng.integers(0, 4096)), bias, bias_exponent=6)
        )
    return IntegerNetwork(InputEncoding(6, values="binary"), tuple(layers), Readout("sum", 1.0, 0, 90), n_steps=90)


# Ranges of weights between which netx and Lava guess the sign mode, the exponent and the bits differently.
RANGES = {
    "both signs": (-256, 254),
    "small": (-6, 8),
    "positive": (0, 254),
    "multiples": (-60, 60),
    "small positive": (2, 14),
    "negative": (-90, -2),
}


@pytest.fixture(scope="session")
def lava_dl_python(lava_python) -> str:
    code = "import importlib.util as u, sys; sys.exit(u.find_spec('lava.lib') is None)"
    if subprocess.run([lava_python, "-c", code], check=False).returncode:
        pytest.skip("lava-dl is not installed; pip install --no-deps --ignore-requires-python lava-dl==0.6.0")
    return lava_python


def test_lava_dl_reads_our_files_and_spikes_alike(lava_dl_python, tmp_path):
    expected, folders = {}, []
    for seed, (name, (low, high)) in enumerate(RANGES.items()):
        made = network(seed, low, high)
        frames = (np.random.default_rng(seed).random((1, 90, 6)) < 0.3).astype(np.uint8)
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        write_netx(made, folder / "network.net")
        np.save(folder / "frames.npy", frames)
        folders.append(folder)
        expected[folder] = reference.run(made, frames).spikes[-1]
    command = [lava_dl_python, str(WORKER), str(SHIM), *map(str, folders)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for folder in folders:
        np.testing.assert_array_equal(np.load(folder / "spikes.npy"), expected[folder], err_msg=folder.name)
    assert sum(int(spikes.sum()) for spikes in expected.values()) > 100
