"""Second derivatives: right where PyTorch takes them, an error where a gradient is a formula of its own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from delaytool.errors import ModelError
from delaytool.models.delayed_linear import DelayedLinear
from delaytool.models.spiking_layers import LIF, LeakyReadout


def delayed(form, current_tau=1.0):
    layer = DelayedLinear(2, 2, 4, convolution=form, current_tau=current_tau, dtype=torch.float64)
    layer.sigma = 1.0
    return layer


def recurrent():
    return LIF(3.0, 0.3, recurrent=DelayedLinear(2, 2, 3, dtype=torch.float64).eval())


def penalty(layer):
    """The gradients of a penalty on the gradient to the input, which is constant as it comes to the layer."""
    torch.manual_seed(0)
    linear = nn.Linear(3, 2).double()
    x = torch.rand(7, 2, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(linear(x)).sum(), x, create_graph=True)
    return torch.autograd.grad(gradient.square().sum(), [linear.weight, *layer.parameters()], allow_unused=True)


LAYERS = [
    lambda: LIF(3.0, 0.3), recurrent, lambda: LeakyReadout(3.0), lambda: delayed("direct", current_tau=3.0),
    *(lambda form=form: delayed(form) for form in ("fft", "staged", "windowed", "events")),
]  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS)
def test_a_second_derivative_through_a_formula_is_refused(layer):
    with pytest.raises(ModelError, match="create_graph=True: a second derivative through delaytool's layers"):
        penalty(layer())


def test_a_second_derivative_that_pytorch_takes_is_right():
    def written_out(layer):
        class Plain(nn.Module):
            def parameters(self):
                return layer.parameters()

            def forward(self, x):
                steps = torch.arange(5, dtype=x.dtype)
                bump = torch.exp(-(((steps - layer.delay.unsqueeze(-1)) / (1.0 + 0.27)) ** 2) / 2)
                kernel = (layer.weight.unsqueeze(-1) * bump / (bump.sum(-1, keepdim=True) + 1e-7)).sum(2)
                return torch.stack(
                    [sum(x[t - j] @ kernel[..., j].t() for j in range(min(5, t + 1))) for t in range(len(x))]
                )

        return Plain()

    torch.manual_seed(2)
    layer = delayed("direct")
    for ours, expected in zip(penalty(layer), penalty(written_out(layer)), strict=True):
        torch.testing.assert_close(ours, expected)
