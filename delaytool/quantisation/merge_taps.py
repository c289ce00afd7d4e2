"""Taps of one synapse that fall on one delay are one tap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from delaytool.models.grid import merged_taps
from delaytool.quantisation.program import FloatLayer, Program


def merge_taps(program: Program) -> Program:
    """Add the weights of taps with equal delays; the taps left over get weight 0 and their delay stays."""
    return replace(program, layers=tuple(_merged(layer) for layer in program.layers))


def _merged(layer: FloatLayer) -> FloatLayer:
    ordered = np.sort(layer.delay, axis=2)
    if (ordered[..., 1:] != ordered[..., :-1]).all():  # so with one tap, and with one on every delay
        return layer
    weight = merged_taps(torch.from_numpy(layer.weight), torch.from_numpy(layer.delay))[0].numpy()
    fewer = np.count_nonzero(layer.weight) - np.count_nonzero(weight)
    return replace(layer, weight=weight, merged_taps=int(fewer))
