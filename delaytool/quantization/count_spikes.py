"""A readout for networks whose last neurons fire: it adds their spikes up, and the class is the one with the most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from delaytool.contract.bounds import STATE_SHIFT
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import SparseSynapses
from delaytool.errors import ExportError
from delaytool.hw_configs import Target


def count_spikes(network: IntegerNetwork, target: Target) -> IntegerNetwork:
    """The network with a layer 'count' behind it, whose membranes hold how often each of the last neurons has fired.

    One synapse for each neuron, no leak, one step more; the window of the readout is that last step. Exact: no count is
    rounded, the lowest class wins a tie as in `torch.argmax`. Raises ExportError where the counts could reach the
    threshold, at which the chip would reset them.
    """
    limits = target.limits
    classes = np.arange(network.n_classes)
    weight = max(1, limits.weight_step)
    if weight * network.n_steps > limits.threshold_max:
        raise ExportError(
            f"readout: {network.n_steps} spikes are more than {target.name} can count (its threshold holds "
            f"{limits.threshold_max}); give shorter samples, or read out a membrane instead (delaytool.LeakyReadout)"
        )
    synapses = SparseSynapses(
        len(network.layers), classes.size, classes.size, classes, classes, np.full(classes.size, weight),
        np.zeros(classes.size, np.int32), 0,
    )  # fmt: skip
    layer = IntegerLayer(
        "count", classes.size, (synapses,), dv=0, threshold=limits.threshold_max, bias_exponent=limits.bias_exponent_min
    )
    steps = network.n_steps + 1
    return replace(
        network,
        layers=(*network.layers, layer),
        readout=Readout("sum", float(weight << STATE_SHIFT), start=steps - 1, stop=steps),
        n_steps=steps,
    )
