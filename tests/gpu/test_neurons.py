"""Neurons' loops over time on the device, in Triton compiled for it, against PyTorch's operations step by step."""

import os

import pytest
import torch

from delaytool.models.convolution import Windows
from delaytool.models.neurons import stepwise
from delaytool.models.neurons.device import loops_for
from delaytool.models.neurons.loops import IntegerLifConstants, LifConstants

# Lengths on either side of what a loop takes at a time, and neurons on either side of a block.
SHAPES = [(1, 1, 1), (3, 2, 64), (37, 3, 67), (130, 4, 129)]
KINDS = ["lif", "adaptive"]


@pytest.fixture
def loops(device):
    """The device's own loops, which are compiled ones."""
    chosen = loops_for(torch.zeros(1, device=device))
    if device.type == "cuda":
        pytest.importorskip("triton", reason="the package triton, for Linux, is not installed")
        assert os.environ.get("TRITON_INTERPRET", "0") != "1"
        assert chosen.__name__.endswith("triton_loops")
    return chosen


def drawn(shape, dtype, seed, masked):
    generator = torch.Generator().manual_seed(seed)
    x, grad = (torch.randn(shape, generator=generator, dtype=dtype) for _ in range(2))
    mask = 2 * (torch.rand(shape[1:], generator=generator) < 0.5).to(dtype) if masked else None
    return x, grad, mask


def constants_of(kind, leak, detach):
    return LifConstants(leak, 0.8, 5.0, detach, *((0.25, 0.5) if kind == "adaptive" else ()))


def on(device, *tensors):
    return [None if tensor is None else tensor.to(device) for tensor in tensors]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
@pytest.mark.parametrize("detach", [False, True], ids=["", "detached"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_spikes_membranes_and_gradients(loops, device, dtype, kind, masked, detach, shape):
    """With constants that are powers of two nothing rounds twice: spikes and membranes are equal to the bit."""
    x, grad, mask = drawn(shape, dtype, 0, masked)
    constants = constants_of(kind, 0.5, detach)
    expected = getattr(stepwise, f"{kind}_forward")(x, mask, constants)
    ours = getattr(loops, f"{kind}_forward")(*on(device, x, mask), constants)
    for one, other in zip(ours, expected, strict=True):
        assert torch.equal(one.cpu(), other)
    state = expected[1:]
    wanted = getattr(stepwise, f"{kind}_backward")(
        grad.double(), *(each.double() for each in state), None if mask is None else mask.double(), constants
    )
    given, *state, mask = on(device, grad, *state, mask)
    found = getattr(loops, f"{kind}_backward")(given, *state, mask, constants)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    torch.testing.assert_close(found.cpu().double(), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learned", [False, True], ids=["", "learned leak"])
def test_any_leak(loops, device, kind, learned):
    x, grad, mask = drawn((90, 3, 70), torch.float64, 1, True)
    leak = torch.tensor(0.87, dtype=torch.float64) if learned else 0.87
    constants = constants_of(kind, leak, False)
    moved = constants._replace(leak=leak.to(device)) if learned else constants
    expected = getattr(stepwise, f"{kind}_forward")(x, mask, constants)
    ours = getattr(loops, f"{kind}_forward")(*on(device, x, mask), moved)
    assert torch.equal(ours[0].cpu(), expected[0])
    torch.testing.assert_close(ours[1].cpu(), expected[1], rtol=1e-12, atol=1e-12)
    wanted = getattr(stepwise, f"{kind}_backward")(grad, *expected[1:], mask, constants)
    given, *state, mask = on(device, grad, *expected[1:], mask)
    found = getattr(loops, f"{kind}_backward")(given, *state, mask, moved)
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("backwards", [False, True], ids=["", "backwards"])
@pytest.mark.parametrize("learned", [False, True], ids=["", "learned leak"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_integrators(loops, device, dtype, backwards, learned, shape):
    x, _, _ = drawn(shape, dtype, 2, False)
    leak = torch.tensor(0.9, dtype=dtype) if learned else 0.9
    expected = stepwise.integrate(x.double(), float(leak), backwards=backwards)
    ours = loops.integrate(x.to(device), leak.to(device) if learned else leak, backwards=backwards)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    torch.testing.assert_close(ours.cpu().double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("adaptation", [0.0, 0.25])
@pytest.mark.parametrize("current_leak", [0.0, 0.5])
@pytest.mark.parametrize("width", [1, 3])
def test_recurrent_layers(loops, device, adaptation, current_leak, width):
    generator = torch.Generator().manual_seed(3)
    x, grad = (torch.randn(25, 3, 9, generator=generator, dtype=torch.float64) for _ in range(2))
    windows = Windows(
        torch.randn(9, 9, 2, width, generator=generator, dtype=torch.float64),
        torch.randint(0, 12 - width + 1, (9, 9, 2), generator=generator),
        12,
    )
    constants = LifConstants(0.6, 1.0, 5.0, True, adaptation, 0.5, current_leak)
    expected = stepwise.recurrent_forward(x, windows, constants)
    there = Windows(windows.taps.to(device), windows.start.to(device), windows.size)
    ours = loops.recurrent_forward(x.to(device), there, constants)
    assert torch.equal(ours[0].cpu(), expected[0])
    assert (ours[2] is None) == (expected[2] is None)
    torch.testing.assert_close(ours[1].cpu(), expected[1], rtol=1e-11, atol=1e-11)
    wanted = stepwise.recurrent_backward(grad, expected[1], expected[2], windows.kernel(), constants)
    given, v, left = on(device, grad, expected[1], expected[2])
    found = loops.recurrent_backward(given, v, left, there.kernel(), constants)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
def test_the_integer_contracts_neurons(loops, device, masked):
    generator = torch.Generator().manual_seed(4)
    sums = torch.randint(-300, 400, (60, 3, 67), generator=generator).float()
    bias = torch.randint(-500, 500, (67,), generator=generator).double()
    mask = 2 * (torch.rand(3, 67, generator=generator) < 0.5).float() if masked else None
    constants = IntegerLifConstants(1024, 256, 128, 64.0 * 300, 5.0, True)
    expected = stepwise.integer_lif_forward(sums, bias, mask, constants)
    ours = loops.integer_lif_forward(*on(device, sums, bias, mask), constants)
    assert expected[0].any()
    for one, other in zip(ours, expected, strict=True):
        assert torch.equal(one.cpu(), other)
