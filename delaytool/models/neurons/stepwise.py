"""The loops of `loops.Loops` in PyTorch, one step at a time: on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from delaytool.contract.bounds import STATE_LIMIT
from delaytool.models.convolution import Windows
from delaytool.models.neurons.loops import IntegerLifConstants, LifConstants, surrogate_gradient


def lif_forward(x: Tensor, mask: Tensor | None, constants: LifConstants) -> tuple[Tensor, Tensor]:
    membrane = torch.empty_like(x)
    v = torch.zeros_like(x[0])
    for step, current in enumerate(x):
        v = torch.add(current, constants.leak * v, out=membrane[step])
        v = v.masked_fill(v >= constants.threshold, 0.0)
    spikes = (membrane >= constants.threshold).to(x.dtype)
    return spikes if mask is None else spikes * mask, membrane


def lif_backward(grad: Tensor, v: Tensor, mask: Tensor | None, constants: LifConstants) -> Tensor:
    slope = surrogate_gradient(v - constants.threshold, constants.alpha)
    # after = before * (1 - spike); with the reset attached, the spike in that product has a slope too.
    through_reset = (v < constants.threshold).to(slope.dtype)
    if not constants.detach_reset:
        through_reset = through_reset - v * slope
    through_reset *= constants.leak
    out = grad * slope if mask is None else grad * slope * mask
    carried = torch.zeros_like(out[0])
    for step in range(out.shape[0] - 1, -1, -1):
        carried = out[step].addcmul_(carried, through_reset[step])
    return out


def adaptive_forward(x: Tensor, mask: Tensor | None, constants: LifConstants) -> tuple[Tensor, Tensor, Tensor]:
    spikes, membrane, lefts = torch.empty_like(x), torch.empty_like(x), torch.empty_like(x)
    after, left = torch.zeros_like(x[0]), torch.zeros_like(x[0])
    for step, current in enumerate(x):
        before = torch.add(current, constants.leak * after, out=membrane[step])
        lefts[step] = left
        fires = before >= constants.threshold + constants.adaptation * left
        spikes[step] = fires
        after = before.masked_fill(fires, 0.0)
        left = constants.adaptation_leak * left + fires
    return spikes if mask is None else spikes * mask, membrane, lefts


def adaptive_backward(grad: Tensor, v: Tensor, left: Tensor, mask: Tensor | None, constants: LifConstants) -> Tensor:
    out = torch.empty_like(grad)
    after = by_left = torch.zeros_like(grad[0])
    for step in range(len(grad) - 1, -1, -1):
        by_spike = grad[step] if mask is None else grad[step] * mask
        out[step], after, by_left = _step_back(by_spike, v[step], left[step], after, by_left, constants)
    return out


def recurrent_forward(x: Tensor, windows: Windows, constants: LifConstants) -> tuple[Tensor, Tensor, Tensor | None]:
    time, batch, neurons = x.shape
    size = windows.size
    # K runs backwards over what was sent, so that a step's product is over one stretch of it: (size * pre, post).
    kernel = windows.kernel().permute(2, 1, 0).flip(0).reshape(size * neurons, neurons)
    sent = x.new_zeros(batch, size + time, neurons)  # `size` silent steps come first
    membrane = torch.empty_like(x)
    lefts = torch.empty_like(x) if constants.adaptation else None
    after, own, left = (torch.zeros_like(x[0]) for _ in range(3))
    for step, current in enumerate(x):
        own = constants.current_leak * own + sent[:, step : step + size].flatten(1) @ kernel
        before = torch.add(current + own, constants.leak * after, out=membrane[step])
        if lefts is not None:
            lefts[step] = left
        fires = before >= constants.threshold + constants.adaptation * left
        sent[:, size + step] = fires
        after = before.masked_fill(fires, 0.0)
        left = constants.adaptation_leak * left + fires
    return sent[:, size:].transpose(0, 1).contiguous(), membrane, lefts


def recurrent_backward(
    grad: Tensor, v: Tensor, left: Tensor | None, kernel: Tensor, constants: LifConstants
) -> tuple[Tensor, Tensor]:
    time, batch, neurons = grad.shape
    size = kernel.shape[-1]
    to_sender = kernel.permute(2, 0, 1).reshape(size * neurons, neurons)  # (size * post, pre)
    sums = grad.new_zeros(batch, time + size, neurons)  # `size` steps without gradient come last
    out = torch.empty_like(grad)
    after = by_left = own = torch.zeros_like(grad[0])
    none = torch.zeros_like(grad[0])
    for step in range(time - 1, -1, -1):
        # K[j] of a spike acts j + 1 steps later. A view: rows lie apart, each is one stretch.
        later = sums[:, step + 1 : step + 1 + size]
        by_spike = torch.addmm(grad[step], later.as_strided((batch, size * neurons), (sums.stride(0), 1)), to_sender)
        passed = none if left is None else left[step]
        out[step], after, by_left = _step_back(by_spike, v[step], passed, after, by_left, constants)
        own = out[step] + constants.current_leak * own
        sums[:, step] = own
    if not constants.current_leak:
        return out, out
    return out, sums[:, :time].transpose(0, 1).contiguous()


def _step_back(
    by_spike: Tensor, v: Tensor, left: Tensor, by_after: Tensor, by_left: Tensor, constants: LifConstants
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to (v, what the step before left of the membrane, `left`) from those to a step's results."""
    distance = v - (constants.threshold + constants.adaptation * left)
    by_spike = by_spike + by_left
    if not constants.detach_reset:
        by_spike = by_spike - by_after * v
    by_distance = by_spike * surrogate_gradient(distance, constants.alpha)
    by_v = by_distance + by_after.masked_fill(distance >= 0, 0.0)
    return by_v, constants.leak * by_v, constants.adaptation_leak * by_left - constants.adaptation * by_distance


def integrate(x: Tensor, leak: float | Tensor, *, backwards: bool = False) -> Tensor:
    v = torch.empty_like(x)
    last = torch.zeros_like(x[0])
    for step in range(len(x) - 1, -1, -1) if backwards else range(len(x)):
        last = torch.add(x[step], leak * last, out=v[step])
    return v


def integer_lif_forward(
    sums: Tensor, bias: Tensor, mask: Tensor | None, constants: IntegerLifConstants
) -> tuple[Tensor, Tensor]:
    """(spikes times mask, the membrane before its reset); see `loops.Loops`."""
    membrane = torch.empty_like(sums)
    v = torch.zeros_like(sums[0], dtype=torch.float64)
    for step, arriving in enumerate(sums):
        u = arriving.double().round() * constants.unit
        u = torch.where(u > STATE_LIMIT, u - 2 * STATE_LIMIT, u)
        u = torch.where(u <= -STATE_LIMIT, u + 2 * STATE_LIMIT, u)
        v = (torch.trunc(v * constants.leak) + u + bias).clamp(-STATE_LIMIT + 1, STATE_LIMIT - 1)
        membrane[step] = v
        v = v.masked_fill(v > constants.highest_silent, 0.0)
    spikes = (membrane > constants.highest_silent).to(sums.dtype)
    return spikes if mask is None else spikes * mask, membrane
