"""The integers that a layer's floats stand for: one arithmetic for the exporter and for training through them.

Everything is elementwise in float64 and in one order, so that the exporter's integers are the trainer's, whatever the
device.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from delaytool.contract.bounds import DECAY_UNITY, STATE_SHIFT
from delaytool.hw_configs import Limits, load_target
from delaytool.models.differentiable import DifferentiableFunction


@dataclass(frozen=True)
class Scale:
    """How a layer's floats become integers.

    per_unit        what 1.0 becomes, the exponent included: weight << exponent = per_unit * float weight
    exponent        of the weights
    threshold       mantissa
    bias_exponent   None: the smallest that holds every bias
    """

    per_unit: float
    exponent: int
    threshold: int
    bias_exponent: int | None = None

    @property
    def state_unit(self) -> float:
        """What 1.0 becomes in units of u and v."""
        return self.per_unit * (1 << STATE_SHIFT)


@dataclass(frozen=True)
class IntegerScales:
    """The integers that a network is trained through: a target's name, and a scale for every layer, in order."""

    target: str
    scales: tuple[Scale, ...]

    @property
    def limits(self) -> Limits:
        return load_target(self.target).limits

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> IntegerScales:
        return IntegerScales(values["target"], tuple(Scale(**scale) for scale in values["scales"]))


class Normalization(NamedTuple):
    """Batch norm at rest, per neuron, float64: out = gamma (in - mean) / sqrt(variance + eps) + beta."""

    gamma: Tensor
    beta: Tensor
    mean: Tensor
    variance: Tensor
    eps: float


def folded(weight: Tensor, bias: Tensor, norm: Normalization) -> tuple[Tensor, Tensor]:
    """gamma (w x + b - mean) / sqrt(variance + eps) + beta, as one weight (n_out, ...) and one bias (n_out,)."""
    factor = norm.gamma / torch.sqrt(norm.variance + norm.eps)
    spread = factor.reshape(-1, *[1] * (weight.dim() - 1))
    return weight * spread, (bias - norm.mean) * factor + norm.beta


def merged_taps(weight: Tensor, delay: Tensor) -> tuple[Tensor, Tensor]:
    """Taps (..., taps) with equal delays added up in the first of them; (weights, which taps went into another)."""
    taps = list(weight.unbind(-1))
    delays = delay.unbind(-1)
    gone = [torch.zeros_like(taps[0], dtype=torch.bool) for _ in taps]
    for later in range(1, len(taps)):
        for earlier in range(later):
            same = (delays[earlier] == delays[later]) & ~gone[later]
            taps[earlier] = taps[earlier] + torch.where(same, taps[later], 0.0)
            gone[later] = gone[later] | same
        taps[later] = torch.where(gone[later], 0.0, taps[later])
    return torch.stack(taps, -1), torch.stack(gone, -1)


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
