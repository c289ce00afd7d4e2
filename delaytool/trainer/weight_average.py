"""The mean of the networks that the last epochs ended with (stochastic weight averaging).

P. Izmailov, D. Podoprikhin, T. Garipov, D. Vetrov, A. G. Wilson, 'Averaging Weights Leads to Wider Optima and Better
Generalization', arXiv 1803.05407. docs/training.md states what is averaged with delays, masks and integers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from delaytool.models.delay_network import DelayNetwork


class WeightAverage:
    """The mean, epoch by epoch: w <- w + (v - w) / (n + 1), v the epoch's network and n the epochs in the mean so far.

    Every parameter is averaged as it is stored: weights, delays in steps before rounding, batch norm's scale and shift,
    time constants where they are learned. Masks and signs do not change in training. Batch norm's running statistics
    are those of the latest epoch until they are taken anew (`refresh_statistics`).

    >>> from delaytool.models.config import ModelConfig
    >>> model = DelayNetwork(2, 2, ModelConfig(hidden=(1,), max_delay=4))
    >>> average = WeightAverage(model)
    >>> for delay in (1.0, 1.0, 4.0):
    ...     _ = torch.nn.init.constant_(model.readout.delay, delay)
    ...     average.add(model)
    >>> average.epochs, average.network.readout.delay.flatten().round(decimals=3).tolist()
    (3, [2.0, 2.0])
    """

    def __init__(self, model: DelayNetwork) -> None:
        self._averaged = AveragedModel(model)

    @staticmethod
    def restored(model: DelayNetwork, averaged: dict[str, Tensor], epochs: int) -> WeightAverage:
        """The mean as it was: `averaged` is the state of its network, `epochs` how many are in it."""
        average = WeightAverage(model)
        average.network.load_state_dict(averaged)
        average._averaged.n_averaged.fill_(epochs)
        return average

    @property
    def network(self) -> DelayNetwork:
        """The network of the mean; not to be trained."""
        network = self._averaged.module
        assert isinstance(network, DelayNetwork)
        return network

    @property
    def epochs(self) -> int:
        """How many epochs are in the mean."""
        return int(self._averaged.n_averaged)

    @torch.no_grad()
    def add(self, model: DelayNetwork) -> None:
        """Take in the network that an epoch ended with."""
        for layer in model.delayed_layers():
            layer.clamp_delays()  # the optimizer's last step may have left the range
        self._averaged.update_parameters(model)
