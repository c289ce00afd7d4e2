"""Sparse and rewired networks from recipe to verdict."""

import pytest

from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import SparseSynapses


@pytest.mark.parametrize(
    ("structure", "names"),
    [
        ({"sparsity": 0.8}, "a mask drawn once"),
        ({"sparsity": 0.8, "rewiring": "rigl-signed", "dale": "true"}, "learned delays"),
        (
            {"sparsity": 0.9, "rewiring": "deep-r", "delays": "fixed-random", "kernel_count": 9},
            "delays chosen by structure",
        ),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_sparse_network_is_exported_as_lists_and_verified(structure, names, call, tmp_path):
    settings = {f"model.{key}": value for key, value in structure.items()}
    settings |= {"model.hidden": "[24]", "trainer.epochs": 3, "trainer.l1": "1e-5", "trainer.lr": 0.02}
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    for arguments in (
        ("train", "digits", "-o", tmp_path / "run", *options),
        ("export", tmp_path / "run", "--target", "loihi2", "--calibration-samples", 16),
        ("verify", tmp_path / "run" / "network-loihi2.h5", "--torch", "--no-drop", "--samples", 30),
    ):
        result = call(*arguments)
        assert result.exit_code == 0, result.output
    assert "PASS: engine, reference, torch agree on every bit" in result.output
    network = IntegerNetwork.load(tmp_path / "run" / "network-loihi2.h5")
    for layer in network.layers:
        (group,) = layer.synapses
        assert isinstance(group, SparseSynapses)
        n_out, n_in = group.shape
        taps = n_out * n_in * structure.get("kernel_count", 1)
        assert group.n_synapses <= round((1 - structure["sparsity"]) * taps)
