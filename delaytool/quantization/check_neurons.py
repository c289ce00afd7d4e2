"""The first pass: neurons that the integer contract does not have are refused."""

from __future__ import annotations

from delaytool.errors import ExportError
from delaytool.models.config import ModelConfig


def check_neurons(config: ModelConfig) -> None:
    """Raise ExportError that names what the contract lacks for the neurons of a recipe."""
    if config.neuron == "adaptive":
        raise ExportError(
            "network: model.neuron is 'adaptive', and the integer contract has one constant threshold per layer, no "
            "state that raises it; train with model.neuron 'lif', 'plif' or 'cuba', or evaluate the float network"
        )
