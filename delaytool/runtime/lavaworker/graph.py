# pyright: reportMissingImports=false
"""The Lava process graph of an IntegerNetwork: DelayDense, DelaySparse and LIF, connected as the network says."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from lava.proc.dense.process import DelayDense
from lava.proc.lif.process import LIF, LIFReset
from lava.proc.sparse.process import DelaySparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

from delaytool.network import DenseSynapses, IntegerLayer, IntegerNetwork, Synapses

PAYLOAD_BITS = 8


class Graph(NamedTuple):
    """inputs: the input ports of every connection that reads the network's input; neurons: one process a layer."""

    inputs: tuple
    neurons: tuple


def build(network: IntegerNetwork, *, reset_every_sample: bool = False) -> Graph:
    """Connect the network's processes. The caller connects a source to `inputs` and runs any one process.

    reset_every_sample: samples follow each other in one run, `network.n_steps` steps each; neurons then start
    each one from u = v = 0 (LIFReset), and connection models are told `sample_steps` so that they can, too.
    """
    neurons = [_neurons(layer, network.n_steps if reset_every_sample else None) for layer in network.layers]
    inputs = []
    for layer, population in zip(network.layers, neurons, strict=True):
        for group in layer.synapses:
            graded = network.max_payload_of(group.source) > 1
            for connection in _connections(group, PAYLOAD_BITS if graded else 0, network.n_steps):
                connection.a_out.connect(population.a_in)
                if group.source == 0:
                    inputs.append(connection.s_in)
                else:
                    neurons[group.source - 1].s_out.connect(connection.s_in)
    return Graph(tuple(inputs), tuple(neurons))


def _neurons(layer: IntegerLayer, sample_steps: int | None):
    parameters = {
        "shape": (layer.n_neurons,),
        "du": layer.du,
        "dv": layer.dv,
        "vth": layer.threshold,
        "bias_mant": layer.bias_mantissa.astype(np.int64),
        "bias_exp": np.full(layer.n_neurons, layer.bias_exponent),
    }
    if sample_steps is None:
        return LIF(**parameters)
    return LIFReset(reset_interval=sample_steps, reset_offset=1, **parameters)  # Lava counts steps from 1


def _connections(group: Synapses, message_bits: int, sample_steps: int) -> list:
    """One process for a dense group; one for each set of taps of a sparse group, as Lava's matrices hold one each."""
    parameters = {
        "weight_exp": group.exponent,
        "num_weight_bits": 8,
        "sign_mode": SignMode.MIXED,  # left to itself Lava guesses, and keeps bits that MIXED drops
        "num_message_bits": message_bits,
        "sample_steps": sample_steps,
    }
    if isinstance(group, DenseSynapses):
        delays = np.where(group.weight != 0, group.delay, 0).astype(np.int64)  # Lava insists on int64
        # Without max_delay Lava takes the largest delay; given one that is too small it drops synapses silently.
        parameters["max_delay"] = int(delays.max())
        return [DelayDense(weights=group.weight.astype(np.int64), delays=delays, **parameters)]
    target, pre, weight, delay = (array.astype(np.int64) for array in group.listed())
    connections = []
    tap = _tap_numbers(target * group.n_in + pre)
    for number in range(int(tap.max(initial=-1)) + 1):
        kept = tap == number
        where = (target[kept], pre[kept])
        parameters["max_delay"] = int(delay[kept].max())
        connections.append(
            DelaySparse(
                weights=csr_matrix((weight[kept], where), group.shape),
                delays=csr_matrix((delay[kept], where), group.shape),
                **parameters,
            )
        )
    return connections


def _tap_numbers(pair: np.ndarray) -> np.ndarray:
    """For every synapse, how many of the same pair of neurons come before it: 0 for the first tap, then 1, ..."""
    order = np.argsort(pair, kind="stable")
    same = pair[order]
    first = np.searchsorted(same, same)
    number = np.empty(pair.size, np.int64)
    number[order] = np.arange(pair.size) - first
    return number
