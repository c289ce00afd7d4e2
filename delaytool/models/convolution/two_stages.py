"""The discrete Fourier transform in two stages of small matrix products, for long blocks on a GPU.

With N = N1 N2, t = n1 N2 + n2 and k = k1 + N1 k2 (Cooley and Tukey 1965) a transform of N values is N2 transforms of N1
values, and for each k1 one of N2 values whose matrix also holds the twiddle factors: about N1 + 3 N2 real products per
value in place of 1.5 N. Time, or frequency, stays the outermost axis throughout, so nothing is permuted.

Rows are those of `transform`: per frequency the real part, the imaginary part and their sum, of which the product of
two transforms is taken row by row. N1 is odd, and only k1 <= (N1 - 1) / 2 are made: the others are their conjugates.
For k1 = 0 both of a pair are made, which costs a share of 1 / N1.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor


class Sizes(NamedTuple):
    """n1 is odd; n1 * n2 values at most go in and come out."""

    n1: int
    n2: int

    @property
    def groups(self) -> int:
        """The k1 that are made."""
        return (self.n1 + 1) // 2

    @property
    def rows(self) -> int:
        return 3 * self.groups * self.n2

    @property
    def work(self) -> int:
        """Real products per value."""
        return self.n1 + 1 + 3 * self.n2


class Stages(NamedTuple):
    """outer (2 groups, n1) and inner (groups, 3 n2, 2 n2) lead to frequencies; back_inner (groups, 2 n2, 3 n2) and
    back_outer (n1, 2 groups) to time, from a product of rows."""

    outer: Tensor
    inner: Tensor
    back_inner: Tensor
    back_outer: Tensor


@lru_cache(maxsize=256)
def sizes_for(n: int) -> Sizes:
    """For at least n values, the sizes with the least work in all."""
    found = [Sizes(n1, max(1, -(-n // n1))) for n1 in range(1, 2 * int(3 * n**0.5) + 2, 2)]
    return min(found, key=lambda sizes: (sizes.work + 200) * sizes.n1 * sizes.n2)


@lru_cache(maxsize=32)
def stages(sizes: Sizes, dtype: torch.dtype, device: torch.device) -> Stages:
    """The matrices; made in float64, with angles that are exact in integers, and rounded once."""
    n1, n2 = sizes
    n, groups = n1 * n2, sizes.groups
    k1, k2 = torch.arange(groups, dtype=torch.float64), torch.arange(n2, dtype=torch.float64)
    phi = 2 * torch.pi / n1 * (torch.outer(k1, torch.arange(n1, dtype=torch.float64)) % n1)  # (groups, n1)
    k = k1[:, None] + n1 * k2  # (groups, k2)
    theta = 2 * torch.pi / n * ((k[:, :, None] * k2) % n)  # (groups, k2, step n2)
    cos, sin = theta.cos(), theta.sin()
    real, imaginary = torch.cat([cos, sin], 2), torch.cat([-sin, cos], 2)
    into = torch.cat([real, imaginary, real + imaginary], 1)
    # Of products P1 = re re', P2 = im im', P3 = (re + im)(re' + im'): re = P1 - P2, im = P3 - P1 - P2.
    cos, sin = cos.transpose(1, 2), sin.transpose(1, 2)  # (groups, step n2, k2)
    out_real = torch.cat([cos + sin, sin - cos, -sin], 2)
    out_imaginary = torch.cat([sin - cos, -sin - cos, cos], 2)
    # A frequency that stands for its conjugate too counts twice.
    counts = torch.full((groups, 1), 2.0 / n, dtype=torch.float64)
    counts[0] = 1.0 / n
    outer = torch.stack([phi.cos(), -phi.sin()], 1).flatten(0, 1)
    back_outer = torch.stack([counts * phi.cos(), -counts * phi.sin()], 1).flatten(0, 1).t()
    made = (outer, into, torch.cat([out_real, out_imaginary], 1), back_outer)
    return Stages(*(matrix.to(device, dtype).contiguous() for matrix in made))


def padded_steps(steps: int, sizes: Sizes) -> int:
    """`steps` up to a whole number of n2: as many rows `to_rows` takes and `to_steps` gives."""
    return -(-steps // sizes.n2) * sizes.n2


def to_rows(values: Tensor, sizes: Sizes, *, of_back: bool = False) -> Tensor:
    """(padded steps, column) to (rows, column). of_back: by the adjoint of `to_steps` instead."""
    matrices = stages(sizes, values.dtype, values.device)
    used, columns = len(values) // sizes.n2, values.shape[1]
    if of_back:
        outer, inner = matrices.back_outer.t()[:, :used], matrices.back_inner.transpose(1, 2)
    else:
        outer, inner = matrices.outer[:, :used], matrices.inner
    between = torch.mm(outer, values.view(used, sizes.n2 * columns))
    return torch.bmm(inner, between.view(sizes.groups, 2 * sizes.n2, columns)).view(sizes.rows, columns)


def to_steps(rows: Tensor, steps: int, sizes: Sizes, *, of_into: bool = False) -> Tensor:
    """(rows, column) to (padded steps, column). of_into: by the adjoint of `to_rows` instead."""
    matrices = stages(sizes, rows.dtype, rows.device)
    used, columns = -(-steps // sizes.n2), rows.shape[1]
    if of_into:
        outer, inner = matrices.outer.t()[:used], matrices.inner.transpose(1, 2)
    else:
        outer, inner = matrices.back_outer[:used], matrices.back_inner
    between = torch.bmm(inner, rows.view(sizes.groups, 3 * sizes.n2, columns))
    return torch.mm(outer, between.view(2 * sizes.groups, sizes.n2 * columns)).view(used * sizes.n2, columns)
