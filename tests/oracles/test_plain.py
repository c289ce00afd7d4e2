"""The whole network against its plain form: outputs and every gradient, whatever the form of the convolution."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import DelayNetwork, class_scores
from delaytool.models.synapse_settings import INTERPOLATIONS
from oracles import plain


@pytest.mark.parametrize("form", ["auto", "direct", "fft", "staged", "windowed", "events"])
@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**31), taps=st.integers(1, 3), max_delay=st.integers(0, 12), bias=st.booleans(),
    sigma=st.one_of(st.none(), st.floats(0.0, 6.0)), timing=st.sampled_from(["paper", "chip"]),
    interpolation=st.sampled_from(INTERPOLATIONS),
    delays=st.sampled_from(["learned", "fixed-random", "none", "dense"]),
    sparsity=st.sampled_from([0.0, 0.6]), rewiring=st.sampled_from(["none", "deep-r", "rigl", "rigl-signed"]),
)  # fmt: skip
def test_the_network_equals_its_plain_form(
    form, seed, taps, max_delay, bias, sigma, timing, interpolation, delays, sparsity, rewiring
):  # fmt: skip
    config = ModelConfig(
        hidden=(6, 5), kernel_count=min(taps, max_delay + 1), max_delay=max_delay, tau=1.7, bias=bias, timing=timing,
        delays=delays, interpolation=interpolation, convolution=form, discarded_mass=1e-13, sparsity=sparsity,
        rewiring=rewiring,
    )  # fmt: skip
    assert_equal_to_its_plain_form(config, seed, sigma)


def assert_equal_to_its_plain_form(config, seed, sigma):
    torch.manual_seed(seed)
    model = DelayNetwork(7, 4, config).double()
    if config.sparsity:
        with torch.no_grad():
            for layer in model.delayed_layers():  # as after an optimizer's step, before a tap falls
                layer.weight.add_(0.1 * torch.randn_like(layer.weight))
    frames, labels = torch.poisson(torch.full((5, 11, 7), 0.3)), torch.arange(5) % 4
    results = []
    for forward in (model, lambda *arguments: plain.forward(model, *arguments)):
        model.zero_grad()
        scores = class_scores(forward(frames, sigma))
        functional.cross_entropy(scores, labels).backward()
        grads = [parameter.grad for parameter in model.parameters()]
        results.append((scores.detach(), *(grad for grad in grads if grad is not None)))
    assert len(results[0]) == len(results[1])
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("neuron", ["lif", "plif", "cuba", "adaptive"])
@pytest.mark.parametrize("recurrent", [False, True])
@settings(max_examples=6)
@given(
    seed=st.integers(0, 2**31), taps=st.integers(1, 2), max_delay=st.integers(0, 8), bias=st.booleans(),
    sigma=st.sampled_from([None, 0.4, 3.0]), per=st.sampled_from(["synapse", "presynaptic", "postsynaptic"]),
    form=st.sampled_from(["auto", "fft", "staged", "windowed"]), own_delay=st.sampled_from([None, 0, 5]),
    delays=st.sampled_from(["learned", "fixed-random", "dense", "none"]), sparsity=st.sampled_from([0.0, 0.5]),
)  # fmt: skip
def test_other_neurons_delays_per_neuron_and_recurrence_equal_their_plain_form(
    neuron, recurrent, seed, taps, max_delay, bias, sigma, per, form, own_delay, delays, sparsity
):
    config = ModelConfig(
        hidden=(6, 5), kernel_count=taps, max_delay=max_delay, tau=1.7, bias=bias, delays_per=per, convolution=form,
        delays=delays, neuron=neuron, recurrent=(recurrent, False), recurrent_max_delay=own_delay, discarded_mass=1e-13,
        sparsity=sparsity,
    )  # fmt: skip
    assert_equal_to_its_plain_form(config, seed, sigma)
