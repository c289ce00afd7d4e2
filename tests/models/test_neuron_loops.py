"""Every implementation of the loops over time against the one in plain PyTorch; Triton's through its interpreter."""

import importlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.models.convolution import Windows
from delaytool.models.neurons import stepwise
from delaytool.models.neurons.loops import LifConstants


@pytest.fixture(params=["compiled", "triton_loops"], scope="module")
def loops(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "triton_loops":
            patch.setenv("TRITON_INTERPRET", "1")  # read where a kernel is defined: on import
            pytest.importorskip("triton", reason="the package triton, for Linux, is not installed")
        yield importlib.import_module(f"delaytool.models.neurons.{request.param}")


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**31), time=st.integers(1, 20), batch=st.integers(1, 4), neurons=st.integers(1, 70),
    leak=st.floats(0.0, 0.99), threshold=st.floats(0.1, 3.0), alpha=st.floats(0.5, 10.0), detach=st.booleans(),
    masked=st.booleans(), dtype=st.sampled_from([torch.float64, torch.float32]),
)  # fmt: skip
def test_the_same_numbers(loops, seed, time, batch, neurons, leak, threshold, alpha, detach, masked, dtype):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(time, batch, neurons, generator=generator, dtype=dtype)
    grad = torch.randn(time, batch, neurons, generator=generator, dtype=dtype)
    mask = 2 * (torch.rand(batch, neurons, generator=generator) < 0.5).to(dtype) if masked else None
    constants = LifConstants(leak, threshold, alpha, detach)
    tolerance = dict(rtol=1e-10, atol=1e-10) if dtype == torch.float64 else dict(rtol=1e-3, atol=1e-3)
    spikes, v = loops.lif_forward(x, mask, constants)
    their_spikes, their_v = stepwise.lif_forward(x, mask, constants)
    if dtype == torch.float64:  # in float32 a membrane on the threshold may round to either side
        assert torch.equal(spikes, their_spikes)
        torch.testing.assert_close(v, their_v, **tolerance)
    ours, theirs = (each.lif_backward(grad, their_v, mask, constants) for each in (loops, stepwise))
    torch.testing.assert_close(ours, theirs, **tolerance)
    for backwards in (False, True):
        ours, theirs = (each.integrate(x, leak, backwards=backwards) for each in (loops, stepwise))
        torch.testing.assert_close(ours, theirs, **tolerance)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**31), time=st.integers(1, 20), batch=st.integers(1, 4), neurons=st.integers(1, 70),
    leak=st.floats(0.0, 0.99), threshold=st.floats(0.1, 3.0), detach=st.booleans(), masked=st.booleans(),
    adaptation=st.floats(0.01, 2.0), adaptation_leak=st.floats(0.0, 0.99), learned=st.booleans(),
)  # fmt: skip
def test_the_same_numbers_of_adaptive_neurons(
    loops, seed, time, batch, neurons, leak, threshold, detach, masked, adaptation, adaptation_leak, learned
):
    generator = torch.Generator().manual_seed(seed)
    x, grad = (torch.randn(time, batch, neurons, generator=generator, dtype=torch.float64) for _ in range(2))
    mask = 2 * (torch.rand(batch, neurons, generator=generator) < 0.5).double() if masked else None
    given_leak = torch.tensor(leak, dtype=torch.float64) if learned else leak
    constants = LifConstants(given_leak, threshold, 5.0, detach, adaptation, adaptation_leak)
    state = loops.adaptive_forward(x, mask, constants)
    expected = stepwise.adaptive_forward(x, mask, constants)
    for ours, theirs in zip(state, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    ours, theirs = (each.adaptive_backward(grad, *expected[1:], mask, constants) for each in (loops, stepwise))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    ours, theirs = (each.lif_backward(grad, expected[1], mask, constants) for each in (loops, stepwise))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**31), time=st.integers(1, 25), batch=st.integers(1, 3), neurons=st.integers(1, 9),
    taps=st.integers(1, 2), size=st.integers(1, 12), width=st.sampled_from([1, 3]), current_leak=st.floats(0.0, 0.9),
    adaptation=st.sampled_from([0.0, 0.3]),
)  # fmt: skip
def test_the_same_numbers_of_recurrent_layers(
    loops, seed, time, batch, neurons, taps, size, width, current_leak, adaptation
):
    width = min(width, size)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(time, batch, neurons, generator=generator, dtype=torch.float64)
    windows = Windows(
        torch.randn(neurons, neurons, taps, width, generator=generator, dtype=torch.float64),
        torch.randint(0, size - width + 1, (neurons, neurons, taps), generator=generator),
        size,
    )
    constants = LifConstants(0.6, 1.0, 5.0, True, adaptation, 0.8, current_leak)
    for ours, theirs in zip(
        *(each.recurrent_forward(x, windows, constants) for each in (loops, stepwise)), strict=True
    ):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
