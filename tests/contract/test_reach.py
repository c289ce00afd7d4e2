"""What one step can bring at most: exact, against a loop over every synapse."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.contract import reach
from delaytool.contract.bounds import STATE_LIMIT
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.errors import NetworkError
from delaytool.runtime import reference


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_bounds_are_the_sums_of_all_negative_and_all_positive_charges(random_network, seed):
    network, _ = random_network(np.random.default_rng(seed))
    assert network.payloads == (network.encoding.max_payload, *[1] * len(network.layers))
    for layer in network.layers:
        low, high = [0] * layer.n_neurons, [0] * layer.n_neurons
        for group in layer.synapses:
            for target, _, weight, _ in zip(*(array.tolist() for array in group.listed()), strict=True):
                charge = weight * 2**group.exponent * network.payloads[group.source]
                low[target] += min(charge, 0)
                high[target] += max(charge, 0)
        for bounds in (reach.input_bounds(layer, network.payloads), network.input_bounds(layer)):
            assert [bound.tolist() for bound in bounds] == [low, high]
        assert reach.largest_input(layer, network.payloads) == max(max(high), -min(low))


def test_a_sum_that_leaves_32_bits_is_refused_and_the_largest_that_does_not_is_kept():
    def layer(weight):
        group = DenseSynapses(0, np.full((1, 1), weight), np.zeros((1, 1), int), 0)
        return IntegerLayer("hidden1", 1, (group,), dv=4096, threshold=1)

    # Without a current filter 64 L + (64 L - 2^24) + 2^24 <= 2^31 - 1: the sum, what one wrap leaves over, one wrap.
    largest = ((1 << 31) - 1) // 128
    reach.check_accumulators(layer(largest), (1,))
    message = f"layer hidden1: one step's input can reach {largest + 1}, beyond what 32-bit accumulators hold"
    with pytest.raises(NetworkError, match=message):
        reach.check_accumulators(layer(largest + 1), (1,))
    with pytest.raises(NetworkError, match=f"can reach {3 * largest}"):
        reach.check_accumulators(layer(largest), (3,))
    filtered = replace(layer(largest), du=2047)  # the current keeps half of what one wrap leaves over
    assert reach.current_reach(filtered, (1,)) == 2 * reach.current_reach(layer(largest), (1,))


def test_no_wrap_and_never_fires_stop_where_wrap_clip_and_threshold_begin():
    within = reach.StateBounds(
        accumulator=0, current=STATE_LIMIT - 1, membrane=STATE_LIMIT - 1, highest=64, threshold=64
    )
    assert within.no_wrap
    assert within.never_fires
    assert reference.wrapped(np.int64(-STATE_LIMIT)) == STATE_LIMIT
    assert not replace(within, current=STATE_LIMIT).no_wrap
    for beyond in ({"current": STATE_LIMIT}, {"membrane": STATE_LIMIT}, {"highest": 65}):
        assert not replace(within, **beyond).never_fires


def test_state_bounds_hold_for_any_input(random_network):
    for seed in range(60):
        network, frames = random_network(np.random.default_rng(seed), other_sources=False)
        trace = reference.run(network, frames)
        for index, layer in enumerate(network.layers):
            bounds = reach.state_bounds(layer, network.payloads, network.n_steps)
            if bounds.no_wrap:
                assert np.abs(trace.u[index]).max() <= bounds.current < STATE_LIMIT
            if bounds.never_fires:
                assert not trace.spikes[index].any()
                assert np.abs(trace.v[index]).max() <= bounds.membrane


def test_bounds_admit_the_sums_that_the_contract_admits(random_network):
    admitted = []
    for seed in range(30):
        network, _ = random_network(np.random.default_rng(seed))
        for layer in network.layers:
            for payload in (1, 1 << 12, 1 << 18):  # whatever a spike carries
                payloads = (payload, *network.payloads[1:])
                admitted.append(reach.state_bounds(layer, payloads, network.n_steps).fits_accumulators)
                if admitted[-1]:
                    reach.check_accumulators(layer, payloads)
                else:
                    with pytest.raises(NetworkError, match="beyond what 32-bit accumulators hold"):
                        reach.check_accumulators(layer, payloads)
    assert 0 < sum(admitted) < len(admitted)


def test_a_membrane_without_a_leak_is_bounded_by_the_steps_of_a_run():
    group = DenseSynapses(0, np.array([[3, -2]]), np.zeros((1, 2), int), 1)
    layer = IntegerLayer("readout", 1, (group,), dv=0, threshold=131071, bias_mantissa=np.array([5]))
    network = IntegerNetwork(InputEncoding(2, values="binary"), (layer,), Readout("sum", 1.0, 0, 9), 9)
    bounds = reach.state_bounds(layer, network.payloads, network.n_steps)
    assert (bounds.highest, bounds.membrane) == (9 * (6 * 64 + 5), 9 * (6 * 64 + 5))
    assert bounds.never_fires
    always = np.zeros((1, 9, 2), np.uint8)
    always[..., 0] = 1
    # All but the first step, which no input reaches yet.
    assert reference.run(network, always).v[0].max() == bounds.highest - 6 * 64
    silent = IntegerLayer("readout", 1, (DenseSynapses(0, np.array([[-2, -2]]), np.zeros((1, 2), int)),), 0, 9)
    assert reach.state_bounds(silent, (1, 1), 9).highest == 0
