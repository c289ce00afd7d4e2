"""How many synapses have which delay."""

from __future__ import annotations

import torch

from delaytool.models.delayed_linear import DelayedLinear


@torch.no_grad()
def delay_histogram(layer: DelayedLinear) -> list[int]:
    """Synapses of nonzero weight on each whole delay 0..max_delay, delays rounded as the network is evaluated.

    Taps of one synapse that round to one delay count once, as they do on the chip.
    """
    return torch.count_nonzero(layer.kernel(None), dim=(0, 1)).tolist()
