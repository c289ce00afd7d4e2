"""Two networks compared integer by integer: what is the same in other words is equal, every change is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import random_network

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, SparseSynapses
from delaytool.verification.integers import compare_integers

SEEDS = st.integers(0, 2**32 - 1)


def in_other_words(network: IntegerNetwork) -> IntegerNetwork:
    """Every group one by one and in another order."""

    def reordered(group: DenseSynapses | SparseSynapses) -> SparseSynapses:
        target, pre, weight, delay = (array[::-1] for array in group.listed())
        return SparseSynapses(group.source, *group.shape, target, pre, weight, delay, group.exponent)

    layers = (
        replace(layer, synapses=tuple(reordered(group) for group in reversed(layer.synapses)))
        for layer in network.layers
    )
    return replace(network, layers=tuple(layers))


@settings(max_examples=60)
@given(SEEDS)
def test_the_same_network_in_another_form_is_equal(seed: int) -> None:
    network, _ = random_network(np.random.default_rng(seed))
    comparison = compare_integers(network, in_other_words(network))
    assert comparison.differences == ()
    synapses = sum(len(group.listed()[0]) for layer in network.layers for group in layer.synapses)
    assert comparison.compared >= 2 * synapses + sum(layer.n_neurons for layer in network.layers)


@settings(max_examples=60)
@given(SEEDS)
def test_every_change_of_a_synapse_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network, _ = random_network(rng)
    index = int(rng.integers(len(network.layers)))
    layer = network.layers[index]
    number = int(rng.integers(len(layer.synapses)))
    group = layer.synapses[number]
    target, pre, weight, delay = (np.array(array) for array in group.listed())
    if not len(target):
        return
    one, quantity = int(rng.integers(len(target))), str(rng.choice(["delay", "weight"]))
    changed = {"delay": delay, "weight": weight}[quantity]
    changed[one] = changed[one] + 1 if changed[one] != -1 else -3
    other = SparseSynapses(group.source, *group.shape, target, pre, weight, delay, group.exponent)
    groups = tuple(other if place == number else kept for place, kept in enumerate(layer.synapses))
    layers = [*network.layers]
    layers[index] = replace(layer, synapses=groups)
    comparison = compare_integers(network, replace(network, layers=tuple(layers)))
    assert len(comparison.differences) >= 1
    place = f"layer {layer.name}, synapse from {network.name_of(group.source)}[{pre[one]}] to neuron {target[one]}"
    assert {difference.place for difference in comparison.differences} == {place}


def test_layer_synapse_and_both_values_are_named() -> None:
    network, _ = random_network(np.random.default_rng(3), n_layers=1, other_sources=False)
    layer = network.layers[0]
    delays, weights = np.zeros((2, 3), int), np.array([[2, 4, 0], [6, 8, 10]])
    encoding = replace(network.encoding, n_units=3)
    layer = replace(
        layer,
        name="hidden[x]",
        n_neurons=2,
        synapses=(DenseSynapses(0, weights, delays),),
        bias_mantissa=np.zeros(2, int),
    )
    network = replace(network, encoding=encoding, layers=(layer,))
    changed = delays.copy()
    changed[1, 2] = 7
    weights = weights.copy()
    weights[0, 0], weights[0, 2] = 0, 12
    other_layer = replace(
        layer,
        synapses=(DenseSynapses(0, weights, changed),),
        threshold=layer.threshold + 1,
        bias_mantissa=np.array([0, 3]),
    )
    found = compare_integers(network, replace(network, layers=(other_layer,))).differences
    bias = 3 << layer.bias_exponent
    assert [one.describe("the file", "best.pt") for one in found] == [
        f"layer hidden[x]: threshold is {layer.threshold} in the file and {layer.threshold + 1} in best.pt",
        f"layer hidden[x], neuron 1: bias is 0 in the file and {bias} in best.pt",
        "layer hidden[x], synapse from input[0] to neuron 0: the synapse is delay 0, weight 2 in the file "
        "and absent in best.pt",
        "layer hidden[x], synapse from input[2] to neuron 0: the synapse is absent in the file "
        "and delay 0, weight 12 in best.pt",
        "layer hidden[x], synapse from input[2] to neuron 1: delay is 0 in the file and 7 in best.pt",
    ]


def test_weights_and_biases_count_with_their_exponents() -> None:
    def network(weights: list[int], bias: int, exponent: int) -> IntegerNetwork:
        group = DenseSynapses(0, np.array([weights]), np.zeros((1, len(weights)), int), exponent)
        layer = IntegerLayer(
            "readout", 1, (group,), dv=1, threshold=1, bias_mantissa=np.array([bias]), bias_exponent=exponent
        )
        return IntegerNetwork(InputEncoding(len(weights), values="binary"), (layer,), Readout("sum", 1.0, 0, 5), 5)

    one = network([2, 6], 3, exponent=1)
    assert compare_integers(one, network([4, 12], 6, exponent=0)).differences == ()
    found = compare_integers(one, network([2, 6], 3, exponent=2)).differences
    assert [(each.quantity, each.left, each.right) for each in found] == [
        ("bias", 6, 12), ("weight", 4, 8), ("weight", 12, 24)
    ]  # fmt: skip


def test_networks_of_other_shape_differ() -> None:
    network, _ = random_network(np.random.default_rng(5), n_layers=2)
    shorter = replace(network.layers[0], synapses=())
    other = replace(network, layers=(shorter,), n_steps=network.n_steps + 1)
    quantities = [one.quantity for one in compare_integers(network, other).differences]
    assert quantities[:2] == ["n_steps", "the number of layers"]
