"""Causal convolution of spike trains with delay kernels: y[t] = sum over j of K[j] x[t - j]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def delayed_sum(x: Tensor, kernel: Tensor, n_steps: int, method: str = "auto") -> Tensor:
    """Spikes through kernels over time.

    x        (time, batch, n_in)
    kernel   (n_out, n_in, size): what a spike adds j steps later
    n_steps  steps to return; the input is silent beyond its end
    method   'direct', 'fft' or 'auto' (fft where the kernel has several taps)
    Returns  (n_steps, batch, n_out)
    """
    if kernel.shape[-1] == 1:
        return _lengthened(x, n_steps) @ kernel[..., 0].t()
    if method == "direct":
        return _direct(x, kernel, n_steps)
    return _through_frequencies(x, kernel, n_steps)


def _lengthened(x: Tensor, n_steps: int) -> Tensor:
    if n_steps <= x.shape[0]:
        return x[:n_steps]
    return functional.pad(x, (0, 0, 0, 0, 0, n_steps - x.shape[0]))


def _direct(x: Tensor, kernel: Tensor, n_steps: int) -> Tensor:
    past = kernel.shape[-1] - 1
    padded = functional.pad(_lengthened(x, n_steps).permute(1, 2, 0), (past, 0))
    # conv1d cross-correlates, so the kernel runs backwards.
    return functional.conv1d(padded, kernel.flip(-1)).permute(2, 0, 1)


def _through_frequencies(x: Tensor, kernel: Tensor, n_steps: int) -> Tensor:
    """The same by the convolution theorem: size times less arithmetic, a rounding of about 1e-6 in float32."""
    x = x[:n_steps]
    length = _fast_length(max(x.shape[0] + kernel.shape[-1] - 1, n_steps))
    spectrum = torch.fft.rfft(x, n=length, dim=0)  # (frequency, batch, n_in)
    transfer = torch.fft.rfft(kernel, n=length, dim=2).permute(2, 1, 0)  # (frequency, n_in, n_out)
    return torch.fft.irfft(spectrum @ transfer, n=length, dim=0)[:n_steps]


def _fast_length(at_least: int) -> int:
    """The next length whose only prime factors are 2, 3 and 5, which transforms quickly."""
    length = at_least
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
