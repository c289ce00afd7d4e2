# pyright: reportMissingImports=false
"""The Lava process graph of an IntegerNetwork: DelayDense, DelaySparse and LIF, connected as in the network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from lava.proc.dense.process import DelayDense
from lava.proc.lif.process import LIF, LIFReset
from lava.proc.sparse.process import DelaySparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, Synapses

PAYLOAD_BITS = 8


class Graph(NamedTuple):
    """inputs: the input ports of every connection that reads the network's input; neurons: one process per layer."""

    inputs: list
    neurons: list


class Series(NamedTuple):
    """Samples that follow each other in one run of the cached models.

    steps   steps of the whole run
    paths   where each layer's neurons write their record
    """

    steps: int
    paths: list[str]


def build(network: IntegerNetwork, series: Series | None = None) -> Graph:
    """Connect the network's processes. The caller connects a source to `inputs` and runs any one process.

    With a series, neurons start each sample of `network.n_steps` steps from u = v = 0 (LIFReset).
    """
    neurons = [_neurons(network, index, series) for index in range(len(network.layers))]
    inputs = []
    for layer, population, bridge in zip(network.layers, neurons, _bridges(network), strict=True):
        for group in (*layer.synapses, *bridge):
            graded = network.max_payload_of(group.source) > 1
            for connection in _connections(group, PAYLOAD_BITS if graded else 0, network.n_steps):
                connection.a_out.connect(population.a_in)
                if group.source == 0:
                    inputs.append(connection.s_in)
                else:
                    neurons[group.source - 1].s_out.connect(connection.s_in)
    return Graph(inputs, neurons)


def _bridges(network: IntegerNetwork) -> list[tuple[Synapses, ...]]:
    """For every layer, an extra group of zero weights from the input where nothing else joins the two.

    Lava runs only the processes that are connected to the one that it is asked to run.
    """
    part = list(range(len(network.layers) + 1))  # of each population; those joined have the same
    for index, layer in enumerate(network.layers, 1):
        for group in layer.synapses:
            if isinstance(group, DenseSynapses) or group.n_synapses:
                old, new = part[index], part[group.source]
                part = [new if number == old else number for number in part]
    bridges: list[tuple[Synapses, ...]] = []
    for index, layer in enumerate(network.layers, 1):
        if part[index] == part[0]:
            bridges.append(())
            continue
        zeros = np.zeros((layer.n_neurons, network.encoding.n_channels), np.int32)
        bridges.append((DenseSynapses(0, zeros, zeros),))
        part = [part[0] if number == part[index] else number for number in part]
    return bridges


def _neurons(network: IntegerNetwork, index: int, series: Series | None):
    layer = network.layers[index]
    parameters = {
        "shape": (layer.n_neurons,),
        "du": layer.du,
        "dv": layer.dv,
        "vth": layer.threshold,
        "bias_mant": layer.bias_mantissa.astype(np.int64),
        "bias_exp": np.full(layer.n_neurons, layer.bias_exponent),
    }
    if series is None:
        return LIF(**parameters)
    neurons = LIFReset(reset_interval=network.n_steps, reset_offset=1, **parameters)  # Lava counts steps from 1
    neurons.proc_params["record_steps"] = series.steps
    neurons.proc_params["record_path"] = series.paths[index]
    return neurons


def _connections(group: Synapses, message_bits: int, sample_steps: int) -> list:
    """One process for a dense group; one for each set of taps of a sparse group, as Lava's matrices hold one each."""
    parameters = {
        "weight_exp": group.exponent,
        "num_weight_bits": 8,
        "sign_mode": SignMode.MIXED,  # without it Lava guesses the mode, and keeps bits that MIXED drops
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
