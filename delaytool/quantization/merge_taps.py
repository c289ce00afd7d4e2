"""Taps of one synapse that fall on one delay are one tap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from delaytool.quantization.program import FloatLayer, Program


def merged_taps(weight: Tensor, delay: Tensor) -> tuple[Tensor, Tensor]:
    """Taps (..., taps) with equal delays added up in the first of them; (weights, which taps went into another)."""
    taps = list(weight.unbind(-1))
    delays = delay.unbind(-1)
    gone = [torch.zeros_like(taps[0], dtype=torch.bool) for _ in taps]
    for later in range(1, len(taps)):
        for earlier in range(later):
            same = (delays[earlier] == delays[later]) & ~gone[later]
            taps[earlier] = taps[earlier] + torch.where(same, taps[later], 0.0)
            gone[later] = gone[later] | same
        taps[later] = torch.where(gone[later], 0.0, taps[later])
    return torch.stack(taps, -1), torch.stack(gone, -1)


def merge_taps(program: Program) -> Program:
    """Add the weights of taps with equal delays; the taps left over get weight 0 and their delay stays."""
    return replace(program, layers=tuple(_merged(layer) for layer in program.layers))


def _merged(layer: FloatLayer) -> FloatLayer:
    weight, merged = _merge(layer.weight, layer.delay)
    recurrent = layer.recurrent
    if recurrent is not None:
        within, more = _merge(recurrent.weight, recurrent.delay)
        recurrent = replace(recurrent, weight=within)
        merged += more
    return replace(layer, weight=weight, recurrent=recurrent, merged_taps=merged)


def _merge(weight: np.ndarray, delay: np.ndarray) -> tuple[np.ndarray, int]:
    """(weights, taps merged)."""
    ordered = np.sort(delay, axis=2)
    if (ordered[..., 1:] != ordered[..., :-1]).all():  # also with one tap per synapse, and with one on every delay
        return weight, 0
    merged = merged_taps(torch.from_numpy(weight), torch.from_numpy(delay))[0].numpy()
    return merged, int(np.count_nonzero(weight) - np.count_nonzero(merged))
