"""Convolution over time as few products: y = C [(A x) (B k)], the discrete Fourier transform in real numbers.

A block of L steps through a kernel of S taps is a polynomial product, which N = L + S - 1 values at the N-th roots of
unity determine. A (rows, L) and B (rows, S) evaluate block and kernel there, C (N, rows) interpolates the product; in
between stands one matrix product over the neurons per row. Roots come in conjugate pairs, and a product of two complex
numbers takes three real ones (Gauss), so there are about 1.5 N rows: 1.5 (L + S - 1) / L products for every step,
input and output, where the plain form takes S.

Everything is a matrix product on tensors that keep time outermost, so nothing is ever permuted, and the transforms'
O(L) per value stays small beside the products because L is chosen by counting (`block_length`): long inputs are cut
into blocks whose tails overlap and add up, so the cost grows linearly with time.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

import torch
from torch import Tensor

from delaytool.models.differentiable import DifferentiableFunction


class Transform(NamedTuple):
    """A (rows, L), B (rows, S), C (L + S - 1, rows)."""

    block: Tensor
    kernel: Tensor
    back: Tensor


def n_rows(length: int, size: int) -> int:
    """Real products that a block of `length` steps and a kernel of `size` taps take: 1 per real root, 3 per pair."""
    n = length + size - 1
    pairs = (n - 1) // 2
    return n + pairs


@lru_cache(maxsize=32)
def transform(length: int, size: int, dtype: torch.dtype, device: torch.device) -> Transform:
    """The three matrices; made in float64 and rounded once."""
    n = length + size - 1
    time = torch.arange(n, dtype=torch.float64)
    pairs = torch.arange(1, (n - 1) // 2 + 1, dtype=torch.float64)
    # The angle modulo a turn is exact in integers, which keeps long transforms as accurate as short ones.
    angle = 2 * torch.pi / n * (torch.outer(pairs, time) % n)
    cos, sin = angle.cos(), angle.sin()
    real = [torch.ones(1, n, dtype=torch.float64)]
    if n % 2 == 0:
        real.append(1 - 2 * (time % 2)[None])
    into = torch.cat([*real, cos, -sin, cos - sin])
    back = torch.cat([*real, 2 * (cos + sin), 2 * (sin - cos), -2 * sin]).t() / n
    made = (into[:, :length], into[:, :size], back)
    return Transform(*(matrix.to(device, dtype).contiguous() for matrix in made))


# Multiplications that take as long as bringing one transformed value to memory and back.
MOVING = 64


def work(length: int, steps: int, size: int, batch: int, n_in: int, n_out: int) -> int:
    """Multiplications of one pass over `steps` steps in blocks of `length`, memory's time counted as such."""
    rows, blocks = n_rows(length, size), -(-steps // length)
    values = batch * ((length + MOVING) * n_in + (length + size - 1 + MOVING) * n_out)
    return rows * (blocks * (values + batch * n_in * n_out) + (size + MOVING) * n_in * n_out)


@lru_cache(maxsize=256)
def block_length(steps: int, size: int, batch: int, n_in: int, n_out: int) -> int:
    """The block length with the least work for an input of `steps` steps."""
    sizes = (steps, size, batch, n_in, n_out)
    best = steps
    for blocks in count(2):
        length = -(-steps // blocks)
        if work(length, *sizes) >= work(best, *sizes) or length == 1:
            return best
        best = length
    raise AssertionError  # count() does not end


class _Convolution(DifferentiableFunction):
    """x (time, batch, n_in), kernel (n_out, n_in, size) to (n_steps, batch, n_out); x may also be of an integer type.

    Blocks go through the products a few at a time, so that what is needed in between does not grow with time; the
    transformed input is kept for the gradient where it is one such group, and made again where it is more.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, n_steps: int) -> Tensor:
        plan = _Plan(x, kernel, n_steps)
        kernel_spectrum = plan.of_kernel(kernel)
        y = kernel.new_zeros(n_steps, plan.batch * plan.n_out)
        kept = None
        for group in plan.groups():
            spectrum = plan.of_blocks(x, group)
            product = torch.bmm(spectrum, kernel_spectrum.transpose(1, 2)).view(plan.rows, len(group), -1)
            for place, block in enumerate(group):
                y[block.reached].addmm_(plan.matrices.back[: block.n_reached], product[:, place])
            if len(group) == len(plan.blocks):
                kept = spectrum
        ctx.save_for_backward(x, kernel, kept)
        ctx.n_steps = n_steps
        return y.view(n_steps, plan.batch, plan.n_out)

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, kernel, kept = ctx.saved_tensors
        needs_x, needs_kernel, _ = ctx.needs_input_grad
        plan = _Plan(x, kernel, ctx.n_steps)
        kernel_spectrum = plan.of_kernel(kernel) if needs_x else None
        grad_x = torch.zeros_like(x, memory_format=torch.contiguous_format) if needs_x else None
        grad_kernel_spectrum = None
        grad_y = grad_y.reshape(plan.n_steps, -1)
        for group in plan.groups():
            grad_product = grad_y.new_empty(plan.rows, len(group), plan.batch * plan.n_out)
            for place, block in enumerate(group):
                back = plan.matrices.back[: block.n_reached]
                torch.mm(back.t(), grad_y[block.reached], out=grad_product[:, place])
            grad_product = grad_product.view(plan.rows, -1, plan.n_out)
            if needs_kernel:
                spectrum = plan.of_blocks(x, group) if kept is None else kept
                if grad_kernel_spectrum is None:
                    grad_kernel_spectrum = torch.bmm(grad_product.transpose(1, 2), spectrum)
                else:
                    grad_kernel_spectrum.baddbmm_(grad_product.transpose(1, 2), spectrum)
            if grad_x is not None and kernel_spectrum is not None:
                grad_spectrum = torch.bmm(grad_product, kernel_spectrum).view(plan.rows, len(group), -1)
                for place, block in enumerate(group):
                    into = plan.matrices.block[:, : block.n_steps]
                    torch.mm(into.t(), grad_spectrum[:, place], out=grad_x[block.steps].flatten(1))
        grad_kernel = None
        if grad_kernel_spectrum is not None:
            grad_kernel = (grad_kernel_spectrum.flatten(1).t() @ plan.matrices.kernel).view_as(kernel)
        return grad_x, grad_kernel, None


class _Block(NamedTuple):
    """steps: those of the input that are its own; reached: those of the output that they reach."""

    steps: slice
    reached: slice

    @property
    def n_steps(self) -> int:
        return self.steps.stop - self.steps.start

    @property
    def n_reached(self) -> int:
        return self.reached.stop - self.reached.start


class _Plan:
    """How one convolution is cut into blocks."""

    # Rows of the matrix products that are enough to keep a processor busy.
    ROWS_AT_A_TIME = 1024

    def __init__(self, x: Tensor, kernel: Tensor, n_steps: int) -> None:
        time, self.batch, self.n_in = x.shape
        self.n_out, _, size = kernel.shape
        self.n_steps = n_steps
        used = min(time, n_steps)
        length = block_length(used, size, self.batch, self.n_in, self.n_out)
        self.rows = n_rows(length, size)
        self.matrices = transform(length, size, kernel.dtype, x.device)
        self.blocks = [
            _Block(slice(start, min(start + length, used)), slice(start, min(start + length + size - 1, n_steps)))
            for start in range(0, used, length)
        ]

    def groups(self) -> list[list[_Block]]:
        """Blocks that go through the products together."""
        # A process's share of a batch may be empty: it goes through like any other.
        together = max(1, self.ROWS_AT_A_TIME // max(1, self.batch))
        return [self.blocks[first : first + together] for first in range(0, len(self.blocks), together)]

    def of_kernel(self, kernel: Tensor) -> Tensor:
        """(rows, n_out, n_in)."""
        return (self.matrices.kernel @ kernel.flatten(0, 1).t()).view(self.rows, self.n_out, self.n_in)

    def of_blocks(self, x: Tensor, group: list[_Block]) -> Tensor:
        """(rows, blocks * batch, n_in)."""
        into = self.matrices.block
        spectrum = into.new_empty(self.rows, len(group), self.batch * self.n_in)
        for place, block in enumerate(group):
            # Counts of spikes are bytes, which only here become floats, a block at a time.
            values = x[block.steps].to(into.dtype).flatten(1)
            torch.mm(into[:, : block.n_steps], values, out=spectrum[:, place])
        return spectrum.view(self.rows, -1, self.n_in)


def through_transform(x: Tensor, kernel: Tensor, n_steps: int) -> Tensor:
    """The convolution of `delayed_sum`; float32 rounds to about 1e-6 of the largest value."""
    return _Convolution.apply(x, kernel, n_steps)
