"""The comparison finds the first difference and the spikes that led there."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.errors import BackendError
from delaytool.runtime import reference
from delaytool.runtime.trace import Trace
from delaytool.verification.compare import QUANTITIES, arriving_events, compare


def changed(trace, quantity, layer, sample, step, neuron):
    arrays = [array.copy() for array in getattr(trace, quantity)]
    if quantity == "spikes":
        arrays[layer][sample, step, neuron] ^= True
    else:
        arrays[layer][sample, step, neuron] += 1
    return replace(trace, **{quantity: tuple(arrays)})


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_equal_traces_are_equal_and_any_one_change_is_found(random_network, seed):
    rng = np.random.default_rng(seed)
    network, frames = random_network(rng)
    trace = reference.run(network, frames)
    same = compare(network, frames, trace, trace)
    assert same.equal
    assert same.first is None
    layer = int(rng.integers(len(network.layers)))
    shape = trace.v[layer].shape
    place = [int(rng.integers(size)) for size in shape]
    quantity = QUANTITIES[rng.integers(3)]
    found = compare(network, frames, trace, changed(trace, quantity, layer, *place))
    assert found.total == found.count(quantity) == 1
    first = found.first
    assert (first.sample, first.step, first.neuron) == tuple(place)
    assert (first.layer, first.quantity) == (network.layers[layer].name, quantity)
    assert first.left != first.right


def test_the_first_is_the_earliest_step_then_the_first_layer_then_u_before_v_before_spikes(random_network):
    network, frames = random_network(np.random.default_rng(5), n_layers=3, n_samples=3)
    trace = reference.run(network, frames)
    steps = network.n_steps
    other = changed(trace, "spikes", 1, 1, steps - 2, 0)
    other = changed(other, "v", 2, 1, steps - 2, 0)
    other = changed(other, "v", 1, 1, steps - 2, 0)
    other = changed(other, "u", 0, 2, 0, 0)
    first = compare(network, frames, trace, other).first
    assert (first.sample, first.step, first.layer, first.quantity) == (1, steps - 2, network.layers[1].name, "v")


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_arriving_events_add_up_to_the_current(random_network, seed):
    rng = np.random.default_rng(seed)
    network, frames = random_network(rng)
    layers = tuple(replace(layer, du=4095) for layer in network.layers)  # no current filter: u is what arrives
    network = replace(network, layers=layers)
    trace = reference.run(network, frames)
    layer = int(rng.integers(len(layers)))
    sample, step, neuron = (int(rng.integers(size)) for size in trace.u[layer].shape)
    events = arriving_events(network, frames[sample], trace, sample, layer, neuron, step)
    arrived = sum(event.weight * event.payload for event in events)
    assert trace.u[layer][sample, step, neuron] == int(reference.wrapped(np.int64(arrived << 6)))
    for event in events:
        assert event.sent + 1 + event.delay == step


def test_comparisons_join(random_network):
    network, frames = random_network(np.random.default_rng(9), n_samples=3)
    trace = reference.run(network, frames)
    other = changed(trace, "v", 0, 2, 0, 0)

    def part(source, samples):
        return Trace(*(tuple(a[samples] for a in getattr(source, name)) for name in ("spikes", "u", "v")))

    head, tail = slice(0, 2), slice(2, 3)
    joined = compare(network, frames[head], part(trace, head), part(other, head)).joined(
        compare(network, frames[tail], part(trace, tail), part(other, tail)), 2
    )
    assert joined == compare(network, frames, trace, other)


def test_traces_of_other_shapes_are_refused(random_network):
    network, frames = random_network(np.random.default_rng(2), n_samples=2)
    trace = reference.run(network, frames)
    with pytest.raises(BackendError, match="compare full traces of the same samples"):
        compare(network, frames[:1], trace, trace)
