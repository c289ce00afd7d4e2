"""The loops of `loops.Loops` in PyTorch, one step at a time: on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from delaytool.models.neurons.loops import LifConstants, surrogate_gradient


def lif_forward(x: Tensor, mask: Tensor | None, constants: LifConstants) -> tuple[Tensor, Tensor]:
    membrane = torch.empty_like(x)
    v = torch.zeros_like(x[0])
    for step, current in enumerate(x):
        v = torch.add(current, v, alpha=constants.leak, out=membrane[step])
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


def integrate(x: Tensor, leak: float, *, backwards: bool = False) -> Tensor:
    v = torch.empty_like(x)
    last = torch.zeros_like(x[0])
    for step in range(len(x) - 1, -1, -1) if backwards else range(len(x)):
        last = torch.add(x[step], last, alpha=leak, out=v[step])
    return v
