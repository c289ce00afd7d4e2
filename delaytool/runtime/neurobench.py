"""NeuroBench's metrics of an integer network, by the definitions of NeuroBench 2.3 (Yik et al. 2025).

Its hooks know PyTorch's linear, convolutional and recurrent layers, none of which has delays, so they are computed here
(tests compare them with the package on networks without delays). Sizes are those of the integer contract's arrays:
32 bit for every weight, delay, index, bias and state. A chip packs them tighter: `delaytool map` estimates that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from delaytool.contract.frames import padded_input
from delaytool.contract.layer import IntegerLayer
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import SparseSynapses, Synapses
from delaytool.runtime.trace import Trace

ELEMENT_BYTES = 4


@dataclass(frozen=True)
class Static:
    """What a network is, whatever it is given.

    parameter_bytes       weights, delays (where any is not 0), in lists indices, and biases (where any is not 0)
    state_bytes           u and v of every neuron
    delay_buffer_bytes    input on its way: for every neuron one number for each step of its layer's longest delay
    connection_sparsity   share of the pairs of neurons, of populations that are joined, without a synapse that does
                          anything; rounded to 4 decimals, as NeuroBench does
    """

    parameter_bytes: int
    state_bytes: int
    delay_buffer_bytes: int
    connection_sparsity: float

    @property
    def footprint_bytes(self) -> int:
        return self.parameter_bytes + self.state_bytes + self.delay_buffer_bytes


@dataclass(frozen=True)
class Operations:
    """What a run did, (sample,) int64 each.

    dense              synaptic operations were every weight and every input not zero: pairs of neurons times steps
    effective_acs      synapses of nonzero weight that take up a spike
    effective_macs     the same for input that can be more than 1, whose value multiplies the weight
    membrane_updates   neurons whose v differs from the step before, and every neuron in the first step
    activations        outputs of all layers in all steps; nonzero_activations: spikes among them
    """

    dense: np.ndarray
    effective_acs: np.ndarray
    effective_macs: np.ndarray
    membrane_updates: np.ndarray
    activations: np.ndarray
    nonzero_activations: np.ndarray

    @property
    def activation_sparsity(self) -> float:
        """Share of the activations that are zero."""
        return float(1 - self.nonzero_activations.sum() / max(1, self.activations.sum()))

    @staticmethod
    def joined(parts: Sequence[Operations]) -> Operations:
        """The same of all parts' samples."""
        names = [field.name for field in fields(Operations)]
        return Operations(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def static_metrics(network: IntegerNetwork) -> Static:
    """Footprint and connection sparsity of a network."""
    parameters = states = buffers = pairs = connected = 0
    for layer in network.layers:
        for group in layer.synapses:
            arrays = 3 if isinstance(group, SparseSynapses) else 1  # weight, and in a list target and source
            arrays += bool(group.delay.any())
            parameters += arrays * group.weight.size * ELEMENT_BYTES
        for groups in _by_source(layer).values():
            pairs += groups[0].shape[0] * groups[0].shape[1]
            connected += connected_pairs(groups)
        parameters += layer.n_neurons * ELEMENT_BYTES if layer.bias_mantissa.any() else 0
        states += 2 * layer.n_neurons * ELEMENT_BYTES
        buffers += layer.max_delay * layer.n_neurons * ELEMENT_BYTES
    sparsity = round(1 - connected / pairs, 4) if pairs else 0.0
    return Static(parameters, states, buffers, sparsity)


def _by_source(layer: IntegerLayer) -> dict[int, list[Synapses]]:
    """The groups of synapses that reach a layer, by the population that they come from."""
    found: dict[int, list[Synapses]] = {}
    for group in layer.synapses:
        found.setdefault(group.source, []).append(group)
    return found


def connected_pairs(groups: Sequence[Synapses]) -> int:
    """Pairs of neurons with a synapse of nonzero weight, of groups that join the same two populations.

    Several synapses between the same two neurons count once.
    """
    numbers = []
    for group in groups:
        target, pre, _, _ = group.listed()
        numbers.append(target.astype(np.int64) * group.shape[1] + pre)
    return int(np.unique(np.concatenate(numbers)).size)


def count_operations(network: IntegerNetwork, frames: np.ndarray, trace: Trace) -> Operations:
    """From any backend's trace that holds spikes and v of every layer; `frames` (sample, step, channel) is what it ran.

    NeuroBench decides by the values that it sees in a step whether an operation is an AC or a MAC; here the encoding
    decides: input that can be more than 1 makes MACs.
    """
    given = padded_input(frames, network.n_steps) > 0
    n_samples = given.shape[0]
    sent = [each.sum(axis=1, dtype=np.int64) for each in (given, *trace.spikes)]
    acs, macs = np.zeros(n_samples, np.int64), np.zeros(n_samples, np.int64)
    dense = 0
    for layer in network.layers:
        for group in layer.synapses:
            fan_out = np.bincount(group.listed()[1], minlength=group.shape[1])
            events = sent[group.source] @ fan_out
            if network.max_payload_of(group.source) > 1:
                macs += events
            else:
                acs += events
        for groups in _by_source(layer).values():
            pairs = groups[0].shape[0] * groups[0].shape[1]
            dense += max(pairs, sum(group.n_synapses for group in groups)) * network.n_steps
    updates = np.zeros(n_samples, np.int64)
    for v in trace.v:
        updates += (v[:, 1:] != v[:, :-1]).sum(axis=(1, 2), dtype=np.int64) + v.shape[2]
    neurons = sum(layer.n_neurons for layer in network.layers)
    return Operations(
        dense=np.full(n_samples, dense, np.int64),
        effective_acs=acs,
        effective_macs=macs,
        membrane_updates=updates,
        activations=np.full(n_samples, neurons * network.n_steps, np.int64),
        nonzero_activations=trace.events().sum(axis=1),
    )


def as_dict(static: Static, operations: Operations) -> dict[str, Any]:
    """Under NeuroBench's own names; operations are means per sample."""
    return {
        "footprint": static.footprint_bytes,
        "footprint_parameters": static.parameter_bytes,
        "footprint_states": static.state_bytes,
        "footprint_delay_buffers": static.delay_buffer_bytes,
        "connection_sparsity": static.connection_sparsity,
        "activation_sparsity": operations.activation_sparsity,
        "synaptic_operations": {
            "Dense": float(operations.dense.mean()),
            "Effective_ACs": float(operations.effective_acs.mean()),
            "Effective_MACs": float(operations.effective_macs.mean()),
        },
        "membrane_updates": float(operations.membrane_updates.mean()),
    }


def rows(static: Static, operations: Operations) -> list[tuple[str, str]]:
    """(metric, value) for tables."""
    kib = 1024
    return [
        ("footprint", f"{static.footprint_bytes / kib:,.1f} KiB"),
        ("footprint: parameters", f"{static.parameter_bytes / kib:,.1f} KiB"),
        ("footprint: states", f"{static.state_bytes / kib:,.1f} KiB"),
        ("footprint: delay buffers", f"{static.delay_buffer_bytes / kib:,.1f} KiB"),
        ("connection sparsity", f"{static.connection_sparsity:.4f}"),
        ("activation sparsity", f"{operations.activation_sparsity:.4f}"),
        ("synaptic operations, dense", f"{operations.dense.mean():,.1f}"),
        ("effective ACs", f"{operations.effective_acs.mean():,.1f}"),
        ("effective MACs", f"{operations.effective_macs.mean():,.1f}"),
        ("membrane updates", f"{operations.membrane_updates.mean():,.1f}"),
    ]
