"""The whole network against its plain form: outputs and every gradient, whatever the form of the convolution."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from delaytool.models import plain
from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import DelayNetwork, class_scores
from delaytool.models.interpolation import INTERPOLATIONS


@pytest.mark.parametrize("form", ["auto", "direct", "fft", "windowed", "events"])
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
    torch.manual_seed(seed)
    model = DelayNetwork(7, 4, config).double()
    if sparsity:
        with torch.no_grad():
            for layer in model.delayed_layers():  # as after an optimiser's step, before a tap falls
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
