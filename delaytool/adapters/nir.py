"""A NIR file's float network in our terms: the settings of a model, and its parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from delaytool.errors import CheckpointError
from delaytool.formats.nir.float_network import Branch, FloatLayer, FloatNetwork
from delaytool.models.config import ModelConfig

MOST_TAPS = 64
# Of a membrane without a leak: float32 holds 1 - 1/tau as 1, and a chip's decay rounds to 0.
NO_LEAK = 1e9


def settings_of(network: FloatNetwork) -> dict[str, Any]:
    """The values of a recipe's `model` section that the graph decides: layers, delays, time constants and biases.

    Where every connection has a delay of at least one step, the network is in chip time; otherwise spikes without a
    delay reach the next layer in their own step, which is the paper's time. Raises CheckpointError for a graph that a
    DelayNetwork cannot represent.
    """
    layers = network.layers
    taus = [layer.tau for layer in layers]
    currents = {layer.current_tau for layer in layers}
    if len(currents) > 1:
        raise CheckpointError(
            "nir: the layers' synaptic time constants differ ("
            + ", ".join(f"{layer.name} {layer.current_tau:g} steps" for layer in layers)
            + "); a network has one for all layers"
        )
    current_tau = currents.pop()
    one_tau = len(set(taus)) == 1 and math.isfinite(taus[0])
    if current_tau > 1 and not one_tau:
        raise CheckpointError(
            "nir: the layers' membrane time constants differ ("
            + ", ".join(f"{layer.name} {layer.tau:g} steps" for layer in layers)
            + "); with synaptic currents a network has one for all layers"
        )
    forward = [synapses(layer.forward, waiting=int(network.delayed_everywhere)) for layer in layers]
    within = [synapses(layer.recurrent, waiting=1) for layer in layers[:-1] if layer.recurrent]
    if layers[-1].recurrent:
        raise CheckpointError(f"nir: {layers[-1].name} is the readout and is recurrent; only hidden layers can be")
    longest = max(1, *(math.ceil(delay.max()) for _, delay in forward))
    return {
        "hidden": [layer.n_neurons for layer in layers[:-1]],
        "kernel_count": max(weight.shape[2] for weight, _ in (*forward, *within)),
        "max_delay": longest,
        "tail_steps": longest,
        "recurrent": [bool(layer.recurrent) for layer in layers[:-1]],
        "recurrent_max_delay": max((math.ceil(delay.max()) for _, delay in within), default=0),
        "neuron": "cuba" if current_tau > 1 else "lif" if one_tau else "plif",
        "tau": taus[0] if one_tau else 2.0,
        "tau_current": max(current_tau, 1.0),
        "bias": any(layer.bias.any() for layer in layers),
        "timing": "chip" if network.delayed_everywhere else "paper",
        "threshold": 1.0,
        "batch_norm": False,
        "delays": "learned",
        "delays_per": "synapse",
        "sparsity": 0.0,
        "rewiring": "none",
        "dale": False,
    }


def synapses(branches: Sequence[Branch], *, waiting: int) -> tuple[np.ndarray, np.ndarray]:
    """(weight, delay), (n_out, n_in, taps): as many taps as a pair of neurons has branches.

    waiting   steps that a spike takes anyway, besides the delay that is returned
    """
    weight = np.stack([branch.weight for branch in branches], axis=2)
    delay = np.stack([np.maximum(branch.delay - waiting, 0.0) for branch in branches], axis=2)
    taps = max(1, int(np.count_nonzero(weight, axis=2).max()))
    if taps > MOST_TAPS:
        raise CheckpointError(f"nir: a pair of neurons is joined by {taps} branches; at most {MOST_TAPS} are possible")
    first = np.argsort(weight == 0, axis=2, kind="stable")[..., :taps]
    weight, delay = np.take_along_axis(weight, first, axis=2), np.take_along_axis(delay, first, axis=2)
    return weight, np.where(weight == 0, 0.0, delay)


def parameters_of(network: FloatNetwork, model: ModelConfig) -> dict[str, Tensor]:
    """The graph's numbers as the state of a DelayNetwork whose settings are `settings_of` the graph."""
    parameters: dict[str, Tensor] = {}
    for index, layer in enumerate(network.layers):
        last = index == len(network.layers) - 1
        prefix = "readout" if last else f"hidden.{index}.synapses"
        parameters |= _synapses(prefix, layer.forward, int(network.delayed_everywhere), model.kernel_count)
        if model.bias:
            parameters[f"{prefix}.bias"] = torch.from_numpy(layer.bias).float()
        if layer.recurrent:
            parameters |= _synapses(f"hidden.{index}.recurrent", layer.recurrent, 1, model.kernel_count)
        if model.neuron == "plif":
            parameters["readout_neurons.decay" if last else f"hidden.{index}.neurons.decay"] = _decay(layer)
    return parameters


def _synapses(prefix: str, branches: Sequence[Branch], waiting: int, taps: int) -> dict[str, Tensor]:
    arrays = synapses(branches, waiting=waiting)
    missing = taps - arrays[0].shape[2]
    padded = (np.pad(array, ((0, 0), (0, 0), (0, missing))) for array in arrays)
    return {
        f"{prefix}.{name}": torch.from_numpy(array).float()
        for name, array in zip(("weight", "delay"), padded, strict=True)
    }


def _decay(layer: FloatLayer) -> Tensor:
    """a of tau = 1 + exp(-a)."""
    tau = min(max(layer.tau, 1.0 + 1e-6), NO_LEAK)
    return torch.tensor(-math.log(tau - 1.0), dtype=torch.float32)
