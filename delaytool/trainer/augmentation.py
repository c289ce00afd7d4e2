"""What training frames go through before the network sees them; validation and test never do."""

from __future__ import annotations

import torch
from torch import Tensor


def time_jitter(frames: Tensor, deviation: float) -> Tensor:
    """Shift every channel of every sample by its own whole number of steps, normal with `deviation` steps, rounded.

    Frames (sample, time, channel) to the same shape. What would leave the run gathers at its edge: no spike is lost.
    """
    if deviation == 0:
        return frames
    samples, steps, channels = frames.shape
    shift = torch.randn(samples, 1, channels, device=frames.device).mul_(deviation).round_().long()
    moved = (torch.arange(steps, device=frames.device)[None, :, None] + shift).clamp_(0, steps - 1)
    return torch.zeros_like(frames).scatter_add_(1, moved, frames)


def channel_dropout(frames: Tensor, probability: float) -> Tensor:
    """Silence each channel of each sample with this probability; frames (sample, time, channel) to the same shape."""
    if probability == 0:
        return frames
    kept = torch.rand(frames.shape[0], 1, frames.shape[2], device=frames.device) >= probability
    return frames * kept
