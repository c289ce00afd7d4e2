"""A target for firing rates: hidden neurons that spike less or more than a band allows are pulled back into it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from delaytool.quantization.integer_training import TrainedNetwork
from delaytool.trainer.parallel import Team


class TracedNetwork(nn.Module):
    """A network that returns its hidden spikes beside the readout's membrane, as `DelayNetwork.traced` does.

    As a module of its own, so that several processes can share it: they join what a module's forward pass returns.
    """

    def __init__(self, network: TrainedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> tuple[list[Tensor], Tensor]:
        return self.network.traced(frames)


def firing_rates(spikes: Sequence[Tensor], samples: int, team: Team) -> Tensor:
    """Mean spikes per sample of every hidden neuron, (neurons of all layers,), over the batch of all processes.

    spikes are this process's share of the batch, one (time, batch, neuron) per layer; samples is the whole batch's
    number. The gradient is that of this process's share.
    """
    own = torch.cat([layer.sum((0, 1)) for layer in spikes]) / samples
    everyone = team.sum(own.detach().clone())
    return own + (everyone - own.detach())


def rate_penalty(rates: Tensor, lower: float, upper: float) -> Tensor:
    """Mean over all neurons of the squared distance of their rate from lower..upper, in spikes per sample squared.

        mean_j (max(0, lower - r_j)^2 + max(0, r_j - upper)^2)

    After Zenke and Vogels 2021 (Neural Computation 33:899), who have one term for each bound.

    >>> rate_penalty(torch.tensor([0.0, 3.0, 4.0, 12.0]), 1.0, 10.0).item()  # (1 + 0 + 0 + 4) / 4
    1.25
    """
    return ((lower - rates).clamp(min=0) ** 2 + (rates - upper).clamp(min=0) ** 2).mean()
