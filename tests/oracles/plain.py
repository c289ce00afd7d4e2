"""The network's equations as they are written, for PyTorch to differentiate: slow, and what every fast path is held to.

Kernels are made whole, the convolution is one product for every tap, neurons are one step after another.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from delaytool.models.convolution import delayed_sum
from delaytool.models.delay_network import DelayNetwork
from delaytool.models.delayed_linear import DelayedLinear
from delaytool.models.interpolation import NEGLIGIBLE, NORMALIZATION, SIGMA_OFFSET, single_tap_kernel
from delaytool.models.neurons import LifConstants, leak_of, surrogate_gradient
from delaytool.quantization.program import BatchNorm
from delaytool.quantization.scales import IntegerScales


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
    return bump / (bump.sum(-1, keepdim=True) + NORMALIZATION)


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
    return spiking(x, LifConstants(leak_of(tau), threshold, alpha, detach_reset))


def spiking(x: Tensor, constants: LifConstants, recurrent: Tensor | None = None) -> Tensor:
    """The same for every kind of neuron; recurrent: kernels (neuron, neuron, size), K[j] acts j + 1 steps later."""
    v, own, left = (torch.zeros_like(x[0]) for _ in range(3))
    spikes: list[Tensor] = []
    for current in x:
        own = own * constants.current_leak
        if recurrent is not None:
            for j, sent in enumerate(reversed(spikes[-recurrent.shape[-1] :])):
                own = own + sent @ recurrent[..., j].t()
        v = v * constants.leak + current + own
        spike = _Spike.apply(v - (constants.threshold + constants.adaptation * left), constants.alpha)
        v = v * (1 - (spike.detach() if constants.detach_reset else spike))
        left = left * constants.adaptation_leak + spike
        spikes.append(spike)
    return torch.stack(spikes)


def leaky_integrator(x: Tensor, tau: float | Tensor) -> Tensor:
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
        within = None if layer.recurrent is None else _kernel(layer.recurrent, sigma)
        x = spiking(current, layer.neurons.constants, within)
        if layer.training and config.dropout > 0:
            x = x * functional.dropout(torch.ones_like(x[0]), config.dropout)
    out = _synapses(network.readout, network.sent(x), config.steps_of(len(network.hidden), n_frames), sigma)
    return leaky_integrator(out, network.readout_neurons.tau)


def _kernel(layer: DelayedLinear, sigma: float | None) -> Tensor:
    config, weight, delay = layer.config, _weight(layer), layer.delay.expand_as(layer.weight)
    if config.whole_kernels:
        return weight
    if sigma is None or config.delays == "fixed-random":
        return single_tap_kernel(weight, delay, config.kernel_size)
    return kernel(weight, delay, sigma, config.kernel_size, config.interpolation)


def _synapses(layer: DelayedLinear, x: Tensor, n_steps: int, sigma: float | None) -> Tensor:
    out = delayed_sum(x, _kernel(layer, sigma), n_steps, "direct")
    if layer.config.current_tau > 1:
        out = leaky_integrator(out, layer.config.current_tau)
    return out if layer.bias is None else out + layer.bias


def _weight(layer: DelayedLinear) -> Tensor:
    """Of the taps that exist: w = mask w, or sign times the connectivity theta = sign w where that is positive."""
    if layer.mask is not None:
        return layer.weight * layer.mask
    if layer.sign is None:
        return layer.weight
    theta = layer.sign * layer.weight
    if layer.config.grows_by_gradient:  # the gradient passes where the value does not
        return layer.sign * (theta - torch.clamp(theta, max=0.0).detach())
    return layer.sign * torch.relu(theta)


def straight_through(exact: Tensor, rounded: Tensor) -> Tensor:
    """The value of `rounded` with the gradient of `exact`."""
    return exact + (rounded - exact).detach()


def rounded_within(exact: Tensor, low: int, high: int) -> Tensor:
    """Nearest integers within low..high; beyond them only a gradient that leads back passes."""
    if exact.requires_grad:
        beyond = (exact - exact.clamp(low, high)).detach()
        exact = exact * 1.0
        exact.register_hook(lambda grad: torch.where(grad * beyond < 0, 0.0, grad))
    return straight_through(exact, exact.round().clamp(low, high))


def integer_neurons(
    arriving: Tensor, bias: Tensor, dv: int, threshold: int, unit: float, alpha: float, detach_reset: bool, fires: bool
) -> tuple[Tensor, Tensor]:
    """The contract's neurons: arriving (time, batch, neuron) in weight units to (spikes, v after the reset).

    The surrogate gradient is taken of v in units of 1.0, centered half an integer above the threshold's own integer.
    """
    v = torch.zeros_like(arriving[0])
    spikes, membrane = [], []
    for sums in arriving:
        u = straight_through(sums, sums.round()) * 64
        u = u - torch.where(u > 2**23, 2.0**24, 0.0)
        u = u + torch.where(u <= -(2**23), 2.0**24, 0.0)
        kept = v * ((4096 - dv) / 4096)
        total = straight_through(kept, torch.trunc(kept)) + u + bias
        v = straight_through(total, total.clamp(-(2**23) + 1, 2**23 - 1))
        if fires:
            spike = _Spike.apply((v - (threshold * 64 + 1)) / unit, alpha)
            v = v * (1 - (spike.detach() if detach_reset else spike))
            spikes.append(spike)
        else:
            v = straight_through(v, torch.where(v > threshold * 64, 0.0, v))
        membrane.append(v)
    return torch.stack(spikes or membrane), torch.stack(membrane)


def forward_in_integers(network: DelayNetwork, frames: Tensor, scales: IntegerScales) -> Tensor:
    """What `IntegerTraining(network, scales)(frames)` returns, gradients included."""
    config, limits, last = network.config, scales.target.limits, len(network.hidden)
    n_steps = config.steps_of(last, frames.shape[1]) + config.lateness_on_chip(last)
    norms = [*(layer.norm for layer in network.hidden_layers()), None]
    x = frames.to(network.readout.weight.dtype).transpose(0, 1)
    for index, (layer, norm, scale) in enumerate(zip(network.delayed_layers(), norms, scales.scales, strict=True)):
        weight = _weight(layer)
        bias: Tensor = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias
        if norm is not None:
            at_rest = BatchNorm.of(norm)
            factor = at_rest.gamma / torch.sqrt(at_rest.variance + at_rest.eps)
            weight, bias = weight * factor[:, None, None], (bias - at_rest.mean) * factor + at_rest.beta
        size, step = config.kernel_size, limits.weight_step
        to_steps = scale.per_unit / 2**scale.exponent / step
        taps = rounded_within(
            single_tap_kernel(weight, layer.delay.expand_as(weight), size) * to_steps,
            limits.weight_min // step,
            limits.weight_max // step,
        )
        delayed = functional.pad(x, (0, 0, 0, 0, 1, 0))
        arriving = delayed_sum(delayed, taps, n_steps, "direct") * (step * 2**scale.exponent)
        unit = scale.per_unit * 64
        bias_step = 2 ** (scale.bias_exponent or 0)
        mantissa = rounded_within(bias * unit / bias_step, limits.bias_mantissa_min, limits.bias_mantissa_max)
        dv = min(round(4096 / config.tau), limits.decay_max)
        x, v = integer_neurons(
            arriving, mantissa * bias_step, dv, scale.threshold, unit, config.surrogate_alpha, config.detach_reset,
            fires=index < last,
        )  # fmt: skip
        if index < last and network.training and config.dropout > 0:
            x = x * functional.dropout(torch.ones_like(x[0]), config.dropout)
    return v[config.lateness_on_chip(last) :] / unit
