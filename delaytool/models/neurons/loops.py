"""What a device must offer to run neurons over time."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

from torch import Tensor

from delaytool.contract.bounds import DECAY_UNITY, STATE_SHIFT
from delaytool.models.convolution import Windows


class LifConstants(NamedTuple):
    """What the neurons of a layer have in common.

    leak              what a step leaves of the membrane, 1 - 1/tau; a tensor of no dimensions where tau is learned
    alpha             sharpness of the surrogate gradient
    adaptation        what a spike adds to the threshold from the next step on; 0: nothing
    adaptation_leak   what a step leaves of that
    current_leak      what a step leaves of the recurrent current
    """

    leak: float | Tensor
    threshold: float
    alpha: float
    detach_reset: bool
    adaptation: float = 0.0
    adaptation_leak: float = 0.0
    current_leak: float = 0.0

    @property
    def slope_at_threshold(self) -> float:
        return self.alpha / 2

    @property
    def sharpness(self) -> float:
        return math.pi / 2 * self.alpha


class IntegerLifConstants(NamedTuple):
    """What the integer contract's neurons of a layer have in common.

    dv, threshold   as in `contract.layer.IntegerLayer`
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


class Loops(Protocol):
    """The loops over time of one kind of device. Tensors: (time, batch, neuron), contiguous; mask (batch, neuron)."""

    def lif_forward(self, x: Tensor, mask: Tensor | None, constants: LifConstants) -> tuple[Tensor, Tensor]:
        """(spikes times mask, the membrane before its reset)."""

    def lif_backward(self, grad: Tensor, v: Tensor, mask: Tensor | None, constants: LifConstants) -> Tensor:
        """The gradient to the input current; grad is that of lif_forward's spikes, v its membrane."""

    def adaptive_forward(
        self, x: Tensor, mask: Tensor | None, constants: LifConstants
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(spikes times mask, the membrane before its reset, what each neuron's spikes have left).

        The threshold is threshold + adaptation * left, with left[t] = adaptation_leak * left[t - 1] + spike[t - 1].
        """

    def adaptive_backward(
        self, grad: Tensor, v: Tensor, left: Tensor, mask: Tensor | None, constants: LifConstants
    ) -> Tensor:
        """The gradient to the input current, from that of adaptive_forward's spikes."""

    def recurrent_forward(
        self, x: Tensor, windows: Windows, constants: LifConstants
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """(spikes, membrane, left) of a recurrent layer; left is None without adaptation.

        Its input is x[t] + r[t], with r[t] = current_leak r[t - 1] + sum over j of K[j] spike[t - 1 - j]; the windows
        are those of K (neuron, neuron, size).
        """

    def recurrent_backward(
        self, grad: Tensor, v: Tensor, left: Tensor | None, kernel: Tensor, constants: LifConstants
    ) -> tuple[Tensor, Tensor]:
        """The gradients to x and to the sums over K; kernel is the whole K."""

    def integer_lif_forward(
        self, sums: Tensor, bias: Tensor, mask: Tensor | None, constants: IntegerLifConstants
    ) -> tuple[Tensor, Tensor]:
        """(spikes times mask, the membrane before its reset) of the integer contract's neurons.

        sums, rounded to whole numbers, are in units of the constants' `unit`; bias (neuron,) float64 in units of v.
        """

    def integrate(self, x: Tensor, leak: float | Tensor, *, backwards: bool = False) -> Tensor:
        """v[t] = leak v[t - 1] + x[t]; backwards: v[t] = leak v[t + 1] + x[t], the adjoint."""


def surrogate_gradient(distance: Tensor, alpha: float) -> Tensor:
    """Arctan surrogate: g'(u) = (alpha / 2) / (1 + (pi alpha u / 2)^2), with u = v - threshold."""
    return (alpha / 2) / (1 + (math.pi / 2 * alpha * distance) ** 2)
