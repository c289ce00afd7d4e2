"""The loops of `loops.Loops` on a CPU, compiled by numba.

Time is the outer loop of a strip of neurons whose state stays in the first-level cache, so every value is read and
written once. Strips are independent: no result depends on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from delaytool.models.convolution import Windows, events_are_cheaper
from delaytool.models.convolution.event_kernels import add_scaled_of
from delaytool.models.convolution.events import prepared
from delaytool.models.neurons import stepwise
from delaytool.models.neurons.compiled_integer import integer_lif_forward
from delaytool.models.neurons.loops import LifConstants
from delaytool.models.neurons.strips import STRIP, flat, flat_mask
from delaytool.models.threads import use_as_many_threads_as_torch

__all__ = [
    "adaptive_backward", "adaptive_forward", "integer_lif_forward", "integrate", "lif_backward", "lif_forward",
    "recurrent_backward", "recurrent_forward",
]  # fmt: skip

USUAL_RATE = 0.15  # spikes per neuron and step, assumed before they are known
recurrent_backward = stepwise.recurrent_backward  # all of its time is in matrix products


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _lif_forward(x, mask, leak, threshold, v, spikes):  # type: ignore[no-untyped-def]
    time, neurons = x.shape
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for strip in prange((neurons + STRIP - 1) // STRIP):
        first = strip * STRIP
        last = min(neurons, first + STRIP)
        after = np.zeros(STRIP, dtype=x.dtype)
        for t in range(time):
            for n in range(first, last):
                before = x[t, n] + leak * after[n - first]
                fires = before >= threshold
                v[t, n] = before
                after[n - first] = zero if fires else before
                if mask.size:
                    spikes[t, n] = mask[n] if fires else zero
                else:
                    spikes[t, n] = one if fires else zero


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _lif_backward(grad, v, mask, leak, threshold, peak, sharpness, detach_reset, out):  # type: ignore[no-untyped-def]
    time, neurons = grad.shape
    zero, one = grad.dtype.type(0), grad.dtype.type(1)
    for strip in prange((neurons + STRIP - 1) // STRIP):
        first = strip * STRIP
        last = min(neurons, first + STRIP)
        carried = np.zeros(STRIP, dtype=grad.dtype)
        for t in range(time - 1, -1, -1):
            for n in range(first, last):
                distance = v[t, n] - threshold
                scaled = sharpness * distance
                slope = peak / (one + scaled * scaled)
                through_reset = one if distance < zero else zero
                if not detach_reset:
                    through_reset -= v[t, n] * slope
                by_spike = grad[t, n] * mask[n] if mask.size else grad[t, n]
                total = by_spike * slope + carried[n - first] * (through_reset * leak)
                out[t, n] = total
                carried[n - first] = total


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _adaptive_forward(x, mask, leak, threshold, adaptation, adaptation_leak, v, left, spikes):  # type: ignore[no-untyped-def]
    time, neurons = x.shape
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for strip in prange((neurons + STRIP - 1) // STRIP):
        first = strip * STRIP
        last = min(neurons, first + STRIP)
        after = np.zeros(STRIP, dtype=x.dtype)
        passed = np.zeros(STRIP, dtype=x.dtype)
        for t in range(time):
            for n in range(first, last):
                at = n - first
                before = x[t, n] + leak * after[at]
                fires = before >= threshold + adaptation * passed[at]
                v[t, n] = before
                left[t, n] = passed[at]
                after[at] = zero if fires else before
                passed[at] = adaptation_leak * passed[at] + (one if fires else zero)
                if mask.size:
                    spikes[t, n] = mask[n] if fires else zero
                else:
                    spikes[t, n] = one if fires else zero


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _adaptive_backward(  # type: ignore[no-untyped-def]
    grad, v, left, mask, leak, threshold, adaptation, adaptation_leak, peak, sharpness, detach_reset, out
):
    time, neurons = grad.shape
    zero, one = grad.dtype.type(0), grad.dtype.type(1)
    for strip in prange((neurons + STRIP - 1) // STRIP):
        first = strip * STRIP
        last = min(neurons, first + STRIP)
        by_after = np.zeros(STRIP, dtype=grad.dtype)
        by_left = np.zeros(STRIP, dtype=grad.dtype)
        for t in range(time - 1, -1, -1):
            for n in range(first, last):
                at = n - first
                distance = v[t, n] - (threshold + adaptation * left[t, n])
                scaled = sharpness * distance
                by_spike = grad[t, n] * mask[n] if mask.size else grad[t, n]
                by_spike += by_left[at]
                if not detach_reset:
                    by_spike -= by_after[at] * v[t, n]
                by_distance = by_spike * (peak / (one + scaled * scaled))
                total = by_distance + (by_after[at] if distance < zero else zero)
                out[t, n] = total
                by_after[at] = leak * total
                by_left[at] = adaptation_leak * by_left[at] - adaptation * by_distance


@cache
def _recurrent_forward(width: int) -> Callable[..., None]:
    """run(x, taps, start, leak, threshold, adaptation, adaptation_leak, current_leak, v, left, spikes, slack).

    x, v, spikes (time, batch, neuron); left the same, or of no steps without adaptation; taps (pre, post, m, width);
    start (pre, post, m) int32; slack: width + the largest start. As in `event_kernels`, taps and the steps of one
    neuron's current lie side by side, and a spike adds whole windows; batch entries are independent.
    """
    add_scaled = add_scaled_of(width)

    @njit(parallel=True, nogil=True, error_model="numpy")
    def run(  # type: ignore[no-untyped-def]
        x, taps, start, leak, threshold, adaptation, adaptation_leak, current_leak, v, left, spikes, slack
    ):
        time, batch, neurons = x.shape
        per_synapse = taps.shape[2]
        row = time + 1 + slack
        flat_taps = taps.reshape(-1)
        flat_start = start.reshape(-1)
        zero, one = x.dtype.type(0), x.dtype.type(1)
        for b in prange(batch):
            received = np.zeros(neurons * row, dtype=x.dtype)
            after = np.zeros(neurons, dtype=x.dtype)
            passed = np.zeros(neurons, dtype=x.dtype)
            own = np.zeros(neurons, dtype=x.dtype)
            for t in range(time):
                for n in range(neurons):
                    own[n] = current_leak * own[n] + received[n * row + t]
                    before = x[t, b, n] + own[n] + leak * after[n]
                    fires = before >= threshold + adaptation * passed[n]
                    v[t, b, n] = before
                    after[n] = zero if fires else before
                    spikes[t, b, n] = one if fires else zero
                    if left.size:
                        left[t, b, n] = passed[n]
                        passed[n] = adaptation_leak * passed[n] + (one if fires else zero)
                for n in range(neurons):
                    if spikes[t, b, n] != zero:
                        synapse = n * neurons * per_synapse
                        for post in range(neurons):
                            for _ in range(per_synapse):
                                at = post * row + t + 1 + flat_start[synapse]
                                add_scaled(received, at, flat_taps, synapse * width, one)
                                synapse += 1

    return run


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _integrate(x, leak, backwards, v):  # type: ignore[no-untyped-def]
    time, neurons = x.shape
    for strip in prange((neurons + STRIP - 1) // STRIP):
        first = strip * STRIP
        last = min(neurons, first + STRIP)
        for step in range(time):
            t = time - 1 - step if backwards else step
            before = t + 1 if backwards else t - 1
            for n in range(first, last):
                v[t, n] = x[t, n] + leak * v[before, n] if step else x[t, n]


def _numbers(like: Tensor, *values: float | Tensor) -> list[Any]:
    """Constants in the tensor's own precision: a float64 among float32 would make numba compute in float64."""
    kind = np.float32 if like.dtype == torch.float32 else np.float64
    return [kind(value) for value in values]


def lif_forward(x: Tensor, mask: Tensor | None, constants: LifConstants) -> tuple[Tensor, Tensor]:
    use_as_many_threads_as_torch()
    v, spikes = torch.empty_like(x), torch.empty_like(x)
    leak, threshold = _numbers(x, constants.leak, constants.threshold)
    _lif_forward(flat(x), flat_mask(mask, x), leak, threshold, flat(v), flat(spikes))
    return spikes, v


def lif_backward(grad: Tensor, v: Tensor, mask: Tensor | None, constants: LifConstants) -> Tensor:
    use_as_many_threads_as_torch()
    out = torch.empty_like(grad)
    leak, threshold, peak, sharpness = _numbers(
        grad, constants.leak, constants.threshold, constants.slope_at_threshold, constants.sharpness
    )
    detach = constants.detach_reset
    _lif_backward(flat(grad), flat(v), flat_mask(mask, grad), leak, threshold, peak, sharpness, detach, flat(out))
    return out


def adaptive_forward(x: Tensor, mask: Tensor | None, constants: LifConstants) -> tuple[Tensor, Tensor, Tensor]:
    use_as_many_threads_as_torch()
    v, left, spikes = torch.empty_like(x), torch.empty_like(x), torch.empty_like(x)
    leak, threshold, added, kept = _numbers(
        x, constants.leak, constants.threshold, constants.adaptation, constants.adaptation_leak
    )
    _adaptive_forward(flat(x), flat_mask(mask, x), leak, threshold, added, kept, flat(v), flat(left), flat(spikes))
    return spikes, v, left


def adaptive_backward(grad: Tensor, v: Tensor, left: Tensor, mask: Tensor | None, constants: LifConstants) -> Tensor:
    use_as_many_threads_as_torch()
    out = torch.empty_like(grad)
    leak, threshold, added, kept, peak, sharpness = _numbers(
        grad, constants.leak, constants.threshold, constants.adaptation, constants.adaptation_leak,
        constants.slope_at_threshold, constants.sharpness,
    )  # fmt: skip
    _adaptive_backward(
        flat(grad), flat(v), flat(left), flat_mask(mask, grad), leak, threshold, added, kept, peak, sharpness,
        constants.detach_reset, flat(out),
    )  # fmt: skip
    return out


def recurrent_forward(x: Tensor, windows: Windows, constants: LifConstants) -> tuple[Tensor, Tensor, Tensor | None]:
    """Event by event; stepwise where many neurons, a large batch and wide windows make a product per step cheaper."""
    if not events_are_cheaper(USUAL_RATE * x.numel(), x[..., 0].numel(), len(x), windows.taps.shape, windows.size):
        return stepwise.recurrent_forward(x, windows, constants)
    return events_forward(x, windows, constants)


def events_forward(x: Tensor, windows: Windows, constants: LifConstants) -> tuple[Tensor, Tensor, Tensor | None]:
    """`recurrent_forward` by work for every spike and none for silence."""
    use_as_many_threads_as_torch()
    v, spikes = torch.empty_like(x), torch.empty_like(x)
    left = torch.empty_like(x) if constants.adaptation else x.new_empty(0, *x.shape[1:])
    taps, start, slack = prepared(windows.taps, windows.start)
    numbers = _numbers(
        x, constants.leak, constants.threshold, constants.adaptation, constants.adaptation_leak, constants.current_leak
    )
    arrays = [tensor.detach().numpy() for tensor in (v, left, spikes)]
    _recurrent_forward(taps.shape[-1])(x.detach().numpy(), taps, start, *numbers, *arrays, slack)
    return spikes, v, left if constants.adaptation else None


def integrate(x: Tensor, leak: float | Tensor, *, backwards: bool = False) -> Tensor:
    use_as_many_threads_as_torch()
    v = torch.empty_like(x)
    (typed,) = _numbers(x, leak)
    _integrate(flat(x), typed, backwards, flat(v))
    return v
