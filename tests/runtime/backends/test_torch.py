"""The trainer's integer simulation against the contract's reference."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.contract.synapses import DenseSynapses, SparseSynapses
from delaytool.errors import BackendError
from delaytool.runtime import reference
from delaytool.runtime.backends.torch import run_layer, simulate


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_simulation_equals_the_reference_bit_for_bit(random_network, seed):
    rng = np.random.default_rng(seed)
    network, frames = random_network(rng, other_sources=False)
    expected = reference.run(network, frames)
    for index, trace in enumerate(simulate(network, torch.from_numpy(frames))):
        assert np.array_equal(trace.spikes.numpy(), expected.spikes[index])
        assert np.array_equal(trace.u.numpy(), expected.u[index])
        assert np.array_equal(trace.v.numpy(), expected.v[index])


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), sparse=st.booleans())
def test_recurrent_layers_equal_the_reference(random_network, seed, sparse):
    rng = np.random.default_rng(seed)
    network, frames = random_network(rng, other_sources=False, max_neurons=6, max_steps=40)
    layers = []
    for index, layer in enumerate(network.layers):
        n = layer.n_neurons
        shape = (int(rng.integers(0, 2 * n * n + 1)),) if sparse else (n, n)
        weight, delay = rng.integers(-60, 60, shape) * 2, rng.integers(0, int(rng.choice([1, 5, 50])), shape)
        exponent = int(rng.integers(0, 2))
        if sparse:
            pairs = rng.integers(0, n, (2, *shape))
            own = SparseSynapses(index + 1, n, n, *pairs, weight, delay, exponent)
        else:
            own = DenseSynapses(index + 1, weight, delay, exponent)
        layers.append(replace(layer, synapses=(*layer.synapses, own), du=4095))
    network = replace(network, layers=tuple(layers))
    expected = reference.run(network, frames)
    for index, trace in enumerate(simulate(network, torch.from_numpy(frames))):
        assert np.array_equal(trace.spikes.numpy(), expected.spikes[index])
        assert np.array_equal(trace.u.numpy(), expected.u[index])
        assert np.array_equal(trace.v.numpy(), expected.v[index])


def test_synapses_from_a_later_layer_are_refused(random_network):
    network, frames = random_network(np.random.default_rng(0), n_layers=2, other_sources=False)
    first, last = network.layers
    back = DenseSynapses(2, *np.zeros((2, first.n_neurons, last.n_neurons), int))
    network = replace(network, layers=(replace(first, synapses=(*first.synapses, back)), last))
    with pytest.raises(BackendError, match="it has synapses from readout, which comes after it"):
        simulate(network, torch.from_numpy(frames))
    sent = [torch.from_numpy(frames).float()]
    with pytest.raises(BackendError, match="it has synapses from population 2, which comes after it"):
        run_layer(network.layers[0], sent, network.payloads)
