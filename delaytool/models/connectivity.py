"""Which taps exist: drawn once and for all, or rewired while training (`trainer.rewiring`).

A rewired tap has a fixed sign s and a connectivity theta >= 0; its weight is w = s theta, and it exists where
theta > 0. What is stored is w: as s is +1 or -1, w and theta hold the same, Adam moves both alike, bit for bit, and the
gradient by theta is s times that by w.
"""

from __future__ import annotations

import torch
from torch import Tensor


def n_connections(n_taps: int, sparsity: float) -> int:
    """How many of a layer's taps exist: the share 1 - sparsity of them, and at least one."""
    return max(1, round((1.0 - sparsity) * n_taps))


def draw_mask(like: Tensor, n_existing: int) -> Tensor:
    """Exactly n_existing True of like's shape, at places drawn uniformly."""
    chosen = torch.randperm(like.numel(), device=like.device)[:n_existing]
    mask = torch.zeros(like.numel(), dtype=torch.bool, device=like.device)
    mask[chosen] = True
    return mask.view_as(like)


def draw_signs(like: Tensor, dale: bool) -> Tensor:
    """+1 or -1, evenly, for (n_out, n_in, taps); dale: one for all taps of a presynaptic neuron."""
    shape = (1, like.shape[1], 1) if dale else like.shape
    return (torch.randint(0, 2, shape, device=like.device) * 2 - 1).to(like.dtype).expand_as(like)


def distinct_delays(like: Tensor, size: int) -> Tensor:
    """(n_out, n_in, taps) whole delays, uniform over 0..size - 1 and different within a synapse; taps <= size."""
    places = torch.rand(*like.shape[:2], size, device=like.device).argsort(-1)
    return places[..., : like.shape[2]].to(like.dtype)


def connected(weight: Tensor, exists: Tensor, dense_gradient: bool) -> Tensor:
    """The weights where taps exist, 0 elsewhere.

    dense_gradient: a tap that does not exist gets the gradient that its weight would have at 0, which
    rewiring by gradient needs; else it gets none.
    """
    masked = torch.where(exists, weight, 0.0)
    return weight + (masked - weight).detach() if dense_gradient else masked
