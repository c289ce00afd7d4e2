"""The contract, sentence by sentence, on networks small enough to work out by hand."""

import numpy as np
import pytest

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, SparseSynapses
from delaytool.runtime import reference


def one_neuron(weights, delays, *, threshold=131071, du=4095, dv=0, bias=0, exponent=0, bias_exponent=0, steps=10,
               max_count=255):  # fmt: skip
    weights, delays = np.atleast_2d(weights), np.atleast_2d(delays)
    layer = IntegerLayer(
        "readout", 1, (DenseSynapses(0, weights, delays, exponent),), dv, threshold, du, np.array([bias]), bias_exponent
    )
    encoding = InputEncoding(n_units=weights.shape[1], n_steps=steps, max_count=max_count)
    return IntegerNetwork(encoding, (layer,), Readout("sum", 1.0, 0, steps), steps)


def run(network, events):
    """events: (step, channel, value); returns u, v, spikes over time."""
    frames = np.zeros((1, network.encoding.n_steps, network.encoding.n_channels), np.uint8)
    for step, channel, value in events:
        frames[0, step, channel] = value
    trace = reference.run(network, frames)
    return trace.u[0][0, :, 0], trace.v[0][0, :, 0], trace.spikes[0][0, :, 0]


@pytest.mark.parametrize("delay", [0, 1, 5])
def test_a_spike_at_t_arrives_at_t_plus_1_plus_d(delay):
    u, _, _ = run(one_neuron([10], [delay]), [(2, 0, 1)])
    assert np.flatnonzero(u).tolist() == [3 + delay]
    assert u[3 + delay] == 10 << 6


def test_a_delay_beyond_the_run_never_arrives():
    u, _, _ = run(one_neuron([10], [8]), [(2, 0, 1)])
    assert not u.any()


def test_a_graded_value_multiplies_and_an_exponent_shifts():
    u, _, _ = run(one_neuron([-10], [0], exponent=3), [(0, 0, 7)])
    assert u[1] == -(10 << 3) * 7 << 6


def test_taps_of_one_pair_add():
    group = SparseSynapses(0, 1, 1, [0, 0, 0], [0, 0, 0], [2, 4, 8], [1, 1, 3])
    layer = IntegerLayer("readout", 1, (group,), 0, 131071)
    network = IntegerNetwork(InputEncoding(n_units=1, n_steps=8), (layer,), Readout("sum", 1.0, 0, 8), 8)
    u, _, _ = run(network, [(0, 0, 1)])
    assert (u >> 6).tolist() == [0, 0, 6, 0, 8, 0, 0, 0]


def test_decays_round_toward_zero():
    # u: 640 * (4096 - 1 - du) / 4096 with du = 2047 halves; -1 decays to 0, not to -1
    u, _, _ = run(one_neuron([-10], [0], du=2047), [(0, 0, 1)])
    assert u[1:].tolist() == [-640, -320, -160, -80, -40, -20, -10, -5, -2]
    _, v, _ = run(one_neuron([-10], [0], dv=2048), [(0, 0, 1)])
    assert v[1:].tolist() == [-640, -320, -160, -80, -40, -20, -10, -5, -2]


def test_the_threshold_is_strict_and_the_reset_is_to_zero():
    _, v, spikes = run(one_neuron([10], [0], threshold=10), [(0, 0, 1)])
    assert not spikes.any()
    assert v[-1] == 640
    _, v, spikes = run(one_neuron([10], [0], threshold=10, bias=1), [(0, 0, 1)])
    assert np.flatnonzero(spikes).tolist() == [1]
    assert v[:3].tolist() == [1, 0, 1]


def test_biases_act_from_step_0_in_every_layer():
    _, v, _ = run(one_neuron([0], [0], bias=3, bias_exponent=2), [])
    assert v.tolist() == [12 * (step + 1) for step in range(10)]


def test_a_current_wraps_once():
    limit = 1 << 23
    for value, expected in ((131072, limit), (131073, -limit + 64), (-131071, -limit + 64), (-131072, limit)):
        u, _, _ = run(one_neuron([value], [0], max_count=1), [(0, 0, 1)])
        assert u[1] == expected
    u, _, _ = run(one_neuron([131073 * 3], [0], max_count=1), [(0, 0, 1)])
    assert u[1] == ((131073 * 3) << 6) - 2 * limit, "one turn only"


def test_a_membrane_is_clipped():
    limit = 1 << 23
    _, v, _ = run(one_neuron([-131071], [0], max_count=1), [(0, 0, 1), (1, 0, 1)])
    assert v[2] == -limit + 1
    _, v, spikes = run(one_neuron([131071], [0], max_count=1), [(0, 0, 1), (1, 0, 1)])
    assert v[1] == 131071 << 6
    assert spikes[2], "the clip is above the highest threshold"


def test_each_layer_is_one_step_later():
    def layer(name, source):
        return IntegerLayer(name, 1, (DenseSynapses(source, np.array([[100]]), np.array([[0]])),), 0, 50)

    network = IntegerNetwork(
        InputEncoding(n_units=1, n_steps=6), (layer("a", 0), layer("b", 1), layer("readout", 2)),
        Readout("sum", 1.0, 0, 6), 6,
    )  # fmt: skip
    frames = np.zeros((1, 6, 1), np.uint8)
    frames[0, 1] = 1
    trace = reference.run(network, frames)
    assert [np.flatnonzero(spikes[0, :, 0]).tolist() for spikes in trace.spikes] == [[2], [3], [4]]


def test_frames_are_padded_or_cut_to_the_run(random_network):
    network, _ = random_network(np.random.default_rng(3), n_layers=2)
    channels = network.encoding.n_channels
    long = np.ones((2, network.n_steps + 5, channels), np.uint8)
    cut = reference.run(network, long[:, : network.n_steps])
    assert all(np.array_equal(a, b) for a, b in zip(reference.run(network, long).v, cut.v, strict=True))
    assert reference.run(network, np.zeros((0, 3, channels), np.uint8)).n_samples == 0
