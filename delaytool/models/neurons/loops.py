"""What a device must offer to run neurons over time, and which implementation a tensor gets."""

from __future__ import annotations

import importlib
import importlib.util
import math
from functools import cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class LifConstants(NamedTuple):
    """leak: what a step leaves of the membrane, 1 - 1/tau; alpha: sharpness of the surrogate gradient."""

    leak: float
    threshold: float
    alpha: float
    detach_reset: bool

    @property
    def slope_at_threshold(self) -> float:
        return self.alpha / 2

    @property
    def sharpness(self) -> float:
        return math.pi / 2 * self.alpha


class Loops(Protocol):
    """The loops over time of one kind of device. Tensors: (time, batch, neuron), contiguous; mask (batch, neuron)."""

    def lif_forward(self, x: Tensor, mask: Tensor | None, constants: LifConstants) -> tuple[Tensor, Tensor]:
        """(spikes times mask, the membrane before its reset)."""

    def lif_backward(self, grad: Tensor, v: Tensor, mask: Tensor | None, constants: LifConstants) -> Tensor:
        """The gradient to the input current; grad is that of lif_forward's spikes, v its membrane."""

    def integrate(self, x: Tensor, leak: float, *, backwards: bool = False) -> Tensor:
        """v[t] = leak v[t - 1] + x[t]; backwards: v[t] = leak v[t + 1] + x[t], the adjoint."""


def surrogate_gradient(distance: Tensor, alpha: float) -> Tensor:
    """Arctan surrogate: g'(u) = (alpha / 2) / (1 + (pi alpha u / 2)^2), with u = v - threshold."""
    return (alpha / 2) / (1 + (math.pi / 2 * alpha * distance) ** 2)


def loops_for(tensor: Tensor) -> Loops:
    """The fastest implementation that the tensor's device and type have."""
    floating = tensor.dtype in (torch.float32, torch.float64)
    return _implementation(tensor.device.type if floating else "any")


@cache
def _implementation(device: str) -> Loops:
    name = "stepwise"
    if device == "cpu":
        name = "compiled"
    elif device == "cuda" and importlib.util.find_spec("triton") is not None:
        name = "triton_loops"
    module: Loops = importlib.import_module(f"delaytool.models.neurons.{name}")  # type: ignore[assignment]
    return module
