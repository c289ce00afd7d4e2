"""Network, netx and stream files that version 1 wrote still load, and still compute what they did."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from delaytool.contract.network import IntegerNetwork
from delaytool.errors import NetworkError
from delaytool.formats.netx import read_netx
from delaytool.runtime import reference
from delaytool.runtime.digest import digests
from delaytool.runtime.stream import Stream

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXPECTED = json.loads((FIXTURES / "network-v1-expected.json").read_text())


def computed(network: IntegerNetwork) -> list[str]:
    """Digests of the reference's traces of three random samples."""
    encoding = network.encoding
    shape = (3, encoding.n_steps, encoding.n_channels)
    frames = np.random.default_rng(7).integers(0, encoding.max_payload + 1, shape).astype(np.uint8)
    return [f"{digest:016x}" for digest in digests(reference.run(network, frames)).ravel()]


@pytest.mark.parametrize("name", ["dense", "sparse", "graded"])
def test_networks(name: str, tmp_path: Path) -> None:
    network = IntegerNetwork.load(FIXTURES / f"network-v1-{name}.h5")
    assert not network.signed
    assert computed(network) == EXPECTED[name]
    network.save(tmp_path / "again.h5")
    again = IntegerNetwork.load(tmp_path / "again.h5")
    assert again.signed
    assert again == network


def test_netx() -> None:
    network = read_netx(FIXTURES / "netx-v1.net")
    assert not network.signed
    assert computed(network) == EXPECTED["netx"]


def test_a_streams_state() -> None:
    stream = Stream(IntegerNetwork.load(FIXTURES / "network-v1-dense.h5"))
    stream.load(FIXTURES / "stream-v1.npz")
    assert stream.step(np.array([1, 2, 3, 0])).readout.tolist() == EXPECTED["stream"]


def test_golden_vectors() -> None:
    path = FIXTURES / "golden-v1-sparse-layers.h5"
    network = IntegerNetwork.load(path)
    with h5py.File(path) as file:
        frames, spikes = file["golden/frames"][()], file["golden/spikes/0"][()]
    np.testing.assert_array_equal(reference.run(network, frames).spikes[0], spikes)


def test_a_golden_vector_that_named_a_chip_which_does_not_hold_it() -> None:
    path = FIXTURES / "golden-v1-lava-dense-delays.h5"
    with pytest.raises(NetworkError, match=r"made for loihi2, .*: layer out: dv 4096 exceeds loihi2's 4095"):
        IntegerNetwork.load(path)
    assert IntegerNetwork.load(path, chip_limits=False).target == "loihi2"


def test_what_the_exporters_report_counts_is_missed(tmp_path: Path) -> None:
    """Version 1 counts nothing itself."""
    path = tmp_path / "net.h5"
    path.write_bytes((FIXTURES / "network-v1-dense.h5").read_bytes())
    report = [{"name": layer.name, "synapses": layer.n_synapses} for layer in IntegerNetwork.load(path).layers]
    with h5py.File(path, "a") as file:
        del file["provenance"]
        file["provenance"] = json.dumps({"layers": report, "loss": float("nan")})
    assert IntegerNetwork.load(path).provenance["loss"] is None
    for lost in ("layers/1", "layers/0/synapses/0"):
        changed = tmp_path / "changed.h5"
        changed.write_bytes(path.read_bytes())
        with h5py.File(changed, "a") as file:
            del file[lost]
        with pytest.raises(NetworkError, match="its export had"):
            IntegerNetwork.load(changed)
