"""The loops of `loops.Loops` on a CPU, compiled by numba.

Time is the outer loop of a strip of neurons whose state stays in the first-level cache, so every value is read and
written once. Strips are independent: no result depends on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from delaytool.models.neurons.loops import LifConstants
from delaytool.models.threads import use_as_many_threads_as_torch

STRIP = 1024


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
                given = grad[t, n] * mask[n] if mask.size else grad[t, n]
                total = given * slope + carried[n - first] * (through_reset * leak)
                out[t, n] = total
                carried[n - first] = total


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


def _flat(tensor: Tensor) -> np.ndarray:
    """(time, batch, neuron) as (time, batch * neuron), sharing memory."""
    return tensor.detach().flatten(1).numpy()


def _mask(mask: Tensor | None, like: Tensor) -> np.ndarray:
    chosen = like.new_empty(0) if mask is None else mask.detach().flatten()
    return chosen.contiguous().numpy()


def _numbers(like: Tensor, *values: float) -> list[Any]:
    """Constants in the tensor's own precision: a float64 among float32 would make numba compute in float64."""
    kind = np.float32 if like.dtype == torch.float32 else np.float64
    return [kind(value) for value in values]


def lif_forward(x: Tensor, mask: Tensor | None, constants: LifConstants) -> tuple[Tensor, Tensor]:
    use_as_many_threads_as_torch()
    v, spikes = torch.empty_like(x), torch.empty_like(x)
    leak, threshold = _numbers(x, constants.leak, constants.threshold)
    _lif_forward(_flat(x), _mask(mask, x), leak, threshold, _flat(v), _flat(spikes))
    return spikes, v


def lif_backward(grad: Tensor, v: Tensor, mask: Tensor | None, constants: LifConstants) -> Tensor:
    use_as_many_threads_as_torch()
    out = torch.empty_like(grad)
    leak, threshold, peak, sharpness = _numbers(
        grad, constants.leak, constants.threshold, constants.slope_at_threshold, constants.sharpness
    )
    detach = constants.detach_reset
    _lif_backward(_flat(grad), _flat(v), _mask(mask, grad), leak, threshold, peak, sharpness, detach, _flat(out))
    return out


def integrate(x: Tensor, leak: float, *, backwards: bool = False) -> Tensor:
    use_as_many_threads_as_torch()
    v = torch.empty_like(x)
    (typed,) = _numbers(x, leak)
    _integrate(_flat(x), typed, backwards, _flat(v))
    return v
