"""The digests are those of docs/file-formats.md, computed by its example."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.contract import hdf5
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.values import file_values
from delaytool.errors import NetworkError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "file-formats.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    code = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "content_sha256" in block)
    names: dict[str, Any] = {}
    exec(code, names)
    return names


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_of_bytes_and_content(example, random_network, tmp_path_factory, seed: int) -> None:
    network, _ = random_network(np.random.default_rng(seed))
    path = tmp_path_factory.mktemp("net") / "net.h5"
    network.save(path)
    block = path.read_bytes()[:512].rstrip(b"\0").decode().splitlines()
    assert block[:2] == ["delaytool-network", "schema 2"]
    assert block[2] == f"bytes {path.stat().st_size - 512}"
    assert block[3] == f"sha256 {example['bytes_sha256'](path)}"
    with h5py.File(path) as file:
        assert file.attrs["content_sha256"] == example["content_sha256"](path) == network.content_sha256()
        assert file.attrs["integers_sha256"] == integers_by_the_page(example, file) == network.integers_sha256()


def integers_by_the_page(example: dict[str, Any], file: Any) -> str:
    """The table of records, from the file alone."""
    records = [(name, file.attrs[name]) for name in ("encoding", "readout", "n_steps", "n_layers")]
    for index in range(file.attrs["n_layers"]):
        at = f"layers/{index}"
        layer = file[at]
        for name in ("n_neurons", "du", "dv", "threshold", "bias_exponent"):
            records.append((f"{at}/{name}", layer.attrs[name]))
        records.append((f"{at}/bias_mantissa", layer["bias_mantissa"][()]))
        records.append((f"{at}/n_synapse_groups", layer.attrs["n_synapse_groups"]))
        for number in range(layer.attrs["n_synapse_groups"]):
            inner = f"{at}/synapses/{number}"
            group = file[inner]
            records += [(f"{inner}/{name}", group.attrs[name]) for name in ("source", "exponent")]
            weight, delay = group["weight"][()], group["delay"][()]
            if group.attrs["kind"] == "dense":
                target, pre = np.indices(weight.shape).reshape(2, -1)
                weight, delay = weight.ravel(), delay.ravel()
            else:
                target, pre = group["target"][()], group["pre"][()]
            rows = sorted(
                (int(t), int(p), int(d), int(w)) for t, p, d, w in zip(target, pre, delay, weight, strict=True) if w
            )
            columns = np.array(rows, np.int64).reshape(-1, 4)
            records += [(f"{inner}/{name}", columns[:, k]) for name, k in zip(("target", "pre"), (0, 1), strict=True)]
            records += [(f"{inner}/weight", columns[:, 3]), (f"{inner}/delay", columns[:, 2])]
    return str(example["sha256_of_records"](records))


@pytest.mark.parametrize(
    ("name", "canonical", "other"),
    [
        ("readout", '"scale":1000.0', '"scale":1000'),
        ("readout", '"scale":1000.0', '"scale":1e3'),
        ("readout", '"method":"sum",', '"method": "sum",'),
        ("readout", '{"method":"sum","scale":1000.0,', '{"scale":1000.0,"method":"sum",'),
        ("encoding", '"time_step_ms":10.0', '"time_step_ms":10'),
        ("encoding", '"max_count":null,', ""),
    ],
)
def test_another_text_of_the_same_values_is_named(
    example, random_network, tmp_path: Path, name: str, canonical: str, other: str
) -> None:
    network, _ = random_network(np.random.default_rng(1))
    network = replace(
        network,
        readout=Readout("sum", 1000.0, 0, network.n_steps),
        encoding=InputEncoding(network.encoding.n_channels, n_steps=1),
    )
    values = file_values(network)
    changed = {**values, f"@{name}": str(values[f"@{name}"]).replace(canonical, other)}
    assert changed != values
    hdf5.save(changed, tmp_path / "net.h5")  # its integers' digest is that of the canonical text
    assert IntegerNetwork.load(tmp_path / "net.h5") == network
    with h5py.File(tmp_path / "net.h5") as file:
        changed["@integers_sha256"] = integers_by_the_page(example, file)
    hdf5.save(changed, tmp_path / "net.h5")
    with pytest.raises(
        NetworkError, match=f"net.h5: @{name} is not the canonical JSON that integers_sha256 is taken of"
    ):
        IntegerNetwork.load(tmp_path / "net.h5")
    hdf5.save({**values, "@integers_sha256": "0" * 64}, tmp_path / "net.h5")
    with pytest.raises(NetworkError, match="its integers are not those of its digest"):
        IntegerNetwork.load(tmp_path / "net.h5")


def test_of_a_golden_vector(example) -> None:
    path = ROOT / "tests" / "golden" / "three-layers.h5"
    network = IntegerNetwork.load(path)
    assert "golden" in network.extensions
    assert network.extensions["golden"]["about"]
    with h5py.File(path) as file:
        assert file.attrs["content_sha256"] == example["content_sha256"](path) == network.content_sha256()
