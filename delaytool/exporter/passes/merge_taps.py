"""Taps of one synapse that fall on one delay are one tap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from delaytool.exporter.program import FloatLayer, Program


def merge_taps(program: Program) -> Program:
    """Add the weights of taps with equal delays; the taps left over get weight 0 and their delay stays."""
    return replace(program, layers=tuple(_merged(layer) for layer in program.layers))


def _merged(layer: FloatLayer) -> FloatLayer:
    taps = layer.weight.shape[2]
    ordered = np.sort(layer.delay, axis=2)
    if (ordered[..., 1:] != ordered[..., :-1]).all():  # so with one tap, and with one on every delay
        return layer
    weight = layer.weight.copy()
    merged = 0
    for later in range(1, taps):
        taken = np.zeros(weight.shape[:2], bool)
        for earlier in range(later):
            same = (layer.delay[..., earlier] == layer.delay[..., later]) & ~taken
            weight[..., earlier] += np.where(same, weight[..., later], 0.0)
            taken |= same
        weight[..., later][taken] = 0.0
        merged += int(taken.sum())
    return replace(layer, weight=weight, merged_taps=merged)
