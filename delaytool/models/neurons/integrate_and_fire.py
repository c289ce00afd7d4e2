"""Leaky integrate-and-fire neurons, and leaky integrators that never fire."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from delaytool.models.neurons.loops import LifConstants, loops_for


class _Lif(torch.autograd.Function):
    """v <- v (1 - 1/tau) + x; a spike where v >= threshold; hard reset to 0."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, mask: Tensor | None, constants: LifConstants) -> Tensor:
        x = x.contiguous()
        spikes, v = loops_for(x).lif_forward(x, mask, constants)
        ctx.save_for_backward(v, mask)  # type: ignore[arg-type]
        ctx.constants = constants  # type: ignore[attr-defined]
        return spikes

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        v, mask = ctx.saved_tensors  # type: ignore[attr-defined]
        return loops_for(v).lif_backward(grad.contiguous(), v, mask, ctx.constants), None, None  # type: ignore[attr-defined]


class _LeakyIntegrator(torch.autograd.Function):
    """v <- v (1 - 1/tau) + x, without threshold."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, leak: float) -> Tensor:
        ctx.leak = leak  # type: ignore[attr-defined]
        return loops_for(x).integrate(x.contiguous(), leak)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return loops_for(grad).integrate(grad.contiguous(), ctx.leak, backwards=True), None  # type: ignore[attr-defined]


def leak_of(tau: float) -> float:
    """What a step leaves of the membrane: 1 - 1/tau."""
    return 1.0 - 1.0 / tau


def lif(
    x: Tensor,
    tau: float,
    threshold: float = 1.0,
    alpha: float = 5.0,
    detach_reset: bool = True,
    mask: Tensor | None = None,
) -> Tensor:
    """Input currents (time, batch, neuron) to spikes (time, batch, neuron), 0.0 or 1.0. tau in steps.

    mask (batch, neuron), no gradient: spikes count that much (dropout with one mask for all time steps).
    """
    return _Lif.apply(x, mask, LifConstants(leak_of(tau), threshold, alpha, detach_reset))  # type: ignore[return-value]


def leaky_integrator(x: Tensor, tau: float) -> Tensor:
    """Input currents (time, batch, neuron) to the membrane of neurons that never fire, same shape. tau in steps."""
    return _LeakyIntegrator.apply(x, leak_of(tau))  # type: ignore[return-value]
