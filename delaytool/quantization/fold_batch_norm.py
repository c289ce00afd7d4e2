"""Batch norm at rest is a factor and an offset per neuron: they go into weights and bias."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from delaytool.quantization.program import BatchNorm, FloatLayer, Program


def folded(weight: Tensor, bias: Tensor, norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """gamma (w x + b - mean) / sqrt(variance + eps) + beta, as one weight (n_out, ...) and one bias (n_out,)."""
    factor = norm.gamma / torch.sqrt(norm.variance + norm.eps)
    spread = factor.reshape(-1, *[1] * (weight.dim() - 1))
    return weight * spread, (bias - norm.mean) * factor + norm.beta


def fold_batch_norm(program: Program) -> Program:
    """gamma (w x + b - mean) / sqrt(variance + eps) + beta, as one weight and one bias."""
    return replace(program, layers=tuple(_folded(layer) for layer in program.layers))


def _folded(layer: FloatLayer) -> FloatLayer:
    norm = layer.batch_norm
    if norm is None:
        return layer
    weight, bias = folded(torch.from_numpy(layer.weight), torch.from_numpy(layer.bias), norm)
    return replace(layer, weight=weight.numpy(), bias=bias.numpy(), batch_norm=None)
