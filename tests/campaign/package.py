"""A description of the campaign as the package's own objects."""

from __future__ import annotations

import numpy as np
from campaign.generator import Frames
from campaign.simulator import Description, Group

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, SparseSynapses, Synapses


def encoding_of(description: Description) -> InputEncoding:
    if description.values == "graded":
        bits = description.max_payload.bit_length()
        return InputEncoding(description.n_channels, values="graded", input_bits=bits, offset=0.0, scale=1.0)
    return InputEncoding(description.n_channels, values=description.values, max_count=description.max_payload)


def synapses_of(group: Group, n_out: int, n_in: int) -> Synapses:
    target, pre, weight, delay = np.array(group.synapses, np.int64).reshape(-1, 4).T
    if not group.dense:
        return SparseSynapses(group.source, n_out, n_in, target, pre, weight, delay, group.exponent)
    weights, delays = np.zeros((n_out, n_in), np.int64), np.zeros((n_out, n_in), np.int64)
    weights[target, pre], delays[target, pre] = weight, delay
    return DenseSynapses(group.source, weights, delays, group.exponent)


def network_of(description: Description) -> IntegerNetwork:
    """Raises NetworkError where the contract refuses the description."""
    populations = [description.n_channels, *(layer.n_neurons for layer in description.layers)]
    return IntegerNetwork(
        encoding=encoding_of(description),
        layers=tuple(
            IntegerLayer(
                name=f"layer{index}",
                n_neurons=layer.n_neurons,
                synapses=tuple(
                    synapses_of(group, layer.n_neurons, populations[group.source]) for group in layer.groups
                ),
                dv=layer.dv,
                threshold=layer.threshold,
                du=layer.du,
                bias_mantissa=np.array(layer.bias_mantissa),
                bias_exponent=layer.bias_exponent,
            )
            for index, layer in enumerate(description.layers)
        ),
        readout=Readout("sum", 1.0, 0, description.n_steps),
        n_steps=description.n_steps,
    )


def frames_of(description: Description, frames: Frames, dtype: type = np.uint8) -> np.ndarray:
    """(sample, time, channel)."""
    steps = len(frames[0]) if frames else 0
    return np.array(frames, dtype).reshape(len(frames), steps, description.n_channels)
