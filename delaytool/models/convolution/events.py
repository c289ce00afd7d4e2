"""Event-driven convolution on the CPU: work for every spike, none for silence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from delaytool.models.convolution.event_kernels import backward_loop, forward_loop, laid_out_width
from delaytool.models.convolution.transform import through_transform
from delaytool.models.threads import use_as_many_threads_as_torch


class Windows(NamedTuple):
    """What is left of kernels that are zero, or negligible, outside a window round each delay.

    taps    (n_out, n_in, taps, width)
    start   (n_out, n_in, taps) integers: the delay of a window's first tap
    size    taps of the whole kernel
    """

    taps: Tensor
    start: Tensor
    size: int

    def kernel(self) -> Tensor:
        """The whole kernels (n_out, n_in, size) with zeros outside the windows; gradients flow back to the taps."""
        width = self.taps.shape[-1]
        room = max(self.size, int(self.start.max()) + width)
        places = self.start.unsqueeze(-1) + torch.arange(width, device=self.start.device)
        whole = self.taps.new_zeros(*self.taps.shape[:2], room)
        return whole.scatter_add(2, places.flatten(2), self.taps.flatten(2))[..., : self.size]


def whole(kernel: Tensor) -> Windows:
    """Kernels (n_out, n_in, size) as one window each."""
    return Windows(kernel.unsqueeze(2), kernel.new_zeros(*kernel.shape[:2], 1, dtype=torch.long), kernel.shape[-1])


class _EventConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, taps: Tensor, start: Tensor, size: int, n_steps: int) -> Tensor:
        n_out, n_in, per_synapse, width = taps.shape
        padded = laid_out_width(width)
        by_input = taps.new_zeros(n_in, n_out, per_synapse, padded)
        by_input[..., :width] = taps.transpose(0, 1)
        starts = start.transpose(0, 1).to(torch.int32).contiguous()
        slack = int(start.max()) + padded
        y = x.new_empty(n_steps, x.shape[1], n_out)
        use_as_many_threads_as_torch()
        forward_loop(padded)(_array(x), _array(by_input), _array(starts), _array(y), slack)
        ctx.save_for_backward(x, taps, start, starts)
        ctx.sizes = (size, slack, padded)  # type: ignore[attr-defined]
        return y

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: FunctionCtx, grad_y: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        x, taps, start, starts = ctx.saved_tensors  # type: ignore[attr-defined]
        size, slack, padded = ctx.sizes  # type: ignore[attr-defined]
        needs_x, needs_taps, *_ = ctx.needs_input_grad  # type: ignore[attr-defined]
        grad_x = grad_taps = None
        steps, batch, n_out = grad_y.shape
        if needs_taps:
            n_in, width = x.shape[2], taps.shape[-1]
            last = min(x.shape[0], steps)
            grad = grad_y.new_zeros(batch, n_out, last + slack)
            reached = min(steps, last + slack)
            grad[..., :reached] = grad_y[:reached].permute(1, 2, 0)
            by_input = taps.new_zeros(n_in, n_out, taps.shape[2], padded)
            use_as_many_threads_as_torch()
            share = max(1, min(32, -(-n_in // torch.get_num_threads())))
            backward_loop(padded)(_array(x), _array(grad), _array(starts), _array(by_input), last, share)
            grad_taps = by_input[..., :width].transpose(0, 1)
        if needs_x:
            # The gradient to the input is wanted in silence too, so nothing is sparse about it.
            kernel = Windows(taps, start, size).kernel()
            grad_x = _to_input(grad_y, kernel, x.shape[0])
        return grad_x, grad_taps, None, None, None


def _to_input(grad_y: Tensor, kernel: Tensor, time: int) -> Tensor:
    """The adjoint of the convolution: the same one, backwards in time and from outputs to inputs."""
    steps = grad_y.shape[0]
    reversed_time = through_transform(grad_y.flip(0), kernel.transpose(0, 1).contiguous(), steps).flip(0)
    if time <= steps:
        return reversed_time[:time]
    return torch.cat([reversed_time, reversed_time.new_zeros(time - steps, *reversed_time.shape[1:])])


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def through_events(x: Tensor, windows: Windows, n_steps: int) -> Tensor:
    """The convolution of `delayed_sum`, where time is spent on what is not zero in x."""
    return _EventConvolution.apply(x, *windows, n_steps)  # type: ignore[return-value]
