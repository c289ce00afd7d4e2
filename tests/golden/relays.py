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

    The relays of a population are one layer, which drives itself: neuron k * size + i fires as neuron i did, k + 1 hops
    ago. Synapses whose delay ends after the run are left out: they do nothing.
    """
    hops: dict[int, int] = {}  # relays behind each population
    for layer in network.layers:
        for group in layer.synapses:
            delay = _arriving(network, group)[3]
            hops[group.source] = max(hops.get(group.source, 0), int(delay.max(initial=0)) // HOP)
    behind = [source for source in sorted(hops) if hops[source]]
    shift = len(behind)

    def population(source: int) -> int:
        return source if source == 0 else source + shift

    relays = []
    for number, source in enumerate(behind, 1):
        size, every = network.n_neurons_of(source), np.arange(network.n_neurons_of(source))
        n = size * hops[source]
        later = np.arange(size, n)
        groups = [_identity(population(source), n, size, every, every)]
        if later.size:
            groups.append(_identity(number, n, n, later, later - size))
        relays.append(IntegerLayer(f"relay{source}", n, tuple(groups), dv=4096, threshold=10))
    layers = []
    for layer in network.layers:
        groups = []
        for group in layer.synapses:
            target, pre, weight, delay = _arriving(network, group)
            source, size, passed = group.source, network.n_neurons_of(group.source), delay // HOP
            direct, late = passed == 0, passed > 0
            parts = [(direct, population(source), size, pre)]
            if late.any():
                parts.append((late, 1 + behind.index(source), size * hops[source], pre + size * (passed - 1)))
            for here, origin, n_in, sender in parts:
                arrays = (array[here] for array in (target, sender, weight, delay % HOP))
                groups.append(SparseSynapses(origin, layer.n_neurons, n_in, *arrays, group.exponent))
        layers.append(replace(layer, synapses=tuple(groups)))
    return replace(network, layers=(*relays, *layers)), range(shift, shift + len(layers))


def _identity(source, n_out, n_in, target, pre):
    return SparseSynapses(source, n_out, n_in, target, pre, np.full(target.size, 64), np.full(target.size, HOP - 1))


def _arriving(network, group):
    listed = group.listed()
    kept = listed[3] < network.n_steps - 1
    return tuple(array[kept] for array in listed)
