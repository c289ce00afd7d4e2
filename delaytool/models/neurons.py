"""Leaky integrate-and-fire over a whole run as one autograd function, so that the backward pass is O(time)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx


def surrogate_gradient(distance: Tensor, alpha: float) -> Tensor:
    """Arctan surrogate: g'(u) = (alpha / 2) / (1 + (pi alpha u / 2)^2), with u = v - threshold."""
    return (alpha / 2) / (1 + (math.pi / 2 * alpha * distance) ** 2)


class _Lif(torch.autograd.Function):
    """v <- v (1 - 1/tau) + x; a spike where v >= threshold; hard reset to 0."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, leak: float, threshold: float, alpha: float, detach: bool) -> Tensor:
        before_reset = torch.empty_like(x)  # (time, batch, neuron)
        v = torch.zeros_like(x[0])
        for step, current in enumerate(x):
            v = torch.add(current, v, alpha=leak, out=before_reset[step])
            v = v.masked_fill(v >= threshold, 0.0)
        ctx.save_for_backward(before_reset)
        ctx.constants = (leak, threshold, alpha, detach)  # type: ignore[attr-defined]
        return (before_reset >= threshold).to(x.dtype)

    @staticmethod
    def backward(ctx: FunctionCtx, grad_spikes: Tensor) -> tuple[Tensor, None, None, None, None]:  # type: ignore[override]
        (before_reset,) = ctx.saved_tensors  # type: ignore[attr-defined]
        leak, threshold, alpha, detach = ctx.constants  # type: ignore[attr-defined]
        slope = surrogate_gradient(before_reset - threshold, alpha)
        # after = before * (1 - spike); with the reset attached, the spike in that product has a slope too.
        through_reset = (before_reset < threshold).to(slope.dtype)
        if not detach:
            through_reset = through_reset - before_reset * slope
        through_reset *= leak
        grad = grad_spikes * slope
        carried = torch.zeros_like(grad[0])
        for step in range(grad.shape[0] - 1, -1, -1):
            carried = grad[step].addcmul_(carried, through_reset[step])
        return grad, None, None, None, None


class _LeakyIntegrator(torch.autograd.Function):
    """v <- v (1 - 1/tau) + x, without threshold."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, leak: float) -> Tensor:
        ctx.leak = leak  # type: ignore[attr-defined]
        v = torch.empty_like(x)
        last = torch.zeros_like(x[0])
        for step, current in enumerate(x):
            last = torch.add(current, last, alpha=leak, out=v[step])
        return v

    @staticmethod
    def backward(ctx: FunctionCtx, grad_v: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        grad = grad_v.clone()
        for step in range(grad.shape[0] - 2, -1, -1):
            grad[step].add_(grad[step + 1], alpha=ctx.leak)  # type: ignore[attr-defined]
        return grad, None


def leak_of(tau: float) -> float:
    """What a step leaves of the membrane: 1 - 1/tau."""
    return 1.0 - 1.0 / tau


def lif(x: Tensor, tau: float, threshold: float = 1.0, alpha: float = 5.0, detach_reset: bool = True) -> Tensor:
    """Input currents (time, batch, neuron) to spikes (time, batch, neuron), 0.0 or 1.0. tau in steps."""
    return _Lif.apply(x, leak_of(tau), threshold, alpha, detach_reset)  # type: ignore[return-value]


def leaky_integrator(x: Tensor, tau: float) -> Tensor:
    """Input currents (time, batch, neuron) to the membrane of neurons that never fire, same shape. tau in steps."""
    return _LeakyIntegrator.apply(x, leak_of(tau))  # type: ignore[return-value]
