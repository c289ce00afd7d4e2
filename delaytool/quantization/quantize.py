"""Weights, biases, decays and thresholds become the target's integers.

One arithmetic for the exporter and for training through integers, elementwise in float64 and in one order, so that the
exporter's integers are the trainer's, whatever the device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from delaytool.contract.bounds import DECAY_UNITY
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, SparseSynapses
from delaytool.errors import ExportError
from delaytool.hw_configs import Limits, Target
from delaytool.models.differentiable import DifferentiableFunction
from delaytool.quantization.program import FloatLayer, Program, Recurrence
from delaytool.quantization.scales import Scale


def quantize(program: Program, target: Target) -> IntegerNetwork:
    """The integer network of a program whose every layer has its scale.

    Integers that were trained stay what they are on any target: they are rounded to what they were trained through.
    The readout's window is the part of the chip's run that the float readout summed over. Raises ExportError
    where a bias does not fit.
    """
    scale = program.layers[-1].scale
    assert scale is not None, "choose_scale comes first"
    stop = program.chip_steps
    rounding = program.quantized_for or target
    return IntegerNetwork(
        encoding=program.encoding,
        layers=tuple(integer_layer(layer, index, rounding) for index, layer in enumerate(program.layers)),
        readout=Readout("softmax-sum", scale.state_unit, start=program.late[-1], stop=stop),
        n_steps=stop,
        target=target.name,
    )


def integer_layer(layer: FloatLayer, index: int, target: Target) -> IntegerLayer:
    """One layer in integers; `index` from 0, so its source population is `index` (0 the input)."""
    scale = layer.scale
    assert scale is not None, "choose_scale comes first"
    limits = target.limits
    mantissa, exponent = quantized_bias(layer, scale, target)
    groups = [_group(layer.weight, layer.delay, index, scale, limits)]
    if layer.recurrent is not None:
        recurrent_scale = _recurrent_scale(layer.recurrent, scale, limits)
        groups.append(_group(layer.recurrent.weight, layer.recurrent.delay, index + 1, recurrent_scale, limits))
    return IntegerLayer(
        name=layer.name,
        n_neurons=layer.n_neurons,
        synapses=tuple(groups),
        du=current_decay(layer.current_tau, limits),
        dv=membrane_decay(layer.tau, limits),
        threshold=scale.threshold,
        bias_mantissa=mantissa,
        bias_exponent=exponent,
    )


def quantized_weight(weight: np.ndarray, scale: Scale, limits: Limits) -> np.ndarray:
    """The nearest representable integers, before the exponent; beyond the range the range's end."""
    steps = weight_steps(torch.from_numpy(weight), scale, limits).numpy()
    return (steps * limits.weight_step).astype(np.int32)


def quantized_bias(layer: FloatLayer, scale: Scale, target: Target) -> tuple[np.ndarray, int]:
    """(mantissas, exponent): the scale's exponent, or else the smallest that holds every bias.

    Raises ExportError where none does.
    """
    limits = target.limits
    bias = torch.from_numpy(layer.bias)
    exponent = scale.bias_exponent
    if exponent is None:
        exponent = bias_exponent_for(bias, scale, limits)
    if exponent is not None:
        mantissa = bias_mantissas(bias, replace(scale, bias_exponent=exponent), limits)
        return mantissa.numpy().astype(np.int32), exponent
    exact = layer.bias * scale.state_unit
    reach = limits.bias_mantissa_max << limits.bias_exponent_max
    raise ExportError(
        f"layer {layer.name}: bias {np.abs(layer.bias).max():.4g} becomes {np.abs(exact).max():.0f} at its scale, "
        f"{target.name} holds {reach}; retrain with a smaller trainer.lr or more trainer.weight_decay"
    )


def _group(
    weights: np.ndarray, delays: np.ndarray, source: int, scale: Scale, limits: Limits
) -> DenseSynapses | SparseSynapses:
    weight = quantized_weight(weights, scale, limits)
    delay = delays.astype(np.int32)
    if weight.shape[2] == 1:
        return DenseSynapses(source, weight[..., 0], delay[..., 0], scale.exponent)
    target, pre, tap = np.nonzero(weight)
    n_out, n_in, _ = weight.shape
    return SparseSynapses(
        source, n_out, n_in, target, pre, weight[target, pre, tap], delay[target, pre, tap], scale.exponent
    )


def _recurrent_scale(recurrent: Recurrence, scale: Scale, limits: Limits) -> Scale:
    """The layer's scale with the smallest exponent at which no recurrent weight is clipped."""
    largest, exponent = float(np.abs(recurrent.weight).max()) * scale.per_unit, 0
    while largest > limits.weight_max << exponent and exponent < limits.weight_exponent_max:
        exponent += 1
    return replace(scale, exponent=exponent)


@dataclass(frozen=True)
class Quantization:
    """How well the integers hold a layer's floats.

    weight_error   root mean square of the weights' error over that of the weights
    clipped_share  share of the weights beyond the range
    """

    weight_error: float
    clipped_share: float


def quantization_of(layer: FloatLayer, target: Target) -> Quantization:
    """Compare a layer's weights with their integers."""
    scale, limits = layer.scale, target.limits
    assert scale is not None, "choose_scale comes first"
    weights, errors, clipped = [], [], []
    groups = [(layer.weight, scale)]
    if layer.recurrent is not None:
        groups.append((layer.recurrent.weight, _recurrent_scale(layer.recurrent, scale, limits)))
    for floats, group_scale in groups:
        unit = group_scale.per_unit / (1 << group_scale.exponent)
        part = floats[floats != 0]
        weights.append(part)
        errors.append(quantized_weight(part, group_scale, limits) / unit - part)
        clipped.append((part * unit > limits.weight_max + 0.5) | (part * unit < limits.weight_min - 0.5))
    weight, error, beyond = (np.concatenate(parts) for parts in (weights, errors, clipped))
    if not weight.size:
        return Quantization(0.0, 0.0)
    return Quantization(
        weight_error=float(np.sqrt(np.mean(error**2) / np.mean(weight**2))), clipped_share=float(beyond.mean())
    )


class _Nearest(DifferentiableFunction):
    """The nearest integer (half to even) within low..high; the gradient passes, unless it would push further out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        beyond = x - x.clamp(low, high)
        ctx.save_for_backward(beyond)
        return x.round().clamp(low, high)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (beyond,) = ctx.saved_tensors
        return grad.masked_fill(grad * beyond < 0, 0.0), None, None


def weight_steps(weight: Tensor, scale: Scale, limits: Limits) -> Tensor:
    """Weights (float64) as multiples of the target's weight step, straight-through; beyond the range its end."""
    step = limits.weight_step
    exact = weight * (scale.per_unit / (1 << scale.exponent) / step)
    return _Nearest.apply(exact, limits.weight_min // step, limits.weight_max // step)


def bias_mantissas(bias: Tensor, scale: Scale, limits: Limits) -> Tensor:
    """Biases (float64) as mantissas at the scale's own exponent, straight-through; beyond the range its end."""
    assert scale.bias_exponent is not None, "bias_exponent_for comes first"
    exact = bias * scale.state_unit / (1 << scale.bias_exponent)
    return _Nearest.apply(exact, limits.bias_mantissa_min, limits.bias_mantissa_max)


def bias_exponent_for(bias: Tensor, scale: Scale, limits: Limits, room: float = 1.0) -> int | None:
    """The smallest exponent that holds `room` times every bias; None where none does."""
    exact = bias * scale.state_unit * room
    for exponent in range(limits.bias_exponent_min, limits.bias_exponent_max + 1):
        mantissa = torch.round(exact / (1 << exponent))
        if mantissa.min() >= limits.bias_mantissa_min and mantissa.max() <= limits.bias_mantissa_max:
            return exponent
    return None


def current_decay(tau: float, limits: Limits) -> int:
    """du of a leak of 1/tau; a tau of 1 is no filter."""
    return min(max(round(DECAY_UNITY / tau) - 1, 0), limits.decay_max)


def membrane_decay(tau: float, limits: Limits) -> int:
    """dv of a leak of 1/tau."""
    return min(round(DECAY_UNITY / tau), limits.decay_max)
