"""The network's equations as they are written, for PyTorch to differentiate: slow, and what every fast path is held to.

Kernels are made whole, the convolution is one product for every tap, neurons are one step after another.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from delaytool.models.convolution import delayed_sum
from delaytool.models.delay_network import DelayNetwork
from delaytool.models.delayed_layer import DelayedLinear
from delaytool.models.interpolation import NEGLIGIBLE, NORMALISATION, SIGMA_OFFSET, single_tap_kernel
from delaytool.models.neurons import leak_of, surrogate_gradient


def spread(delay: Tensor, sigma: Tensor | float, size: int, interpolation: str) -> Tensor:
    """The share of each tap that falls on each integer delay: delay (...) to (..., size); see `interpolation`."""
    steps = torch.arange(size, dtype=delay.dtype, device=delay.device)
    distance = steps - delay.unsqueeze(-1)
    sigma = torch.as_tensor(sigma, dtype=delay.dtype, device=delay.device).abs()
    if interpolation == "gauss":
        bump = torch.exp(-0.5 * (distance / (sigma + SIGMA_OFFSET)) ** 2)
        bump = torch.where(bump < NEGLIGIBLE, 0.0, bump)
    elif interpolation == "laplace":
        bump = torch.exp(-distance.abs() / (sigma + SIGMA_OFFSET))
        bump = torch.where(bump < NEGLIGIBLE, 0.0, bump)
    elif interpolation == "triangle":
        bump = torch.relu(1.0 - distance.abs())
    else:
        bump = torch.relu(1.0 + sigma - distance.abs())
    return bump / (bump.sum(-1, keepdim=True) + NORMALISATION)


def kernel(weight: Tensor, delay: Tensor, sigma: Tensor | float, size: int, interpolation: str) -> Tensor:
    """weight, delay (n_out, n_in, taps) to (n_out, n_in, size)."""
    return (weight.unsqueeze(-1) * spread(delay, sigma, size, interpolation)).sum(2)


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, distance: Tensor, alpha: float) -> Tensor:  # type: ignore[no-untyped-def,override]
        ctx.save_for_backward(distance)
        ctx.alpha = alpha
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def,override]
        return grad * surrogate_gradient(ctx.saved_tensors[0], ctx.alpha), None


def lif(x: Tensor, tau: float, threshold: float, alpha: float, detach_reset: bool) -> Tensor:
    """Currents (time, batch, neuron) to spikes of the same shape."""
    v = torch.zeros_like(x[0])
    spikes = []
    for current in x:
        v = v * leak_of(tau) + current
        spike = _Spike.apply(v - threshold, alpha)
        v = v * (1 - (spike.detach() if detach_reset else spike))
        spikes.append(spike)
    return torch.stack(spikes)


def leaky_integrator(x: Tensor, tau: float) -> Tensor:
    """Currents (time, batch, neuron) to membranes of the same shape."""
    v = torch.zeros_like(x[0])
    membrane = []
    for current in x:
        v = v * leak_of(tau) + current
        membrane.append(v)
    return torch.stack(membrane)


def forward(network: DelayNetwork, frames: Tensor, sigma: float | None) -> Tensor:
    """What `network(frames, sigma)` returns, gradients included."""
    config = network.config
    x = frames.to(network.readout.weight.dtype).transpose(0, 1)
    n_frames = x.shape[0]
    for index, layer in enumerate(network.hidden_layers()):
        current = _synapses(layer.synapses, network.sent(x), config.steps_of(index, n_frames), sigma)
        if layer.norm is not None:
            current = layer.norm(current.flatten(0, 1)).view_as(current)
        x = lif(current, config.tau, config.threshold, config.surrogate_alpha, config.detach_reset)
        if layer.training and config.dropout > 0:
            x = x * functional.dropout(torch.ones_like(x[0]), config.dropout)
    out = _synapses(network.readout, network.sent(x), config.steps_of(len(network.hidden), n_frames), sigma)
    return leaky_integrator(out, config.tau)


def _synapses(layer: DelayedLinear, x: Tensor, n_steps: int, sigma: float | None) -> Tensor:
    config = layer.config
    if config.whole_kernels:
        taps: Tensor = layer.weight
    elif sigma is None or config.delays == "fixed-random":
        taps = single_tap_kernel(layer.weight, layer.delay, config.kernel_size)
    else:
        taps = kernel(layer.weight, layer.delay, sigma, config.kernel_size, config.interpolation)
    out = delayed_sum(x, taps, n_steps, "direct")
    return out if layer.bias is None else out + layer.bias
