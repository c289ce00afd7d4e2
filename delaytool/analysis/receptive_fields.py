"""Spatio-temporal receptive fields: what each presynaptic unit adds to a neuron, after how many steps."""

from __future__ import annotations

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.models.delay_network import DelayNetwork
from delaytool.quantization.fold_batch_norm import fold_batch_norm
from delaytool.quantization.program_of_network import program_of_network

PARTS = ("signed", "excitation", "inhibition")


def receptive_fields(model: DelayNetwork, encoding: InputEncoding) -> dict[str, np.ndarray]:
    """By layer: (neuron, unit, delay) float64, the weight that a spike of the unit arrives with after the delay.

    Delays are rounded as the network is evaluated and exported; taps that meet in one cell add up. Batch norm is
    folded in, so that a positive cell excites even where the norm's factor is negative. A unit is a neuron of the
    layer before, or an input channel; of a recurrent layer's synapses to itself, a neuron of that layer, whose spikes
    take one step besides the delay. The encoding's n_steps must be decided.
    """
    config = model.config
    layers = fold_batch_norm(program_of_network(model, encoding)).layers
    fields = {layer.name: cells_of_taps(layer.weight, layer.delay, config.kernel_size) for layer in layers}
    for layer in layers:
        if layer.recurrent is not None:
            own = cells_of_taps(layer.recurrent.weight, layer.recurrent.delay, config.recurrent_synapses.kernel_size)
            fields[f"{layer.name}-recurrent"] = own
    return fields


def cells_of_taps(weight: np.ndarray, delay: np.ndarray, n_delays: int) -> np.ndarray:
    """weight, delay (neuron, unit, tap) to (neuron, unit, n_delays); delays are rounded, in float32 as in training."""
    step = np.round(delay.astype(np.float32)).astype(np.int64).clip(0, n_delays - 1)
    fields = np.zeros((*weight.shape[:2], n_delays))
    neuron, unit, _ = np.indices(weight.shape)
    np.add.at(fields, (neuron, unit, step), weight)
    return fields


def part_of(fields: np.ndarray, part: str) -> np.ndarray:
    """'signed': the fields; 'excitation' or 'inhibition': the size of their positive or negative cells, 0 elsewhere."""
    if part == "signed":
        return fields
    if part not in PARTS:
        raise ValueError(f"part {part!r} is unknown; choose one of {', '.join(PARTS)}")
    return np.maximum(fields if part == "excitation" else -fields, 0.0)
