"""Kernels over time with one bump per tap: how a continuous delay gets a gradient (DCLS, arXiv 2306.17670).

A tap of weight w and delay d is spread over the integer delays j = 0..size-1 as w * K[j]. The definitions are
those of the package dcls 0.1.1, written in delays rather than in its positions: d = size // 2 - P.

    'gauss'      K[j] ~ exp(-((j - d) / (|sigma| + 0.27))^2 / 2)
    'triangle'   K[j] ~ max(0, 1 - |j - d|): linear between the two neighbors (dcls 'v1'), sigma unused
    'max'        K[j] ~ max(0, 1 + |sigma| - |j - d|)
    'laplace'    K[j] ~ exp(-|j - d| / (|sigma| + 0.27)): not one of dcls'; its tails are heavier than the gauss', so a
                 wide tap gets a gradient from steps farther off

scaled to a sum of 1 over the kernel, but for NORMALIZATION.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from delaytool.errors import ModelError
from delaytool.models.differentiable import DifferentiableFunction
from delaytool.models.synapse_settings import INTERPOLATIONS

SIGMA_OFFSET = 0.27  # dcls adds it to |sigma|, so that the width never reaches zero
NORMALIZATION = 1e-7
# No height is lower: it would carry nothing, but denormal numbers make the convolution 7 to 9 times slower.
NEGLIGIBLE = 1e-30
_NEGLIGIBLE_EXPONENT = math.log(NEGLIGIBLE)

# Numbers of a kernel that are made at a time: what fits the second-level cache on a CPU, and little memory elsewhere.
_AT_A_TIME = {"cpu": 1 << 17}
_AT_A_TIME_ELSEWHERE = 1 << 24


def _height(distance: Tensor, sigma: float, interpolation: str) -> Tensor:
    """Unscaled height of a bump at distance = j - d."""
    if interpolation in ("gauss", "laplace"):
        width = abs(sigma) + SIGMA_OFFSET
        gauss = interpolation == "gauss"
        exponent = distance.square().mul_(-0.5 / width**2) if gauss else distance.abs().mul_(-1 / width)
        # An exponential that underflows takes several times longer, and what it leaves slows down what follows.
        return exponent.clamp_(min=_NEGLIGIBLE_EXPONENT).exp_()
    return torch.relu(_reach(sigma, interpolation) - distance.abs())


def _reach(sigma: float, interpolation: str) -> float:
    """Steps either side of a delay beyond which a bump of straight sides is 0."""
    if interpolation == "triangle":
        return 1.0
    if interpolation == "max":
        return 1.0 + abs(sigma)
    raise _unknown(interpolation)


def _unknown(interpolation: str) -> ModelError:
    return ModelError(f"interpolation {interpolation!r} is unknown; choose one of {', '.join(INTERPOLATIONS)}")


def _slope(height: Tensor, distance: Tensor, sigma: float, interpolation: str) -> Tensor:
    """The derivative of that height by the delay d."""
    width = abs(sigma) + SIGMA_OFFSET
    if interpolation == "gauss":
        return (height * distance).mul_(1 / width**2)
    if interpolation == "laplace":
        return torch.sign(distance).mul_(height).mul_(1 / width)
    if interpolation in ("triangle", "max"):
        return torch.sign(distance).mul_(height > 0)
    raise _unknown(interpolation)


def half_width(sigma: float, interpolation: str, discarded: float) -> float:
    """Steps either side of a delay beyond which at most `discarded` of a tap's mass lies."""
    if interpolation == "gauss":
        # The first height left out is to be `discarded` of the highest, which stands at most half a step from d.
        width = abs(sigma) + SIGMA_OFFSET
        return math.sqrt(0.25 - 2 * width**2 * math.log(discarded))
    if interpolation == "laplace":
        # Beside d heights fall by one factor per step, so what is left out is to what is kept as their first ones are,
        # and the first one kept stands at most one step from d.
        return 1.0 - (abs(sigma) + SIGMA_OFFSET) * math.log(discarded)
    return _reach(sigma, interpolation)


class _Taps(DifferentiableFunction):
    """Bumps at each step of `first` + 0..width-1, times the weights; the gradient is the formula's own.

    With K = b / n, n = sum(b) + NORMALIZATION and b' = db/dd: dK[j]/dd = (b'[j] - K[j] sum(b')) / n. Nothing but the
    parameters is kept for it, and a few rows of outputs are made at a time.
    """

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, delay: Tensor, first: Tensor | None, width: int, sigma: float, name: str
    ) -> Tensor:
        ctx.save_for_backward(weight, delay, first)
        ctx.bump = (width, sigma, name)
        together = first is None
        out = weight.new_empty(*(weight.shape[:2] if together else weight.shape), width)
        for rows, distance in _distances(delay, first, width):
            height = _height(distance, sigma, name)
            height *= (weight[rows] / (height.sum(-1) + NORMALIZATION)).unsqueeze(-1)
            if together:
                torch.sum(height, 2, out=out[rows])
            else:
                out[rows] = height
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None, None, None]:
        weight, delay, first = ctx.saved_tensors
        width, sigma, name = ctx.bump
        grad_weight = torch.empty_like(weight)
        grad_delay = torch.empty_like(delay) if ctx.needs_input_grad[1] else None
        for rows, distance in _distances(delay, first, width):
            grad_rows = grad[rows].unsqueeze(2) if first is None else grad[rows]
            height = _height(distance, sigma, name)
            slope = None if grad_delay is None else _slope(height, distance, sigma, name)
            norm = height.sum(-1) + NORMALIZATION
            by_weight = height.mul_(grad_rows).sum(-1) / norm
            grad_weight[rows] = by_weight
            if grad_delay is not None and slope is not None:
                turning = slope.sum(-1)
                by_delay = slope.mul_(grad_rows).sum(-1) - by_weight * turning
                grad_delay[rows] = weight[rows] / norm * by_delay
        return grad_weight, grad_delay, None, None, None, None


def _distances(delay: Tensor, first: Tensor | None, width: int) -> Iterator[tuple[slice, Tensor]]:
    """Rows of outputs, a few at a time, with j - d for each of their taps' steps."""
    steps = torch.arange(width, dtype=delay.dtype, device=delay.device)
    n_out, n_in, taps = delay.shape
    at_a_time = _AT_A_TIME.get(delay.device.type, _AT_A_TIME_ELSEWHERE)
    height = max(1, at_a_time // (n_in * taps * width))
    for start in range(0, n_out, height):
        rows = slice(start, start + height)
        offset = delay[rows] if first is None else delay[rows] - first[rows]
        yield rows, steps - offset.unsqueeze(-1)


def kernel(weight: Tensor, delay: Tensor, sigma: float, size: int, interpolation: str) -> Tensor:
    """Training kernels: weight, delay (n_out, n_in, taps) to (n_out, n_in, size). Delays in steps, 0..size - 1."""
    return _Taps.apply(weight, delay, None, size, sigma, interpolation)


def windows(
    weight: Tensor, delay: Tensor, sigma: float, size: int, interpolation: str, discarded: float
) -> tuple[Tensor, Tensor]:
    """The same kernels where they are not negligible: (taps (n_out, n_in, taps, width), start (n_out, n_in, taps)).

    Each tap loses at most `discarded` of its mass at either side, and what is left is scaled to a sum of 1. The
    gradients of weights and delays are those of the window.
    """
    reach = half_width(sigma, interpolation, discarded)
    width = min(size, window_width(sigma, interpolation, discarded))
    start = (delay.detach() - reach).ceil().clamp_(0, size - width)
    return _Taps.apply(weight, delay, start, width, sigma, interpolation), start.long()


def window_width(sigma: float, interpolation: str, discarded: float) -> int:
    """Steps of a window: as many integers as two half widths can hold."""
    return math.floor(2 * half_width(sigma, interpolation, discarded)) + 1


def single_taps(weight: Tensor, delay: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Rounded delays as windows of one tap; gradients reach the weights only."""
    return weight.unsqueeze(-1), delay.detach().round().clamp(0, size - 1).long()


def single_tap_kernel(weight: Tensor, delay: Tensor, size: int) -> Tensor:
    """Rounded kernels: each tap is its weight, exactly, at its rounded delay; gradients reach the weights only."""
    _, rounded = single_taps(weight, delay, size)
    return weight.new_zeros(*weight.shape[:2], size).scatter_add(2, rounded, weight)
