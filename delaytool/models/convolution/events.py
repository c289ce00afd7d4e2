"""Event-driven convolution on the CPU: work for every spike, none for silence."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from delaytool.models.convolution.choice import COMPILED_TYPES, events_are_cheaper
from delaytool.models.convolution.event_kernels import backward_loop, forward_loop, laid_out_width
from delaytool.models.convolution.transform import through_transform
from delaytool.models.differentiable import DifferentiableFunction
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
        room = self.size + self.taps.shape[-1]
        kernels = self.taps.new_zeros(*self.taps.shape[:2], room)
        return kernels.scatter_add(2, self.places().flatten(2), self.taps.flatten(2))[..., : self.size]

    def places(self) -> Tensor:
        """The delay of every tap, as `taps`."""
        return self.start.unsqueeze(-1) + torch.arange(self.taps.shape[-1], device=self.start.device)


def whole(kernel: Tensor) -> Windows:
    """Kernels (n_out, n_in, size) as one window each."""
    return Windows(kernel.unsqueeze(2), kernel.new_zeros(*kernel.shape[:2], 1, dtype=torch.long), kernel.shape[-1])


class _EventConvolution(DifferentiableFunction):
    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, start: Tensor, size: int, n_steps: int) -> Tensor:
        by_input, starts, slack = prepared(taps, start)
        y = x.new_empty(n_steps, x.shape[1], taps.shape[0])
        use_as_many_threads_as_torch()
        forward_loop(by_input.shape[-1])(_array(x), by_input, starts, _array(y), slack)
        ctx.save_for_backward(x, taps, start)
        ctx.size = size
        return y

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        x, taps, start = ctx.saved_tensors
        size = ctx.size
        needs_x, needs_taps, *_ = ctx.needs_input_grad
        grad_x = grad_taps = None
        if needs_taps:
            grad_taps = _gathered(x, grad_y, Windows(taps, start, size))
        if needs_x:
            # The gradient to the input is wanted in silence too, so nothing is sparse about it.
            kernel = Windows(taps, start, size).kernel()
            grad_x = _to_input(grad_y, kernel, x.shape[0])
        return grad_x, grad_taps, None, None, None


def prepared(taps: Tensor, start: Tensor) -> tuple[np.ndarray, np.ndarray, int]:
    """(taps by input (n_in, n_out, m, padded width), starts likewise, int32, slack): what compiled loops read."""
    by_input, starts, slack = _laid_out(taps, start)
    by_input[..., : taps.shape[-1]] = taps.detach().transpose(0, 1)
    return _array(by_input), starts, slack


def _laid_out(taps: Tensor, start: Tensor) -> tuple[Tensor, np.ndarray, int]:
    """As `prepared`, with zeros for the taps."""
    n_out, n_in, per_synapse, width = taps.shape
    padded = laid_out_width(width)
    starts = start.transpose(0, 1).to(torch.int32)
    return taps.new_zeros(n_in, n_out, per_synapse, padded), _array(starts), int(start.max()) + padded


def taps_gradient(x: Tensor, grad_y: Tensor, windows: Windows) -> Tensor:
    """The gradient to the windows' taps from that of the convolution's output.

    x (time, batch, n_in), grad_y (n_steps, batch, n_out). Products over all of x, tap by tap, or, on a CPU where
    that is less, work for what is not zero in x.
    """
    if x.device.type == "cpu" and x.dtype in COMPILED_TYPES:
        rows, spikes = x[..., 0].numel(), int(torch.count_nonzero(x))
        if events_are_cheaper(spikes, rows, windows.size, windows.taps.shape, windows.size):
            return _gathered(x, grad_y, windows)
    grad_kernel = x.new_zeros(*windows.taps.shape[:2], windows.size)
    for delay in range(min(windows.size, len(grad_y))):
        reached = min(len(x), len(grad_y) - delay)
        grad_kernel[..., delay] = grad_y[delay : delay + reached].flatten(0, 1).t() @ x[:reached].flatten(0, 1)
    room = functional.pad(grad_kernel, (0, windows.taps.shape[-1]))  # a window may reach beyond the kernel
    return room.gather(2, windows.places().flatten(2)).view_as(windows.taps)


def _gathered(x: Tensor, grad_y: Tensor, windows: Windows) -> Tensor:
    steps, batch, n_out = grad_y.shape
    by_input, starts, slack = _laid_out(windows.taps, windows.start)
    last = min(x.shape[0], steps)
    grad = grad_y.new_zeros(batch, n_out, last + slack)
    reached = min(steps, last + slack)
    grad[..., :reached] = grad_y[:reached].permute(1, 2, 0)
    use_as_many_threads_as_torch()
    share = max(1, min(32, -(-len(by_input) // torch.get_num_threads())))
    backward_loop(by_input.shape[-1])(_array(x), _array(grad), starts, _array(by_input), last, share)
    return by_input[..., : windows.taps.shape[-1]].transpose(0, 1)


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
    return _EventConvolution.apply(x, *windows, n_steps)
