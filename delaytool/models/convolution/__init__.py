"""Causal convolution of spike trains with delay kernels: y[t] = sum over j of K[j] x[t - j].

direct      one product for every tap, as written above
fft         products at roots of unity: less arithmetic, whatever the kernel (transform.py)
staged      the same with transforms in two stages, for long kernels on a GPU (staged.py); 'auto' never takes it, as
            it has not been timed
windowed    for every spike, the window of each tap that is not negligible (events.py; CPU only)
events      the same with whole kernels: exact at every width
auto        whichever of them is cheapest for the sizes, the width and the input at hand (choice.py)
"""

from __future__ import annotations

from torch import Tensor

from delaytool.models.convolution.choice import COMPILED_TYPES, Work, choose, density, events_are_cheaper
from delaytool.models.convolution.direct import lengthened, through_conv1d
from delaytool.models.convolution.events import Windows, taps_gradient, through_events, whole
from delaytool.models.convolution.staged import through_stages
from delaytool.models.convolution.transform import through_transform

__all__ = [
    "COMPILED_TYPES",
    "Windows",
    "Work",
    "choose",
    "delayed_sum",
    "density",
    "events_are_cheaper",
    "taps_gradient",
    "through_events",
    "whole",
]


def delayed_sum(x: Tensor, kernel: Tensor, n_steps: int, method: str = "fft") -> Tensor:
    """Spikes through kernels over time.

    x        (time, batch, n_in), of the kernel's type or an integer one
    kernel   (n_out, n_in, size): what a spike adds j steps later
    n_steps  steps to return; the input is silent beyond its end
    method   'direct', 'fft', 'staged' or 'events'
    Returns  (n_steps, batch, n_out)
    """
    if method in ("fft", "staged") and kernel.shape[-1] > 1:
        return (through_stages if method == "staged" else through_transform)(x, kernel, n_steps)
    x = x.to(kernel.dtype)
    if kernel.shape[-1] == 1:
        return lengthened(x, n_steps) @ kernel[..., 0].t()
    if method == "direct":
        return through_conv1d(x, kernel, n_steps)
    return through_events(x, whole(kernel), n_steps)
