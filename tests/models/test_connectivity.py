"""Which taps exist, their signs and their candidate delays."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from delaytool.models.config import ModelConfig
from delaytool.models.connectivity import connected, distinct_delays, draw_mask, draw_signs, n_connections
from delaytool.models.delay_network import DelayNetwork

REWIRED = ["deep-r", "rigl", "rigl-signed"]


@given(n_taps=st.integers(1, 10**7), sparsity=st.floats(0, 0.999))
def test_the_number_of_taps_is_the_share_rounded_and_at_least_one(n_taps, sparsity):
    wanted = (1 - sparsity) * n_taps
    assert abs(n_connections(n_taps, sparsity) - max(1, wanted)) <= 0.5
    assert n_connections(n_taps, 0.0) == n_taps


def test_a_share_that_floating_point_cannot_hold_is_not_one_too_few():
    assert n_connections(100, 0.9) == 10


@given(seed=st.integers(0, 2**31), shape=st.tuples(*[st.integers(1, 6)] * 3), data=st.data())
def test_a_mask_has_exactly_as_many_as_asked_for(seed, shape, data):
    like = torch.empty(shape)
    count = data.draw(st.integers(0, like.numel()))
    torch.manual_seed(seed)
    mask = draw_mask(like, count)
    assert mask.shape == like.shape
    assert int(mask.sum()) == count
    torch.manual_seed(seed)
    assert torch.equal(mask, draw_mask(like, count))


@given(seed=st.integers(0, 2**31), shape=st.tuples(*[st.integers(1, 6)] * 3), dale=st.booleans())
def test_signs_are_plus_or_minus_one_and_of_a_neuron_with_dale(seed, shape, dale):
    torch.manual_seed(seed)
    sign = draw_signs(torch.empty(shape, dtype=torch.int8), dale)
    assert sign.shape == shape
    assert bool((sign.abs() == 1).all())
    if dale:
        assert bool((sign == sign[:1, :, :1]).all())


@given(seed=st.integers(0, 2**31), taps=st.integers(1, 6), more=st.integers(0, 5))
def test_candidate_delays_of_a_synapse_differ(seed, taps, more):
    torch.manual_seed(seed)
    size = taps + more
    delays = distinct_delays(torch.empty(4, 3, taps), size)
    assert set(delays.flatten().tolist()) <= set(range(size))
    assert all(len(set(synapse.tolist())) == taps for synapse in delays.flatten(0, 1))


@given(seed=st.integers(0, 2**31), dense=st.booleans())
def test_missing_taps_are_zero_and_have_a_gradient_only_where_asked(seed, dense):
    torch.manual_seed(seed)
    weight = torch.randn(4, 3, 2, requires_grad=True)
    exists = torch.rand(4, 3, 2) < 0.5
    given_grad = torch.randn(4, 3, 2)
    out = connected(weight, exists, dense)
    assert torch.equal(out[exists], weight[exists])
    assert bool((out[~exists] == 0).all())
    out.backward(given_grad)
    assert torch.equal(weight.grad, given_grad if dense else given_grad * exists)


@pytest.mark.parametrize("rewiring", ["none", *REWIRED])
@pytest.mark.parametrize("sparsity", [0.0, 0.9, 0.998])
def test_a_network_begins_with_exactly_its_taps(rewiring, sparsity):
    torch.manual_seed(1)
    model = DelayNetwork(30, 5, ModelConfig(hidden=(20, 20), max_delay=4, sparsity=sparsity, rewiring=rewiring))
    for layer in model.delayed_layers():
        exists = layer.exists()
        assert int(exists.sum()) == n_connections(layer.weight.numel(), sparsity)
        assert bool((layer.weight.detach()[~exists] == 0).all())
        assert bool((layer.weight.detach()[exists] != 0).all())
    taps = sum(n_connections(layer.weight.numel(), sparsity) for layer in model.delayed_layers())
    assert model.n_synapses() == taps
    assert model.n_parameters() == 2 * taps + 2 * (20 + 20), "weights, delays, batch norm"


@pytest.mark.parametrize("rewiring", ["none", "deep-r"])
def test_each_layer_may_have_a_sparsity_of_its_own(rewiring):
    torch.manual_seed(1)
    shares = (0.9, 0.5, 0.0)
    config = ModelConfig(hidden=(20, 20), max_delay=4, sparsity=shares, rewiring=rewiring, recurrent=(True, False))
    layers = DelayNetwork(30, 5, config).delayed_layers()
    assert len(layers) == 4
    for layer, share in zip(layers, (*shares, shares[0]), strict=True):  # the last: within the first hidden layer
        assert int(layer.exists().sum()) == n_connections(layer.weight.numel(), share)


def test_equal_sparsities_are_one():
    """The same draws, weights and taps."""
    states = []
    for sparsity in (0.7, (0.7, 0.7)):
        torch.manual_seed(2)
        states.append(DelayNetwork(6, 3, ModelConfig(hidden=(5,), max_delay=4, sparsity=sparsity)).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_dense_network_without_rewiring_has_neither_mask_nor_signs_and_the_same_draws_as_ever():
    torch.manual_seed(3)
    model = DelayNetwork(6, 3, ModelConfig(hidden=(5,), max_delay=4))
    assert not [name for name, _ in model.named_buffers() if name.endswith(("mask", "sign"))]
    torch.manual_seed(3)
    weight = torch.nn.init.kaiming_uniform_(torch.empty(5, 6, 1), nonlinearity="relu")
    assert torch.equal(model.hidden[0].synapses.weight.detach(), weight)


def test_dale_gives_each_presynaptic_neuron_one_sign():
    torch.manual_seed(0)
    model = DelayNetwork(9, 4, ModelConfig(hidden=(8,), kernel_count=3, max_delay=6, rewiring="rigl", dale=True))
    for layer in model.delayed_layers():
        signs = layer.weight.detach().sign()
        assert bool((signs == signs[:1, :, :1]).all())
        assert set(signs.unique().tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("delays", ["learned", "dense"])
def test_with_dale_a_recurrent_neuron_has_one_sign_in_its_own_layer_and_the_next(delays):
    torch.manual_seed(0)
    config = ModelConfig(
        hidden=(8, 7), max_delay=6, recurrent=True, recurrent_max_delay=3, rewiring="rigl", sparsity=0.4, dale=True,
        delays=delays,
    )  # fmt: skip
    model = DelayNetwork(9, 4, config)
    first, second = model.hidden_layers()
    for layer, following in ((first, second.synapses), (second, model.readout)):
        assert torch.equal(layer.recurrent.sign[0, :, 0], following.sign[0, :, 0])
        assert bool((layer.recurrent.sign == layer.recurrent.sign[:1, :, :1]).all())
        assert int(layer.recurrent.exists().sum()) == n_connections(layer.recurrent.weight.numel(), 0.4)


def test_a_recurrent_layer_with_dale_before_a_layer_of_free_signs_keeps_its_own():
    torch.manual_seed(0)
    config = ModelConfig(hidden=(8,), max_delay=2, recurrent=True, rewiring="rigl", sparsity=(0.4, 0.0), dale=True)
    model = DelayNetwork(9, 4, config)
    assert model.readout.sign is None
    assert set(model.hidden_layers()[0].recurrent.sign.unique().tolist()) == {-1, 1}


def test_a_network_that_was_saved_with_other_signs_keeps_them():
    config = ModelConfig(hidden=(8,), max_delay=2, recurrent=True, rewiring="deep-r", sparsity=0.4, dale=True)
    model = DelayNetwork(9, 4, config)
    state = {name: -value if "recurrent" in name else value for name, value in model.state_dict().items()}
    model.load_state_dict(state)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(model.hidden_layers()[0].recurrent.sign[0, :, 0], -model.readout.sign[0, :, 0])


def test_fixed_delays_of_a_rewired_network_are_distinct_candidates():
    torch.manual_seed(0)
    config = ModelConfig(
        hidden=(8,), kernel_count=7, max_delay=6, delays="fixed-random", rewiring="deep-r", sparsity=0.8
    )
    for layer in DelayNetwork(9, 4, config).delayed_layers():
        assert torch.equal(layer.delay.detach().sort(-1).values, torch.arange(7.0).expand_as(layer.delay))
