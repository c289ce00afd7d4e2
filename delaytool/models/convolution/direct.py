"""The plain form: one multiplication for every tap, step, input and output."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def lengthened(x: Tensor, n_steps: int) -> Tensor:
    """(time, batch, n_in) cut or filled with silence to n_steps."""
    if n_steps <= x.shape[0]:
        return x[:n_steps]
    return functional.pad(x, (0, 0, 0, 0, 0, n_steps - x.shape[0]))


def through_conv1d(x: Tensor, kernel: Tensor, n_steps: int) -> Tensor:
    """The convolution of `delayed_sum` by the library's own."""
    past = kernel.shape[-1] - 1
    padded = functional.pad(lengthened(x, n_steps).permute(1, 2, 0), (past, 0))
    # conv1d cross-correlates, so the kernel runs backwards.
    return functional.conv1d(padded, kernel.flip(-1)).permute(2, 0, 1)
