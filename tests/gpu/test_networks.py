"""Whole networks on the device against their plain form on the CPU, in float64: outputs and every gradient."""

import copy

import pytest
import torch
from oracles import plain
from torch.nn import functional

from delaytool.models.config import ModelConfig
from delaytool.models.convolution import delayed_sum
from delaytool.models.delay_network import DelayNetwork, class_scores

# Windows leave nothing out that float64 could see.
USUAL = {"hidden": (6, 5), "max_delay": 8, "tau": 1.7, "discarded_mass": 1e-13}
CASES = {
    "lif": {},
    "wide kernels": {"max_delay": 40},
    "two taps, a bias": {"kernel_count": 2, "bias": True},
    "chip time": {"timing": "chip", "detach_reset": False},
    "learned time constants": {"neuron": "plif", "tau": 2.0},
    "currents": {"neuron": "cuba"},
    "adaptive": {"neuron": "adaptive"},
    "recurrent": {"recurrent": (True, False), "recurrent_max_delay": 5},
    "recurrent, adaptive": {"neuron": "adaptive", "recurrent": True},
    "triangles": {"interpolation": "triangle"},
    "laplace": {"interpolation": "laplace"},
    "fixed delays": {"delays": "fixed-random"},
    "dense kernels": {"delays": "dense"},
    "one delay per sender": {"delays_per": "presynaptic"},
    "sparse": {"sparsity": 0.5},
    "rewired": {"sparsity": 0.5, "rewiring": "rigl"},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("sigma", [3.0, 0.23, None])
def test_the_network_equals_its_plain_form(device, case, sigma):
    torch.manual_seed(0)
    model = DelayNetwork(7, 4, ModelConfig(**{**USUAL, **CASES[case]})).double()
    frames, labels = torch.poisson(torch.full((5, 19, 7), 0.3)), torch.arange(5) % 4
    there = copy.deepcopy(model).to(device)
    expected = outputs_and_gradients(lambda given: plain.forward(model, given, sigma), model, frames, labels)
    ours = outputs_and_gradients(lambda given: there(given, sigma), there, frames.to(device), labels.to(device))
    assert expected.keys() == ours.keys()
    assert sum(bool(value.any()) for value in expected.values()) > len(expected) / 2
    for name, value in expected.items():
        torch.testing.assert_close(
            ours[name].cpu(), value, rtol=1e-7, atol=1e-9, msg=lambda text, at=name: f"{at}: {text}"
        )


def outputs_and_gradients(forward, model, frames, labels):
    scores = class_scores(forward(frames))
    functional.cross_entropy(scores, labels).backward()
    found = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    return {"scores": scores.detach(), **found}


@pytest.mark.parametrize(("time", "size", "n_steps"), [(50, 7, 56), (300, 25, 310), (300, 64, 250), (120, 200, 300)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("form", ["fft", "staged", "direct"])
def test_convolutions_equal_the_double_loop(device, time, size, n_steps, dtype, form):
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(time, 3, 5, generator=generator) < 0.3).double()
    kernel = torch.randn(4, 5, size, generator=generator, dtype=torch.float64)
    probe = torch.randn(n_steps, 3, 4, generator=generator, dtype=torch.float64)
    results = []
    for run, where, kind in ((double_loop, "cpu", torch.float64), (delayed_sum, device, dtype)):
        given, taps = (each.to(where, kind, copy=True).requires_grad_() for each in (x, kernel))
        out = run(given, taps, n_steps) if run is double_loop else run(given, taps, n_steps, form)
        (out * probe.to(where, kind)).sum().backward()
        results.append([each.detach().cpu().double() for each in (out, given.grad, taps.grad)])
    for expected, ours in zip(*results, strict=True):
        error = (ours - expected).abs().max() / expected.abs().max()
        assert error < (1e-12 if dtype == torch.float64 else 5e-6)


def double_loop(x, kernel, n_steps):
    out = x.new_zeros(n_steps, x.shape[1], kernel.shape[0])
    for delay in range(min(kernel.shape[2], n_steps)):
        reached = min(len(x), n_steps - delay)
        moved = functional.pad(x[:reached] @ kernel[:, :, delay].t(), (0, 0, 0, 0, delay, n_steps - delay - reached))
        out = out + moved
    return out
