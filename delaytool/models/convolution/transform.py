"""Convolution over time as few products: y = C [(A x) (B k)], the discrete Fourier transform in real numbers.

A block of L steps through a kernel of S taps is a polynomial product, which N = L + S - 1 values at the N-th roots of
unity determine. A (rows, L) and B (rows, S) evaluate block and kernel there, C (N, rows) interpolates the product; in
between stands one matrix product over the neurons a row. Roots come in conjugate pairs, and a product of two complex
numbers takes three real ones (Gauss), so there are about 1.5 N rows: 1.5 (L + S - 1) / L products for every step,
input and output, where the plain form takes S.

Everything is a matrix product on tensors that keep time outermost, so nothing is ever permuted, and the transforms'
O(L) a value stays small beside the products because L is chosen by counting (`block_length`): long inputs are cut
into blocks whose tails overlap and add up, so the cost grows linearly with time.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import count
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx


class Transform(NamedTuple):
    """A (rows, L), B (rows, S), C (L + S - 1, rows)."""

    block: Tensor
    kernel: Tensor
    back: Tensor


def n_rows(length: int, size: int) -> int:
    """Real products that a block of `length` steps and a kernel of `size` taps take: 1 a real root, 3 a pair."""
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


@lru_cache(maxsize=256)
def block_length(steps: int, size: int, batch: int, n_in: int, n_out: int) -> int:
    """The block length with the fewest multiplications, forward and backward, for an input of `steps` steps."""

    def work(length: int) -> int:
        rows, blocks = n_rows(length, size), -(-steps // length)
        values = batch * (length * n_in + (length + size - 1) * n_out)
        return rows * (blocks * (values + batch * n_in * n_out) + size * n_in * n_out)

    best = steps
    for blocks in count(2):
        length = -(-steps // blocks)
        if work(length) >= work(best) or length == 1:
            return best
        best = length
    raise AssertionError  # count() does not end


class _Convolution(torch.autograd.Function):
    """x (time, batch, n_in), kernel (n_out, n_in, size) to (n_steps, batch, n_out); keeps only its two inputs."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, kernel: Tensor, n_steps: int) -> Tensor:
        ctx.save_for_backward(x, kernel)
        ctx.n_steps = n_steps  # type: ignore[attr-defined]
        plan = _Plan(x, kernel, n_steps)
        seen = plan.of_kernel(kernel)
        y = x.new_zeros(n_steps, plan.batch * plan.n_out)
        for steps, tail, into, back in plan.blocks():
            spectrum = plan.of_block(x[steps], into)
            product = torch.bmm(spectrum, seen.transpose(1, 2)).flatten(1)
            y[tail].addmm_(back, product)
        return y.view(n_steps, plan.batch, plan.n_out)

    @staticmethod
    def backward(ctx: FunctionCtx, grad_y: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # type: ignore[override]
        x, kernel = ctx.saved_tensors  # type: ignore[attr-defined]
        needs_x, needs_kernel, _ = ctx.needs_input_grad  # type: ignore[attr-defined]
        plan = _Plan(x, kernel, ctx.n_steps)  # type: ignore[attr-defined]
        seen = plan.of_kernel(kernel) if needs_x else None
        grad_x = torch.zeros_like(x, memory_format=torch.contiguous_format) if needs_x else None
        grad_seen = None
        grad_y = grad_y.reshape(plan.n_steps, -1)
        for steps, tail, into, back in plan.blocks():
            grad_product = (back.t() @ grad_y[tail]).view(plan.rows, plan.batch, plan.n_out)
            if needs_kernel:
                spectrum = plan.of_block(x[steps], into)
                if grad_seen is None:
                    grad_seen = torch.bmm(grad_product.transpose(1, 2), spectrum)
                else:
                    grad_seen.baddbmm_(grad_product.transpose(1, 2), spectrum)
            if grad_x is not None and seen is not None:
                grad_spectrum = torch.bmm(grad_product, seen).flatten(1)
                torch.mm(into.t(), grad_spectrum, out=grad_x[steps].flatten(1))
        grad_kernel = None
        if grad_seen is not None:
            grad_kernel = (grad_seen.flatten(1).t() @ plan.matrices.kernel).view_as(kernel)
        return grad_x, grad_kernel, None


class _Plan:
    """How one convolution is cut into blocks."""

    def __init__(self, x: Tensor, kernel: Tensor, n_steps: int) -> None:
        time, self.batch, self.n_in = x.shape
        self.n_out, _, self.size = kernel.shape
        self.n_steps = n_steps
        self.used = min(time, n_steps)
        self.length = block_length(self.used, self.size, self.batch, self.n_in, self.n_out)
        self.rows = n_rows(self.length, self.size)
        self.matrices = transform(self.length, self.size, x.dtype, x.device)

    def of_kernel(self, kernel: Tensor) -> Tensor:
        """(rows, n_out, n_in)."""
        return (self.matrices.kernel @ kernel.flatten(0, 1).t()).view(self.rows, self.n_out, self.n_in)

    def of_block(self, x: Tensor, into: Tensor) -> Tensor:
        """(rows, batch, n_in)."""
        return (into @ x.flatten(1)).view(self.rows, self.batch, self.n_in)

    def blocks(self) -> list[tuple[slice, slice, Tensor, Tensor]]:
        """(steps of the input, steps of the output that they reach, A, C), the last block's matrices cut to fit."""
        into, _, back = self.matrices
        result = []
        for start in range(0, self.used, self.length):
            steps = slice(start, min(start + self.length, self.used))
            tail = slice(start, min(start + self.length + self.size - 1, self.n_steps))
            result.append((steps, tail, into[:, : steps.stop - start], back[: tail.stop - start]))
        return result


def through_transform(x: Tensor, kernel: Tensor, n_steps: int) -> Tensor:
    """The convolution of `delayed_sum`; float32 rounds to about 1e-6 of the largest value."""
    return _Convolution.apply(x, kernel, n_steps)  # type: ignore[return-value]
