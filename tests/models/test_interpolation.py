"""Kernels against dcls 0.1.1, outputs and gradients."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import plain
from oracles.plain import spread

from delaytool.errors import ModelError
from delaytool.models.convolution import Windows
from delaytool.models.interpolation import (
    NEGLIGIBLE,
    half_width,
    kernel,
    single_tap_kernel,
    windows,
)
from delaytool.models.synapse_settings import FINAL_SIGMA, INTERPOLATIONS

VERSIONS = {"gauss": "gauss", "triangle": "v1", "max": "max"}  # what dcls has


def random_taps(seed, n_out, n_in, taps, size):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(n_out, n_in, taps, generator=generator, dtype=torch.float64)
    delay = torch.rand(n_out, n_in, taps, generator=generator, dtype=torch.float64) * (size - 1)
    return weight.requires_grad_(), delay.requires_grad_()


@pytest.mark.parametrize("interpolation", list(VERSIONS))
@given(
    seed=st.integers(0, 2**31), n_out=st.integers(1, 5), n_in=st.integers(1, 5), taps=st.integers(1, 4),
    half=st.integers(1, 15), sigma=st.floats(0.0, 15.0),
)  # fmt: skip
def test_kernel_and_gradients_equal_dcls(interpolation, seed, n_out, n_in, taps, half, sigma):
    dcls = pytest.importorskip("DCLS.construct.modules", reason="the oracle dcls 0.1.1 is not installed")
    size = 2 * half + 1
    weight, delay = random_taps(seed, n_out, n_in, taps, size)
    ours = kernel(weight, delay, sigma, size, interpolation)

    oracle = dcls.ConstructKernel1d(n_out, n_in, 1, taps, (size,), VERSIONS[interpolation])
    their_weight = weight.detach().clone().requires_grad_()
    position = (half - delay.detach()).clone().requires_grad_()
    width = torch.full((1, n_out, n_in, taps), sigma, dtype=torch.float64)
    theirs = oracle(their_weight, position.unsqueeze(0), width)
    # The oracle's kernel cross-correlates: its last tap is delay 0.
    torch.testing.assert_close(ours, theirs.flip(-1), rtol=1e-10, atol=1e-10)

    probe = torch.randn(ours.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    (ours * probe).sum().backward()
    (theirs.flip(-1) * probe).sum().backward()
    torch.testing.assert_close(weight.grad, their_weight.grad, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(delay.grad, -position.grad, rtol=1e-10, atol=1e-10)


def test_an_unknown_interpolation_is_refused():
    taps = random_taps(0, 1, 1, 1, 4)
    for refused in (lambda: kernel(*taps, 0.5, 4, "cosine"), lambda: half_width(0.5, "cosine", 1e-6)):
        with pytest.raises(ModelError, match="interpolation 'cosine' is unknown; choose one of gauss, triangle, max"):
            refused()


@pytest.mark.parametrize("interpolation", ["gauss", "laplace"])
def test_a_narrow_bump_has_no_denormals_and_finite_gradients(interpolation):
    delay = torch.linspace(0, 24, 97).reshape(1, 97, 1).requires_grad_()
    weight = torch.ones(1, 97, 1, requires_grad=True)
    taps = spread(delay, 0.01, 25, interpolation)
    positive = taps[taps > 0]
    assert positive.min() > NEGLIGIBLE / 2
    assert (taps == 0).any()
    kernel(weight, delay, 0.01, 25, interpolation).square().sum().backward()
    assert torch.isfinite(delay.grad).all()


def test_a_single_tap_carries_its_weight_exactly_and_taps_on_one_delay_add():
    weight = torch.tensor([[[0.1, 0.2, -0.7]]], dtype=torch.float32)
    delay = torch.tensor([[[2.4, 1.6, 5.0]]])
    taps = single_tap_kernel(weight, delay, 6)
    expected = torch.zeros(1, 1, 6)
    expected[0, 0, 2] = weight[0, 0, 0] + weight[0, 0, 1]
    expected[0, 0, 5] = weight[0, 0, 2]
    assert torch.equal(taps, expected)


@pytest.mark.parametrize(("interpolation", "beside"), [("gauss", 0.21), ("laplace", 0.21), ("max", 0.21),
                                                      ("triangle", 0.0)])  # fmt: skip
def test_final_widths_leave_a_fifth_of_the_mass_beside_an_integer_tap_or_none(interpolation, beside):
    taps = spread(torch.tensor([12.0], dtype=torch.float64), FINAL_SIGMA[interpolation], 25, interpolation)
    assert 1 - taps[0, 12].item() == pytest.approx(beside, abs=0.01)


def test_a_laplace_bump_falls_by_one_factor_a_step():
    taps = spread(torch.tensor([3.25], dtype=torch.float64), 1.73, 9, "laplace")[0]
    expected = [math.exp(-abs(step - 3.25) / (1.73 + 0.27)) for step in range(9)]
    assert taps.tolist() == pytest.approx([height / sum(expected) for height in expected], rel=1e-6)


def outputs_and_gradients(make, weight, delay, seed):
    weight, delay = weight.detach().clone().requires_grad_(), delay.detach().clone().requires_grad_()
    made = make(weight, delay)
    probe = torch.randn(made.shape, generator=torch.Generator().manual_seed(seed), dtype=made.dtype)
    (made * probe).sum().backward()
    return made.detach(), weight.grad, delay.grad


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@given(
    seed=st.integers(0, 2**31), n_out=st.integers(1, 5), n_in=st.integers(1, 5), taps=st.integers(1, 4),
    size=st.integers(1, 40), sigma=st.floats(0.0, 15.0),
)  # fmt: skip
def test_the_analytic_gradient_is_the_one_that_autograd_finds(interpolation, seed, n_out, n_in, taps, size, sigma):
    weight, delay = random_taps(seed, n_out, n_in, taps, size)
    ours = outputs_and_gradients(lambda w, d: kernel(w, d, sigma, size, interpolation), weight, delay, seed)
    theirs = outputs_and_gradients(lambda w, d: plain.kernel(w, d, sigma, size, interpolation), weight, delay, seed)
    for mine, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("discarded", [1e-3, 1e-6, 1e-12])
@given(
    seed=st.integers(0, 2**31), taps=st.integers(1, 3), size=st.integers(1, 60), sigma=st.floats(0.0, 5.0)
)  # fmt: skip
def test_windows_discard_no_more_than_they_may(interpolation, discarded, seed, taps, size, sigma):
    weight, delay = random_taps(seed, 4, 5, taps, size)

    def windowed(w, d):
        values, start = windows(w, d, sigma, size, interpolation, discarded)
        assert int(start.min()) >= 0
        assert int(start.max()) + values.shape[-1] <= size
        return Windows(values, start, size).kernel()

    ours = outputs_and_gradients(windowed, weight, delay, seed)
    theirs = outputs_and_gradients(lambda w, d: plain.kernel(w, d, sigma, size, interpolation), weight, delay, seed)
    # A gradient to a delay weighs what is left out by its distance in widths, 8 for the narrowest bound here.
    for mine, expected, more in zip(ours, theirs, (2, 10, 200), strict=True):
        scale = max(1.0, float(expected.abs().max()))
        assert float((mine - expected).abs().max()) <= more * discarded * taps * scale + 1e-11
