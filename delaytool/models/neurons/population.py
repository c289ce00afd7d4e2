"""The neurons of one layer, as the recipe has them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from delaytool.models.config import ModelConfig
from delaytool.models.convolution import Windows
from delaytool.models.neurons.integrate_and_fire import leak_of, leaky_integrator, spiking
from delaytool.models.neurons.loops import LifConstants


class Population(nn.Module):
    """What a layer's neurons have of their own: with neuron 'plif' the membrane's time constant.

    decay   a, where it is learned: 1 / tau = sigmoid(a) (Fang et al. 2021, arXiv 2007.05785), so tau = 1 + exp(-a)
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        learned = config.neuron == "plif"
        self.decay = nn.Parameter(torch.tensor(-math.log(config.tau - 1.0))) if learned else None

    @property
    def tau(self) -> float | Tensor:
        """Of the membrane, in steps; a tensor of no dimensions where it is learned."""
        return self.config.tau if self.decay is None else 1.0 + torch.exp(-self.decay)

    @property
    def constants(self) -> LifConstants:
        config = self.config
        adaptive = config.neuron == "adaptive"
        return LifConstants(
            leak=leak_of(self.tau),
            threshold=config.threshold,
            alpha=config.surrogate_alpha,
            detach_reset=config.detach_reset,
            adaptation=config.adaptation if adaptive else 0.0,
            adaptation_leak=leak_of(config.tau_adaptation) if adaptive else 0.0,
            current_leak=leak_of(config.current_tau),
        )

    def forward(self, current: Tensor, mask: Tensor | None = None, recurrent: Windows | None = None) -> Tensor:
        """Currents (time, batch, neuron) to spikes of the same shape; see `spiking`."""
        return spiking(current, self.constants, mask, recurrent)

    def membrane(self, current: Tensor) -> Tensor:
        """Currents (time, batch, neuron) to membranes, as if nothing ever fired: the readout."""
        return leaky_integrator(current, self.tau)
