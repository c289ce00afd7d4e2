"""Facts about a graph in its ONNX metadata, strings that are JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from delaytool.contract.network import IntegerNetwork

PREFIX = "delaytool."


def metadata(network: IntegerNetwork, **more: object) -> dict[str, str]:
    """How events become frames, what the classes are called, and where the integers came from."""
    values = {
        "encoding": network.encoding.as_dict(),
        "classes": list(network.class_names or map(str, range(network.n_classes))),
        "layers": [layer.name for layer in network.layers],
        "n_steps": network.n_steps,
        "readout": asdict(network.readout),
        "target": network.target,
        "integers_sha256": network.integers_sha256(),
        **more,
    }
    return {PREFIX + name: json.dumps(value) for name, value in values.items()}
