"""The integer contract's neurons in floating point that is exact, with the float neurons' gradients.

Every value is an integer of at most 24 bits, which a float32 holds; products are made in float64. Gradients are those
of `lif` with the rounding passed straight through, in the membrane's own units: the surrogate's width is that of the
float neuron times `state_unit`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from delaytool.models.differentiable import DifferentiableFunction
from delaytool.models.neurons.device import loops_for
from delaytool.models.neurons.loops import IntegerLifConstants


class _IntegerLif(DifferentiableFunction):
    @staticmethod
    def forward(ctx: Any, sums: Tensor, bias: Tensor, mask: Tensor | None, constants: IntegerLifConstants) -> Tensor:
        spikes, v = loops_for(sums).integer_lif_forward(sums, bias, mask, constants)
        ctx.save_for_backward(v, mask)
        ctx.constants = constants
        return spikes

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        v, mask = ctx.saved_tensors
        constants: IntegerLifConstants = ctx.constants
        to_v = loops_for(v).lif_backward(grad.contiguous(), v, mask, constants.in_floats())
        return to_v * constants.unit, to_v.sum((0, 1), dtype=torch.float64), None, None


class _IntegerReadout(DifferentiableFunction):
    @staticmethod
    def forward(ctx: Any, sums: Tensor, bias: Tensor, constants: IntegerLifConstants) -> Tensor:
        _, v = loops_for(sums).integer_lif_forward(sums, bias, None, constants)
        ctx.constants = constants
        return v.masked_fill(v > constants.highest_silent, 0.0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        constants: IntegerLifConstants = ctx.constants
        to_v = loops_for(grad).integrate(grad.contiguous(), constants.leak, backwards=True)
        return to_v * constants.unit, to_v.sum((0, 1), dtype=torch.float64), None


def integer_lif(sums: Tensor, bias: Tensor, constants: IntegerLifConstants, mask: Tensor | None = None) -> Tensor:
    """Input sums (time, batch, neuron) to spikes 0.0 or 1.0, same shape.

    sums   in whole units, or within half of one; dropout's fractions are rounded
    bias   (neuron,) float64, in units of v
    mask   (batch, neuron), no gradient: spikes count that much
    """
    return _IntegerLif.apply(sums, bias, mask, constants)


def integer_readout(sums: Tensor, bias: Tensor, constants: IntegerLifConstants) -> Tensor:
    """The same to the membranes, in units of v, after the reset of a neuron that should never fire.

    The gradient is that of an integrator without threshold.
    """
    return _IntegerReadout.apply(sums, bias, constants)
