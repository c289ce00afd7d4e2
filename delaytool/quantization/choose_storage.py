"""Matrices or lists: whichever takes less of the chip's memory, for each group of synapses."""

from __future__ import annotations

from dataclasses import replace

from delaytool.contract.limits import synapse_bytes
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, Synapses
from delaytool.hw_configs import Target


def choose_storage(network: IntegerNetwork, target: Target) -> IntegerNetwork:
    """The same synapses, those of weight 0 left out of lists; a matrix where both forms take as much."""
    layers = tuple(
        replace(layer, synapses=tuple(_smaller(group, target) for group in layer.synapses)) for layer in network.layers
    )
    return replace(network, layers=layers)


def _smaller(group: Synapses, target: Target) -> Synapses:
    if isinstance(group, DenseSynapses):
        matrix: DenseSynapses | None = group
        listed = group.as_sparse()
    else:
        matrix, listed = group.as_dense(), group
    if matrix is None or synapse_bytes(listed, target) < synapse_bytes(matrix, target):
        return listed
    return matrix
