"""The integer contract's neurons in floating point that is exact, with the float neurons' gradients.

Every value is an integer of at most 24 bits, which a float32 holds; products are made in float64. Gradients are those
of `lif` with the rounding passed straight through, in the membrane's own units: the surrogate's width is that of the
float neuron times `state_unit`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from delaytool.models.neurons.loops import LifConstants, loops_for
from delaytool.network import DECAY_UNITY, STATE_LIMIT, STATE_SHIFT


class IntegerConstants(NamedTuple):
    """A layer's neurons.

    dv, threshold   of the contract
    unit            of v, that 1 of the sums is worth
    state_unit      what 1.0 as trained is worth in units of v
    """

    dv: int
    threshold: int
    unit: int
    state_unit: float
    alpha: float
    detach_reset: bool

    @property
    def leak(self) -> float:
        """What a step leaves of the membrane; exact, for it is a multiple of 2^-12."""
        return (DECAY_UNITY - self.dv) / DECAY_UNITY

    @property
    def highest_silent(self) -> int:
        """The membrane that v must exceed to fire."""
        return self.threshold << STATE_SHIFT

    def in_floats(self) -> LifConstants:
        """A float neuron in these units: `v >= highest_silent + 1` is `v > highest_silent` among integers."""
        return LifConstants(self.leak, self.highest_silent + 1, self.alpha / self.state_unit, self.detach_reset)


def forward_stepwise(
    sums: Tensor, bias: Tensor, mask: Tensor | None, constants: IntegerConstants
) -> tuple[Tensor, Tensor]:
    """(spikes times mask, the membrane before its reset), one step at a time: on any device."""
    membrane = torch.empty_like(sums)
    v = torch.zeros_like(sums[0], dtype=torch.float64)
    for step, arriving in enumerate(sums):
        u = arriving.double().round() * constants.unit
        u = torch.where(u > STATE_LIMIT, u - 2 * STATE_LIMIT, u)
        u = torch.where(u <= -STATE_LIMIT, u + 2 * STATE_LIMIT, u)
        v = (torch.trunc(v * constants.leak) + u + bias).clamp(-STATE_LIMIT + 1, STATE_LIMIT - 1)
        membrane[step] = v
        v = v.masked_fill(v > constants.highest_silent, 0.0)
    spikes = (membrane > constants.highest_silent).to(sums.dtype)
    return spikes if mask is None else spikes * mask, membrane


def _forward(sums: Tensor, bias: Tensor, mask: Tensor | None, constants: IntegerConstants) -> tuple[Tensor, Tensor]:
    if sums.device.type == "cpu" and sums.dtype in (torch.float32, torch.float64):
        from delaytool.quantization.integer_lif_compiled import forward_compiled

        return forward_compiled(sums.contiguous(), bias, mask, constants)
    return forward_stepwise(sums, bias, mask, constants)


class _IntegerLif(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, sums: Tensor, bias: Tensor, mask: Tensor | None, constants: IntegerConstants
    ) -> Tensor:
        spikes, v = _forward(sums, bias, mask, constants)
        ctx.save_for_backward(v, mask)  # type: ignore[arg-type]
        ctx.constants = constants  # type: ignore[attr-defined]
        return spikes

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:  # type: ignore[override]
        v, mask = ctx.saved_tensors  # type: ignore[attr-defined]
        constants: IntegerConstants = ctx.constants  # type: ignore[attr-defined]
        to_v = loops_for(v).lif_backward(grad.contiguous(), v, mask, constants.in_floats())
        return to_v * constants.unit, to_v.sum((0, 1), dtype=torch.float64), None, None


class _IntegerReadout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, sums: Tensor, bias: Tensor, constants: IntegerConstants) -> Tensor:
        _, v = _forward(sums, bias, None, constants)
        ctx.constants = constants  # type: ignore[attr-defined]
        return v.masked_fill(v > constants.highest_silent, 0.0)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        constants: IntegerConstants = ctx.constants  # type: ignore[attr-defined]
        to_v = loops_for(grad).integrate(grad.contiguous(), constants.leak, backwards=True)
        return to_v * constants.unit, to_v.sum((0, 1), dtype=torch.float64), None


def integer_lif(sums: Tensor, bias: Tensor, constants: IntegerConstants, mask: Tensor | None = None) -> Tensor:
    """Input sums (time, batch, neuron) to spikes 0.0 or 1.0, same shape.

    sums   in whole units, or within half of one; dropout's fractions are rounded
    bias   (neuron,) float64, in units of v
    mask   (batch, neuron), no gradient: spikes count that much
    """
    return _IntegerLif.apply(sums, bias, mask, constants)  # type: ignore[return-value]


def integer_readout(sums: Tensor, bias: Tensor, constants: IntegerConstants) -> Tensor:
    """The same to the membranes, in units of v, after the reset of a neuron that should never fire.

    The gradient is that of an integrator without threshold.
    """
    return _IntegerReadout.apply(sums, bias, constants)  # type: ignore[return-value]
