"""What one step can bring at most: exact, against a loop over every synapse."""

import doctest
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.contract import reach
from delaytool.contract.layer import IntegerLayer
from delaytool.contract.synapses import DenseSynapses
from delaytool.errors import NetworkError


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


def test_the_example_in_the_documentation():
    result = doctest.testmod(reach)
    assert (result.attempted > 0, result.failed) == (True, 0)
