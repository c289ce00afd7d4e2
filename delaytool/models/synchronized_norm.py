"""Batch norm over the batches of several processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from delaytool.models.differentiable import DifferentiableFunction


class _SumOverProcesses(DifferentiableFunction):
    """Every process uses the sum, so what each contributed has the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total


def _sum(values: Tensor) -> Tensor:
    return _SumOverProcesses.apply(values)


class SynchronizedBatchNorm(nn.BatchNorm1d):
    """BatchNorm1d whose training statistics are those of all processes' values together, on any device.

    (PyTorch's SyncBatchNorm runs on GPUs only.) Input (values, channel), where the number of values may differ from
    process to process. Parameters and buffers are BatchNorm1d's, so checkpoints are interchangeable.
    """

    @staticmethod
    def of(norm: nn.BatchNorm1d) -> SynchronizedBatchNorm:
        """The same parameters and buffers, not copies, so that an optimizer that holds them goes on with them."""
        made = SynchronizedBatchNorm(norm.num_features, eps=norm.eps, momentum=norm.momentum)
        made.weight, made.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            setattr(made, name, buffer)
        return made

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        count = input.new_tensor([float(len(input))])
        sums = _sum(torch.cat([input.sum(0), count]))
        total, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
        # In two passes, as batch norm on one device does it: the difference of squares would lose digits.
        variance = _sum((input - mean).square().sum(0)) / total
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            # Without a momentum they are the mean over all batches, as PyTorch has it.
            momentum = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * total / (total - 1), momentum)
        return (input - mean) * torch.rsqrt(variance + self.eps) * self.weight + self.bias
