"""Neurons that integrate and fire, feed-forward or recurrent, and leaky integrators that never fire."""

from __future__ import annotations

from typing import Any, overload

from torch import Tensor

from delaytool.models.convolution import Windows, taps_gradient
from delaytool.models.differentiable import DifferentiableFunction
from delaytool.models.neurons.device import loops_for
from delaytool.models.neurons.loops import LifConstants
from delaytool.models.uncompiled import uncompiled


class _Spiking(DifferentiableFunction):
    """v <- v leak + x; a spike where v reaches the threshold; hard reset to 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, leak: Tensor | None, mask: Tensor | None, constants: LifConstants) -> Tensor:
        x = x.contiguous()
        left = None
        if constants.adaptation:
            spikes, v, left = loops_for(x).adaptive_forward(x, mask, constants)
        else:
            spikes, v = loops_for(x).lif_forward(x, mask, constants)
        ctx.save_for_backward(v, mask, left)
        ctx.constants = constants
        return spikes

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        v, mask, left = ctx.saved_tensors
        constants: LifConstants = ctx.constants
        loops, grad = loops_for(v), grad.contiguous()
        if left is None:
            grad_x = loops.lif_backward(grad, v, mask, constants)
        else:
            grad_x = loops.adaptive_backward(grad, v, left, mask, constants)
        grad_leak = None
        if ctx.needs_input_grad[1]:
            grad_leak = _leak_gradient(grad_x, v.masked_fill(_fires(v, left, constants), 0.0))
        return grad_x, grad_leak, None, None


class _Recurrent(DifferentiableFunction):
    """The same, with recurrent input: the layer's own spikes, after their delays and one step."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        taps: Tensor,
        start: Tensor,
        size: int,
        leak: Tensor | None,
        mask: Tensor | None,
        constants: LifConstants,
    ) -> Tensor:
        x = x.contiguous()
        spikes, v, left = loops_for(x).recurrent_forward(x, Windows(taps, start, size), constants)
        ctx.save_for_backward(v, mask, left, taps, start)
        ctx.constants, ctx.size = constants, size
        return spikes if mask is None else spikes * mask

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None, Tensor | None, None, None]:
        v, mask, left, taps, start = ctx.saved_tensors
        constants: LifConstants = ctx.constants
        windows = Windows(taps, start, ctx.size)
        grad = (grad if mask is None else grad * mask).contiguous()
        grad_x, grad_sums = loops_for(v).recurrent_backward(grad, v, left, windows.kernel(), constants)
        fires = _fires(v, left, constants)
        grad_taps = grad_leak = None
        if ctx.needs_input_grad[1]:
            # A spike arrives in the next step at the earliest.
            grad_taps = taps_gradient(fires[:-1].to(v.dtype), grad_sums[1:], windows)
        if ctx.needs_input_grad[4]:
            grad_leak = _leak_gradient(grad_x, v.masked_fill(fires, 0.0))
        return grad_x, grad_taps, None, None, grad_leak, None, None


class _LeakyIntegrator(DifferentiableFunction):
    """v <- v leak + x, without threshold."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, learned: Tensor | None, leak: float | Tensor) -> Tensor:
        v = loops_for(x).integrate(x.contiguous(), leak)
        ctx.leak = leak
        if learned is not None:
            ctx.save_for_backward(v)
        return v

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        grad_x = loops_for(grad).integrate(grad.contiguous(), ctx.leak, backwards=True)
        grad_leak = None
        if ctx.needs_input_grad[1]:
            grad_leak = _leak_gradient(grad_x, ctx.saved_tensors[0])
        return grad_x, grad_leak, None


def _fires(v: Tensor, left: Tensor | None, constants: LifConstants) -> Tensor:
    return v >= constants.threshold if left is None else v >= constants.threshold + constants.adaptation * left


def _leak_gradient(grad_x: Tensor, after: Tensor) -> Tensor:
    """The leak multiplies what the step before left, and its product is added to the current."""
    return (grad_x[1:] * after[:-1]).sum()


def _detached(leak: float | Tensor) -> float | Tensor:
    return leak.detach() if isinstance(leak, Tensor) else leak


@overload
def leak_of(tau: float) -> float: ...
@overload
def leak_of(tau: float | Tensor) -> float | Tensor: ...
def leak_of(tau: float | Tensor) -> float | Tensor:
    """What a step leaves of the membrane: 1 - 1/tau."""
    return 1.0 - 1.0 / tau


@uncompiled
def spiking(x: Tensor, constants: LifConstants, mask: Tensor | None = None, recurrent: Windows | None = None) -> Tensor:
    """Input currents (time, batch, neuron) to spikes (time, batch, neuron), 0.0 or 1.0; see `loops.Loops`.

    constants   its leak may be a tensor that gets a gradient
    mask        (batch, neuron), no gradient: spikes count that much (dropout with one mask for all time steps); its
                recurrent input is not masked
    recurrent   kernels (neuron, neuron, size) within the layer: K[j] acts j + 1 steps after a spike
    """
    leak = constants.leak if isinstance(constants.leak, Tensor) else None
    constants = constants._replace(leak=_detached(constants.leak))
    if recurrent is not None:
        return _Recurrent.apply(x, *recurrent, leak, mask, constants)
    return _Spiking.apply(x, leak, mask, constants)


def lif(
    x: Tensor,
    tau: float,
    threshold: float = 1.0,
    alpha: float = 5.0,
    detach_reset: bool = True,
    mask: Tensor | None = None,
) -> Tensor:
    """`spiking` of plain leaky integrate-and-fire neurons. tau in steps."""
    return spiking(x, LifConstants(leak_of(tau), threshold, alpha, detach_reset), mask)


@uncompiled
def leaky_integrator(x: Tensor, tau: float | Tensor) -> Tensor:
    """Input currents (time, batch, neuron) to the membrane of neurons that never fire, same shape.

    tau in steps; a tensor of no dimensions gets a gradient.
    """
    leak = leak_of(tau)
    learned = leak if isinstance(leak, Tensor) else None
    return _LeakyIntegrator.apply(x, learned, _detached(leak))
