"""The loops of `loops.Loops` on NVIDIA GPUs, in Triton: one kernel per pass, whatever the number of steps.

A program runs a block of neurons through all of time with its state in registers. Values are read four steps before
they are used: a step's arithmetic takes a few cycles, a value from memory hundreds.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from delaytool.models.neurons.loops import LifConstants
from delaytool.models.neurons.stepwise import integer_lif_forward, recurrent_backward, recurrent_forward

__all__ = [
    "adaptive_backward", "adaptive_forward", "integer_lif_forward", "integrate", "lif_backward", "lif_forward",
    "recurrent_backward", "recurrent_forward",
]  # fmt: skip

BLOCK = 128


@triton.jit
def _at(pointer, place, step, stride, time, neurons):
    """The values `step` steps on, 0 beyond the end of time. stride: from step to step, below 0 when time runs back."""
    there = tl.cast(step, tl.int64)
    within = tl.where(there < time, neurons, 0)
    return tl.load(pointer + there * stride + place, mask=place < within, other=0.0)


@triton.jit
def _first_four(pointer, place, stride, time, neurons):
    """The values of the first four steps, as `_at` gives them."""
    return (
        _at(pointer, place, 0, stride, time, neurons),
        _at(pointer, place, 1, stride, time, neurons),
        _at(pointer, place, 2, stride, time, neurons),
        _at(pointer, place, 3, stride, time, neurons),
    )


@triton.jit
def _lif_forward(x, mask, constants, v, spikes, neurons, time, MASKED: tl.constexpr, BLOCK: tl.constexpr):
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < neurons
    leak = tl.load(constants)
    threshold = tl.load(constants + 1)
    fired = tl.full((BLOCK,), 1.0, leak.dtype)
    if MASKED:
        fired = tl.load(mask + place, mask=inside, other=0.0)
    after = tl.full((BLOCK,), 0.0, leak.dtype)
    x0, x1, x2, x3 = _first_four(x, place, neurons, time, neurons)
    for t in range(time):
        before = x0 + leak * after
        x0, x1, x2 = x1, x2, x3
        x3 = _at(x, place, t + 4, neurons, time, neurons)
        fires = before >= threshold
        tl.store(v + place, before, mask=inside)
        tl.store(spikes + place, tl.where(fires, fired, 0.0), mask=inside)
        after = tl.where(fires, 0.0, before)
        v += neurons
        spikes += neurons


@triton.jit
def _lif_backward(
    grad, v, mask, constants, out, neurons, time, MASKED: tl.constexpr, DETACH: tl.constexpr, BLOCK: tl.constexpr
):
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < neurons
    leak = tl.load(constants)
    threshold = tl.load(constants + 1)
    peak = tl.load(constants + 2)
    sharpness = tl.load(constants + 3)
    fired = tl.full((BLOCK,), 1.0, leak.dtype)
    if MASKED:
        fired = tl.load(mask + place, mask=inside, other=0.0)
    carried = tl.full((BLOCK,), 0.0, leak.dtype)
    # 64 bits: a long run of a wide layer has more than 2^31 values.
    end = tl.cast(time - 1, tl.int64) * neurons
    grad += end
    v += end
    out += end
    v0, v1, v2, v3 = _first_four(v, place, -neurons, time, neurons)
    g0, g1, g2, g3 = _first_four(grad, place, -neurons, time, neurons)
    for t in range(time):
        before = v0
        given = g0 * fired
        v0, v1, v2 = v1, v2, v3
        g0, g1, g2 = g1, g2, g3
        v3 = _at(v, place, t + 4, -neurons, time, neurons)
        g3 = _at(grad, place, t + 4, -neurons, time, neurons)
        scaled = sharpness * (before - threshold)
        slope = peak / (1.0 + scaled * scaled)
        through_reset = tl.where(before < threshold, 1.0, 0.0)
        if not DETACH:
            through_reset -= before * slope
        carried = given * slope + carried * (through_reset * leak)
        tl.store(out + place, carried, mask=inside)
        out -= neurons


@triton.jit
def _adaptive_forward(x, mask, constants, v, left, spikes, neurons, time, MASKED: tl.constexpr, BLOCK: tl.constexpr):
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < neurons
    leak = tl.load(constants)
    threshold = tl.load(constants + 1)
    adaptation = tl.load(constants + 4)
    adaptation_leak = tl.load(constants + 5)
    fired = tl.full((BLOCK,), 1.0, leak.dtype)
    if MASKED:
        fired = tl.load(mask + place, mask=inside, other=0.0)
    after = tl.full((BLOCK,), 0.0, leak.dtype)
    passed = tl.full((BLOCK,), 0.0, leak.dtype)
    x0, x1, x2, x3 = _first_four(x, place, neurons, time, neurons)
    for t in range(time):
        before = x0 + leak * after
        x0, x1, x2 = x1, x2, x3
        x3 = _at(x, place, t + 4, neurons, time, neurons)
        fires = before >= threshold + adaptation * passed
        tl.store(v + place, before, mask=inside)
        tl.store(left + place, passed, mask=inside)
        tl.store(spikes + place, tl.where(fires, fired, 0.0), mask=inside)
        after = tl.where(fires, 0.0, before)
        passed = adaptation_leak * passed + tl.where(fires, 1.0, 0.0)
        v += neurons
        left += neurons
        spikes += neurons


@triton.jit
def _adaptive_backward(
    grad, v, left, mask, constants, out, neurons, time, MASKED: tl.constexpr, DETACH: tl.constexpr, BLOCK: tl.constexpr
):
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < neurons
    leak = tl.load(constants)
    threshold = tl.load(constants + 1)
    peak = tl.load(constants + 2)
    sharpness = tl.load(constants + 3)
    adaptation = tl.load(constants + 4)
    adaptation_leak = tl.load(constants + 5)
    fired = tl.full((BLOCK,), 1.0, leak.dtype)
    if MASKED:
        fired = tl.load(mask + place, mask=inside, other=0.0)
    by_after = tl.full((BLOCK,), 0.0, leak.dtype)
    by_left = tl.full((BLOCK,), 0.0, leak.dtype)
    end = tl.cast(time - 1, tl.int64) * neurons
    grad += end
    v += end
    left += end
    out += end
    v0, v1, v2, v3 = _first_four(v, place, -neurons, time, neurons)
    l0, l1, l2, l3 = _first_four(left, place, -neurons, time, neurons)
    g0, g1, g2, g3 = _first_four(grad, place, -neurons, time, neurons)
    for t in range(time):
        before = v0
        distance = before - (threshold + adaptation * l0)
        given = g0 * fired + by_left
        v0, v1, v2 = v1, v2, v3
        l0, l1, l2 = l1, l2, l3
        g0, g1, g2 = g1, g2, g3
        v3 = _at(v, place, t + 4, -neurons, time, neurons)
        l3 = _at(left, place, t + 4, -neurons, time, neurons)
        g3 = _at(grad, place, t + 4, -neurons, time, neurons)
        scaled = sharpness * distance
        if not DETACH:
            given -= by_after * before
        by_distance = given * (peak / (1.0 + scaled * scaled))
        total = by_distance + tl.where(distance < 0.0, by_after, 0.0)
        tl.store(out + place, total, mask=inside)
        by_after = leak * total
        by_left = adaptation_leak * by_left - adaptation * by_distance
        out -= neurons


@triton.jit
def _integrate(x, constants, v, neurons, time, BACKWARDS: tl.constexpr, BLOCK: tl.constexpr):
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < neurons
    leak = tl.load(constants)
    last = tl.full((BLOCK,), 0.0, leak.dtype)
    step = neurons
    if BACKWARDS:
        end = tl.cast(time - 1, tl.int64) * neurons
        x += end
        v += end
        step = -neurons
    x0, x1, x2, x3 = _first_four(x, place, step, time, neurons)
    for t in range(time):
        last = x0 + leak * last
        x0, x1, x2 = x1, x2, x3
        x3 = _at(x, place, t + 4, step, time, neurons)
        tl.store(v + place, last, mask=inside)
        v += step


@lru_cache(maxsize=64)
def _constants(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Kept on the device: a kernel's own float arguments have 32 bits, and a recorded graph must copy nothing."""
    return torch.tensor(values, dtype=dtype, device=device)


def _of(constants: LifConstants, like: Tensor) -> Tensor:
    values = (
        constants.threshold, constants.slope_at_threshold, constants.sharpness, constants.adaptation,
        constants.adaptation_leak,
    )  # fmt: skip
    return _with_leak(constants.leak, values, like)


def _with_leak(leak: float | Tensor, values: tuple[float, ...], like: Tensor) -> Tensor:
    """A leak that is learned is on the device and stays there."""
    if isinstance(leak, Tensor):
        return torch.cat([leak.to(like.dtype).reshape(1), _constants(values, like.dtype, like.device)])
    return _constants((leak, *values), like.dtype, like.device)


def _grid(neurons: int) -> tuple[int]:
    return (triton.cdiv(neurons, BLOCK),)


def lif_forward(x: Tensor, mask: Tensor | None, constants: LifConstants) -> tuple[Tensor, Tensor]:
    v, spikes = torch.empty_like(x), torch.empty_like(x)
    neurons = x[0].numel()
    given = x if mask is None else mask.contiguous()
    _lif_forward[_grid(neurons)](
        x, given, _of(constants, x), v, spikes, neurons, len(x), MASKED=mask is not None, BLOCK=BLOCK
    )
    return spikes, v


def lif_backward(grad: Tensor, v: Tensor, mask: Tensor | None, constants: LifConstants) -> Tensor:
    out = torch.empty_like(grad)
    neurons = grad[0].numel()
    given = grad if mask is None else mask.contiguous()
    _lif_backward[_grid(neurons)](
        grad, v, given, _of(constants, grad), out, neurons, len(grad), MASKED=mask is not None,
        DETACH=constants.detach_reset, BLOCK=BLOCK,
    )  # fmt: skip
    return out


def adaptive_forward(x: Tensor, mask: Tensor | None, constants: LifConstants) -> tuple[Tensor, Tensor, Tensor]:
    v, left, spikes = torch.empty_like(x), torch.empty_like(x), torch.empty_like(x)
    neurons = x[0].numel()
    given = x if mask is None else mask.contiguous()
    _adaptive_forward[_grid(neurons)](
        x, given, _of(constants, x), v, left, spikes, neurons, len(x), MASKED=mask is not None, BLOCK=BLOCK
    )
    return spikes, v, left


def adaptive_backward(grad: Tensor, v: Tensor, left: Tensor, mask: Tensor | None, constants: LifConstants) -> Tensor:
    out = torch.empty_like(grad)
    neurons = grad[0].numel()
    given = grad if mask is None else mask.contiguous()
    _adaptive_backward[_grid(neurons)](
        grad, v, left, given, _of(constants, grad), out, neurons, len(grad), MASKED=mask is not None,
        DETACH=constants.detach_reset, BLOCK=BLOCK,
    )  # fmt: skip
    return out


def integrate(x: Tensor, leak: float | Tensor, *, backwards: bool = False) -> Tensor:
    v = torch.empty_like(x)
    neurons = x[0].numel()
    _integrate[_grid(neurons)](x, _with_leak(leak, (), x), v, neurons, len(x), BACKWARDS=backwards, BLOCK=BLOCK)
    return v
