"""A file that is not as it was written: a changed byte, a cut end, a wrong value. Never another network."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hdf5_mutations import mutate, sealed

from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.errors import NetworkError
from delaytool.formats.netx import read_netx, write_netx

FIXTURES = Path(__file__).parents[1] / "fixtures"
# Of each kind; `make campaign` tries as many as there is time for.
MUTATIONS = 250


def network_with_everything() -> IntegerNetwork:
    """Dense and sparse groups, one of them empty, class names, metadata and an extension."""
    network = IntegerNetwork.load(FIXTURES / "network-v1-sparse.h5")
    return replace(
        network,
        class_names=("yes", "nö"),
        export={"checkpoint": "best", "clip_delays": False, "scales": [1.5, 2.0], "calibration_samples": 16},
        provenance={"recipe": {"seed": 3, "lr": 1e-3}, "float": {"rounded": [0, 1, 1]}},
        extensions={"tests": {"about": "ü", "u/0": np.arange(6).reshape(2, 3), "gain": np.array([0.5])}},
        signed=True,
    )


def outcome(path: Path, expected: IntegerNetwork, load=IntegerNetwork.load) -> str:
    """'refused', 'same' or 'another'; an exception of another kind is the test's failure."""
    try:
        found = load(path)
    except NetworkError as error:
        text = str(error)
        return "refused" if "\n" not in text and str(path) in text else f"badly refused: {text}"
    return "same" if found == expected and found.signed == expected.signed else "another"


def test_no_changed_byte_makes_another_network(tmp_path: Path) -> None:
    network = network_with_everything()
    path = tmp_path / "net.h5"
    network.save(path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    # Every byte of the block and of HDF5's own beginning, and offsets spread over all of the rest.
    offsets = np.unique(np.concatenate([np.arange(1024), np.linspace(0, len(content) - 1, 2500).astype(int)]))
    assert len(offsets) > 2000
    found: Counter[str] = Counter()
    for offset in offsets.tolist():
        changed = bytearray(content)
        changed[offset] ^= int(rng.integers(1, 256))
        path.write_bytes(changed)
        found[outcome(path, network)] += 1
    assert found == {"refused": len(offsets)}
    path.write_bytes(content)
    assert outcome(path, network) == "same"


def test_no_cut_file_makes_another_network(tmp_path: Path) -> None:
    network = network_with_everything()
    path = tmp_path / "net.h5"
    network.save(path)
    content = path.read_bytes()
    lengths = {*range(0, 1100, 7), *np.linspace(0, len(content) - 1, 100).astype(int).tolist()}
    for length in lengths:
        path.write_bytes(content[:length])
        assert outcome(path, network) == "refused"
    path.write_bytes(content + b"\0")
    assert outcome(path, network) == "refused"


@pytest.mark.parametrize("content_too", [False, True], ids=["bytes sealed again", "bytes and content sealed again"])
def test_no_mutated_network_file_makes_another_network_or_a_traceback(tmp_path: Path, content_too: bool) -> None:
    network = network_with_everything()
    path = tmp_path / "net.h5"
    network.save(path)
    content = path.read_bytes()
    rng = np.random.default_rng(1 + content_too)
    found: Counter[str] = Counter()
    for _ in range(MUTATIONS):
        path.write_bytes(content)
        with h5py.File(path, "a", libver=("v110", "v110")) as file:
            what = mutate(file, rng)
        sealed(path, content=content_too)
        result = outcome(path, network)
        found[result] += 1
        assert result in ("refused", "same", "another"), what
        if result == "another":
            # With a content digest of its own, names and metadata are another's; the integers have a third one.
            assert content_too, what
            assert IntegerNetwork.load(path).integers_sha256() == network.integers_sha256(), what
    assert sum(found.values()) == MUTATIONS
    assert found["refused"] > MUTATIONS * 2 // 3


@pytest.mark.parametrize("name", ["dense", "sparse", "graded"])
def test_no_mutated_file_of_version_1_makes_a_traceback(tmp_path: Path, name: str) -> None:
    content = (FIXTURES / f"network-v1-{name}.h5").read_bytes()
    network = IntegerNetwork.load(FIXTURES / f"network-v1-{name}.h5")
    path = tmp_path / "net.h5"
    rng = np.random.default_rng(2)
    for _ in range(100):
        path.write_bytes(content)
        with h5py.File(path, "a", libver=("v110", "v110")) as file:
            mutate(file, rng)
        result = outcome(path, network)
        assert result in ("refused", "same", "another")
        if result == "another":  # nothing vouches for it
            assert not IntegerNetwork.load(path).signed


def netx_network() -> IntegerNetwork:
    network = IntegerNetwork.load(FIXTURES / "network-v1-dense.h5")
    hidden, readout = network.layers
    group = hidden.synapses[0]
    assert isinstance(group, DenseSynapses)
    hidden = replace(hidden, synapses=(replace(group, exponent=0),), bias_exponent=6)
    encoding = replace(network.encoding, values="binary", max_count=None)
    return replace(network, encoding=encoding, layers=(hidden, readout), class_names=("a", "b", "c"))


def test_no_mutated_netx_file_makes_another_network_or_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "net.net"
    write_netx(netx_network(), path)
    expected = read_netx(path)
    assert expected.signed
    content = path.read_bytes()
    rng = np.random.default_rng(3)
    found: Counter[str] = Counter()
    for _ in range(MUTATIONS):
        path.write_bytes(content)
        with h5py.File(path, "a", libver=("v110", "v110")) as file:
            what = mutate(file, rng)
        result = outcome(path, expected, read_netx)
        assert result in ("refused", "same", "another"), what
        assert result != "another" or not read_netx(path).signed, what
        found[result] += 1
    assert found["refused"] > MUTATIONS * 3 // 5
    assert found["another"] < 5


def test_no_mutated_netx_file_of_before_makes_a_traceback(tmp_path: Path) -> None:
    content = (FIXTURES / "netx-v1.net").read_bytes()
    expected = read_netx(FIXTURES / "netx-v1.net")
    path = tmp_path / "net.net"
    rng = np.random.default_rng(4)
    for _ in range(150):
        path.write_bytes(content)
        with h5py.File(path, "a", libver=("v110", "v110")) as file:
            mutate(file, rng)
        assert outcome(path, expected, read_netx) in ("refused", "same", "another")
