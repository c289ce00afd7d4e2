"""A network for a chip keeps the chip's limits, when it is saved and when it is loaded; for none, the contract's."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.errors import NetworkError


def network(*, weight: int = 2, delay: int = 0, target: str = "loihi2", **layer) -> IntegerNetwork:
    group = DenseSynapses(0, np.array([[weight]]), np.array([[delay]]), layer.pop("exponent", 0))
    values = {"dv": 409, "threshold": 100, **layer}
    made = IntegerLayer("hidden1", 1, (group,), **values)
    return IntegerNetwork(InputEncoding(1, values="binary"), (made,), Readout("sum", 1.0, 0, 5), 5, target)


BEYOND = [
    ({"delay": 63}, "layer hidden1: delay 63 exceeds loihi2's 62; retrain with --max-delay 62"),
    ({"weight": 9999}, "layer hidden1: weight 9999 exceeds loihi2's 254; export the run for this target"),
    ({"weight": -258}, "layer hidden1: weight -258 exceeds loihi2's -256"),
    ({"weight": 37}, "layer hidden1: weight 37 is not a multiple of 2"),
    ({"dv": 4096}, "layer hidden1: dv 4096 exceeds loihi2's 4095"),
]


@pytest.mark.parametrize(("values", "text"), BEYOND)
def test_beyond_a_chip(values, text, tmp_path: Path) -> None:
    made = network(**values)
    path = tmp_path / "net.h5"
    with pytest.raises(NetworkError) as caught:
        made.save(path)
    assert f"the network is made for loihi2, which does not hold it: {text}" in str(caught.value)
    assert not path.exists()
    made.save(path, chip_limits=False)
    with pytest.raises(NetworkError) as caught:
        IntegerNetwork.load(path)
    assert text in str(caught.value)
    assert str(path) in str(caught.value)
    assert IntegerNetwork.load(path, chip_limits=False) == made
    for_none = replace(made, target="ideal")
    for_none.save(path)
    assert IntegerNetwork.load(path) == for_none


def test_within_a_chip(tmp_path: Path) -> None:
    for made in (network(delay=62, weight=254), network(exponent=7), network(target="loihi2-netx", bias_exponent=6)):
        made.save(tmp_path / "net.h5")
        assert IntegerNetwork.load(tmp_path / "net.h5") == made


def test_an_unknown_chip(tmp_path: Path) -> None:
    made = network(target="abacus")
    made.save(tmp_path / "net.h5", chip_limits=False)
    for call in (lambda: made.save(tmp_path / "other.h5"), lambda: IntegerNetwork.load(tmp_path / "net.h5")):
        with pytest.raises(NetworkError, match=r"target 'abacus' is unknown; choose one of ideal, loihi2"):
            call()


def test_lavas_workers_load_no_chips_limits(tmp_path: Path) -> None:
    network(delay=63).save(tmp_path / "network.h5", chip_limits=False)
    code = """
import sys
import delaytool.runtime.backends.lava_worker.worker
from delaytool.contract.network import IntegerNetwork
IntegerNetwork.load(sys.argv[1], chip_limits=False)
loaded = [name for name in ("delaytool.hw_configs", "delaytool.contract.limits") if name in sys.modules]
sys.exit(f"loaded {loaded}" if loaded else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "network.h5"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
