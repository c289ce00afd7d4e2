"""A network with delays beyond 62 as one without: relay neurons pass each spike on, 63 steps later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from delaytool.contract.layer import IntegerLayer
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import SparseSynapses

HOP = 63  # sent with delay 62 a spike arrives 63 steps later, and the relay fires then


def relayed(network: IntegerNetwork) -> tuple[IntegerNetwork, range]:
    """(the network with relays in front, where its own layers are now). Input must be 0 and 1.

    Synapses whose delay ends after the run are left out: they do nothing.
    """
    hops: dict[int, int] = {}  # relays behind each population
    for layer in network.layers:
        for group in layer.synapses:
            delay = _arriving(network, group)[3]
            hops[group.source] = max(hops.get(group.source, 0), int(delay.max(initial=0)) // HOP)
    first = {source: sum(hops[other] for other in sorted(hops) if other < source) for source in sorted(hops)}
    shift = sum(hops.values())

    def population(source: int, passed: int) -> int:
        """The population that a source is after so many relays, as the new network numbers them."""
        if passed == 0:
            return source if source == 0 else source + shift
        return first[source] + passed

    relays = []
    for source in sorted(hops):
        size = network.n_neurons_of(source)
        every = np.arange(size)
        for passed in range(hops[source]):
            identity = SparseSynapses(
                population(source, passed), size, size, every, every, np.full(size, 64), np.full(size, HOP - 1)
            )
            relays.append(IntegerLayer(f"relay{source}-{passed}", size, (identity,), dv=4096, threshold=10))
    layers = []
    for layer in network.layers:
        groups = []
        for group in layer.synapses:
            target, pre, weight, delay = _arriving(network, group)
            for passed in np.unique(delay // HOP):
                here = delay // HOP == passed
                origin = population(group.source, int(passed))
                arrays = (array[here] for array in (target, pre, weight, delay % HOP))
                groups.append(SparseSynapses(origin, *group.shape, *arrays, group.exponent))
        layers.append(replace(layer, synapses=tuple(groups)))
    return replace(network, layers=(*relays, *layers)), range(shift, shift + len(layers))


def _arriving(network, group):
    listed = group.listed()
    kept = listed[3] < network.n_steps - 1
    return tuple(array[kept] for array in listed)
