"""Kernels over time with one bump per tap: how a continuous delay gets a gradient (DCLS, arXiv 2306.17670).

A tap of weight w and delay d is spread over the integer delays j = 0..size-1 as w * K[j]. The definitions are
those of the package dcls 0.1.1, written in delays rather than in its positions: d = size // 2 - P.
"""

from __future__ import annotations

import torch
from torch import Tensor

SIGMA_OFFSET = 0.27  # dcls adds it to |sigma|, so that the width never reaches zero
NORMALISATION = 1e-7
# Below this a tap carries nothing, but denormal numbers would make the convolution 7 to 9 times slower.
NEGLIGIBLE = 1e-30


def spread(delay: Tensor, sigma: Tensor | float, size: int, interpolation: str) -> Tensor:
    """The share of each tap that falls on each integer delay.

    delay   (..., ) in steps, within 0..size - 1
    sigma   width parameter in steps, a scalar
    Returns (..., size), summing to 1 over the last axis but for NORMALISATION.

    'gauss'      exp(-((j - d) / (|sigma| + 0.27))^2 / 2)
    'triangle'   max(0, 1 - |j - d|): linear between the two neighbours (dcls 'v1'), sigma unused
    'max'        max(0, 1 + |sigma| - |j - d|)
    """
    steps = torch.arange(size, dtype=delay.dtype, device=delay.device)
    distance = steps - delay.unsqueeze(-1)
    sigma = torch.as_tensor(sigma, dtype=delay.dtype, device=delay.device).abs()
    if interpolation == "gauss":
        bump = torch.exp(-0.5 * (distance / (sigma + SIGMA_OFFSET)) ** 2)
        bump = torch.where(bump < NEGLIGIBLE, 0.0, bump)
    elif interpolation == "triangle":
        bump = torch.relu(1.0 - distance.abs())
    elif interpolation == "max":
        bump = torch.relu(1.0 + sigma - distance.abs())
    else:
        raise ValueError(f"interpolation {interpolation!r} is unknown; choose 'gauss', 'triangle' or 'max'")
    return bump / (bump.sum(-1, keepdim=True) + NORMALISATION)


def kernel(weight: Tensor, delay: Tensor, sigma: Tensor | float, size: int, interpolation: str) -> Tensor:
    """Training kernels: weight, delay (n_out, n_in, taps) to (n_out, n_in, size)."""
    return (weight.unsqueeze(-1) * spread(delay, sigma, size, interpolation)).sum(2)


def single_tap_kernel(weight: Tensor, delay: Tensor, size: int) -> Tensor:
    """Rounded kernels: each tap is its weight, exactly, at its rounded delay; gradients reach the weights only."""
    rounded = delay.detach().round().clamp(0, size - 1).long()
    return weight.new_zeros(*weight.shape[:2], size).scatter_add(2, rounded, weight)
