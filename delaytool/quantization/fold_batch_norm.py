"""Batch norm at rest is a factor and an offset per neuron: they go into weights and bias."""

from __future__ import annotations

from dataclasses import replace

import torch

from delaytool.quantization.program import FloatLayer, Program
from delaytool.quantization.scales import Normalization, folded


def fold_batch_norm(program: Program) -> Program:
    """gamma (w x + b - mean) / sqrt(variance + eps) + beta, as one weight and one bias."""
    return replace(program, layers=tuple(_folded(layer) for layer in program.layers))


def _folded(layer: FloatLayer) -> FloatLayer:
    norm = layer.batch_norm
    if norm is None:
        return layer
    at_rest = Normalization(
        gamma=torch.from_numpy(norm.gamma),
        beta=torch.from_numpy(norm.beta),
        mean=torch.from_numpy(norm.mean),
        variance=torch.from_numpy(norm.variance),
        eps=norm.eps,
    )
    weight, bias = folded(torch.from_numpy(layer.weight), torch.from_numpy(layer.bias), at_rest)
    return replace(layer, weight=weight.numpy(), bias=bias.numpy(), batch_norm=None)
