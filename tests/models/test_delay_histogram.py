"""Delay histograms against a count synapse by synapse."""

from __future__ import annotations

import pytest
import torch

from delaytool.models.delay_histogram import delay_histogram
from delaytool.models.delayed_linear import DelayedLinear


@pytest.mark.parametrize("taps", [1, 3])
def test_every_synapse_counts_once_on_each_delay_that_it_has(taps: int) -> None:
    torch.manual_seed(taps)
    layer = DelayedLinear(7, 5, max_delay=4, taps=taps)
    with torch.no_grad():
        layer.weight[torch.rand_like(layer.weight) < 0.3] = 0.0
    expected = [0] * 5
    for weights, delays in zip(layer.weight.flatten(0, 1).tolist(), layer.delay.flatten(0, 1).tolist(), strict=True):
        for delay in {round(delay) for weight, delay in zip(weights, delays, strict=True) if weight != 0.0}:
            expected[delay] += 1
    assert delay_histogram(layer) == expected
