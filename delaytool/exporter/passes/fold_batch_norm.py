"""Batch norm at rest is a factor and an offset per neuron: they go into weights and bias."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from delaytool.exporter.program import FloatLayer, Program


def fold_batch_norm(program: Program) -> Program:
    """gamma (w x + b - mean) / sqrt(variance + eps) + beta, as one weight and one bias."""
    return replace(program, layers=tuple(_folded(layer) for layer in program.layers))


def _folded(layer: FloatLayer) -> FloatLayer:
    norm = layer.batch_norm
    if norm is None:
        return layer
    factor = norm.gamma / np.sqrt(norm.variance + norm.eps)
    return replace(
        layer,
        weight=layer.weight * factor[:, None, None],
        bias=(layer.bias - norm.mean) * factor + norm.beta,
        batch_norm=None,
    )
