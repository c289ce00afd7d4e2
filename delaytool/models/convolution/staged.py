"""The convolution of `transform.py` by transforms in two stages (`two_stages.py`), for GPUs.

There, transforms are bound by memory rather than by arithmetic, so that blocks can be long, up to all of time, which
takes the fewest products over the neurons. Input channels go through a few at a time, because the transforms of the
kernels and of the input are larger than they are; nothing but input and kernels is kept for the gradient.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import count
from typing import Any

import torch
from torch import Tensor

from delaytool.models.convolution import two_stages
from delaytool.models.differentiable import DifferentiableFunction

# Multiplications that take as long as bringing a value to memory and back: of float32, and of TF32 on tensor cores.
MOVING = {"highest": 64, "high": 256, "medium": 256}
# Times that a transform in two stages brings each of its values to memory and back: padded, between, as rows.
MOVES = 3.25
CHUNK_BYTES = 2**28  # of the transform of some channels


def work(blocks: int, steps: int, size: int, batch: int, n_in: int, n_out: int, moving: int) -> float:
    """Multiplications of one pass over `steps` steps in so many blocks, memory's time counted as such."""
    sizes = two_stages.sizes_for(-(-steps // blocks) + size - 1)
    values = sizes.n1 * sizes.n2 * (blocks * batch * (n_in + n_out) + n_in * n_out)
    return sizes.rows * blocks * batch * n_in * n_out + values * (sizes.work + MOVES * moving)


@lru_cache(maxsize=256)
def n_blocks(steps: int, size: int, batch: int, n_in: int, n_out: int, moving: int) -> int:
    """The number of blocks with the least work."""
    best, least = 1, work(1, steps, size, batch, n_in, n_out, moving)
    for blocks in count(2):
        if blocks > steps or blocks > best + 4:
            return best
        counted = work(blocks, steps, size, batch, n_in, n_out, moving)
        if counted < least:
            best, least = blocks, counted
    raise AssertionError  # count() does not end


class _Plan:
    """How one convolution is cut into blocks of steps and into chunks of input channels."""

    def __init__(self, x: Tensor, kernel_shape: torch.Size, n_steps: int, dtype: torch.dtype) -> None:
        time, self.batch, self.n_in = x.shape
        self.n_out, _, self.size = kernel_shape
        self.dtype, self.device, self.n_steps = dtype, x.device, n_steps
        self.used = min(time, n_steps)
        moving = MOVING[torch.get_float32_matmul_precision()]
        self.blocks = n_blocks(self.used, self.size, self.batch, self.n_in, self.n_out, moving)
        self.length = -(-self.used // self.blocks)
        self.blocks = -(-self.used // self.length)
        self.sizes = two_stages.sizes_for(self.length + self.size - 1)
        wide = self.sizes.rows * max(self.blocks * self.batch, self.n_out) * dtype.itemsize
        self.at_a_time = max(1, CHUNK_BYTES // wide)

    def chunks(self) -> list[slice]:
        """Channels that go through together."""
        return [slice(first, min(first + self.at_a_time, self.n_in)) for first in range(0, self.n_in, self.at_a_time)]

    def input_steps(self, block: int) -> slice:
        return slice(block * self.length, min((block + 1) * self.length, self.used))

    def reached_steps(self, block: int) -> slice:
        """Of the output."""
        return slice(block * self.length, min((block + 1) * self.length + self.size - 1, self.n_steps))

    def _zeros(self, steps: int, *columns: int) -> Tensor:
        padded = two_stages.padded_steps(steps, self.sizes)
        return torch.zeros(padded, *columns, dtype=self.dtype, device=self.device)

    def rows_of_input(self, x: Tensor, chunk: slice) -> Tensor:
        """(rows, block * batch, channel of the chunk)."""
        channels = chunk.stop - chunk.start
        values = self._zeros(self.length, self.blocks, self.batch, channels)
        for block in range(self.blocks):
            steps = self.input_steps(block)
            values[: steps.stop - steps.start, block] = x[steps, :, chunk]
        return two_stages.to_rows(values.flatten(1), self.sizes).view(
            self.sizes.rows, self.blocks * self.batch, channels
        )

    def rows_of_kernel(self, kernel: Tensor, chunk: slice) -> Tensor:
        """(rows, n_out, channel of the chunk)."""
        channels = chunk.stop - chunk.start
        values = self._zeros(self.size, self.n_out, channels)
        values[: self.size] = kernel[:, chunk].permute(2, 0, 1)
        return two_stages.to_rows(values.flatten(1), self.sizes).view(self.sizes.rows, self.n_out, channels)

    def output_of(self, product: Tensor) -> Tensor:
        """(rows, block * batch, n_out) to (n_steps, batch, n_out)."""
        reach = self.length + self.size - 1
        parts = two_stages.to_steps(product.flatten(1), min(reach, self.n_steps), self.sizes)
        parts = parts.view(len(parts), self.blocks, self.batch, self.n_out)
        if self.blocks == 1 and self.n_steps <= reach:
            return parts[: self.n_steps, 0]
        y = product.new_zeros(self.n_steps, self.batch, self.n_out)
        for block in range(self.blocks):
            steps = self.reached_steps(block)
            y[steps] += parts[: steps.stop - steps.start, block]
        return y

    def rows_of_output_gradient(self, grad: Tensor) -> Tensor:
        """(n_steps, batch, n_out) to (rows, block * batch, n_out)."""
        reach = min(self.length + self.size - 1, self.n_steps)
        values = self._zeros(reach, self.blocks, self.batch, self.n_out)
        for block in range(self.blocks):
            steps = self.reached_steps(block)
            values[: steps.stop - steps.start, block] = grad[steps]
        rows = two_stages.to_rows(values.flatten(1), self.sizes, of_back=True)
        return rows.view(self.sizes.rows, self.blocks * self.batch, self.n_out)


class _StagedConvolution(DifferentiableFunction):
    """x (time, batch, n_in), kernel (n_out, n_in, size) to (n_steps, batch, n_out)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, n_steps: int) -> Tensor:
        plan = _Plan(x, kernel.shape, n_steps, kernel.dtype)
        product = None
        for chunk in plan.chunks():
            of_input, of_kernel = plan.rows_of_input(x, chunk), plan.rows_of_kernel(kernel, chunk).transpose(1, 2)
            if product is None:
                product = torch.bmm(of_input, of_kernel)
            else:
                product.baddbmm_(of_input, of_kernel)
            del of_input, of_kernel
        assert product is not None
        ctx.save_for_backward(x, kernel if ctx.needs_input_grad[0] else None)
        ctx.kernel_shape, ctx.kernel_dtype, ctx.n_steps = kernel.shape, kernel.dtype, n_steps
        return plan.output_of(product)

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, kernel = ctx.saved_tensors
        needs_x, needs_kernel, _ = ctx.needs_input_grad
        plan = _Plan(x, ctx.kernel_shape, ctx.n_steps, ctx.kernel_dtype)
        of_output = plan.rows_of_output_gradient(grad_y)
        grad_x = torch.zeros(x.shape, dtype=plan.dtype, device=x.device) if needs_x else None
        grad_kernel = grad_y.new_empty(ctx.kernel_shape) if needs_kernel else None
        for chunk in plan.chunks():
            if grad_kernel is not None:
                rows = torch.bmm(of_output.transpose(1, 2), plan.rows_of_input(x, chunk))
                steps = two_stages.to_steps(rows.flatten(1), plan.size, plan.sizes, of_into=True)[: plan.size]
                grad_kernel[:, chunk] = steps.view(plan.size, plan.n_out, -1).permute(1, 2, 0)
            if grad_x is not None:
                rows = torch.bmm(of_output, plan.rows_of_kernel(kernel, chunk))
                steps = two_stages.to_steps(rows.flatten(1), plan.length, plan.sizes, of_into=True)
                steps = steps.view(len(steps), plan.blocks, plan.batch, chunk.stop - chunk.start)
                for block in range(plan.blocks):
                    own = plan.input_steps(block)
                    grad_x[own, :, chunk] = steps[: own.stop - own.start, block]
        return grad_x, grad_kernel, None


def through_stages(x: Tensor, kernel: Tensor, n_steps: int) -> Tensor:
    """The convolution of `delayed_sum`."""
    return _StagedConvolution.apply(x, kernel, n_steps)
