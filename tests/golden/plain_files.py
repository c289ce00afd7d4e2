"""A golden vector as JSON and npz, for people without HDF5."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from delaytool.contract.network import IntegerNetwork
from delaytool.runtime.trace import Trace


def write_plain(
    path: Path, network: IntegerNetwork, frames: np.ndarray, trace: Trace, about: str, simulators: list[str]
) -> None:
    """`path` with the suffix .json: the network, every synapse listed; with .npz: the input and the expected trace."""
    layers = []
    for layer in network.layers:
        groups = []
        for group in layer.synapses:
            arrays = dict(zip(("target", "pre", "weight", "delay"), group.listed(), strict=True))
            listed = {name: array.tolist() for name, array in arrays.items()}
            groups.append({"source": group.source, "exponent": group.exponent, **listed})
        layers.append(
            {
                "name": layer.name,
                "n_neurons": layer.n_neurons,
                "du": layer.du,
                "dv": layer.dv,
                "threshold": layer.threshold,
                "bias": layer.bias.tolist(),
                "synapses": groups,
            }
        )
    described: dict[str, Any] = {
        "about": about,
        "simulators": simulators,
        "n_steps": network.n_steps,
        "n_channels": network.encoding.n_channels,
        "max_payload": network.encoding.max_payload,
        "layers": layers,
    }
    path.with_suffix(".json").write_text(json.dumps(described, separators=(",", ":")) + "\n", encoding="utf-8")
    expected = {
        f"{name}{index}": array.astype(np.uint8) if name == "spikes" else array
        for name in ("spikes", "u", "v")
        for index, array in enumerate(getattr(trace, name))
    }
    np.savez_compressed(path.with_suffix(".npz"), frames=frames, **expected)
