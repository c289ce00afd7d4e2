"""The float network with rounded delays and folded batch norm: what the integers are compared with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from delaytool.models.convolution import delayed_sum, whole
from delaytool.models.interpolation import single_tap_kernel
from delaytool.models.neurons import LifConstants, leak_of, leaky_integrator, spiking
from delaytool.quantization.program import FloatLayer, Program


@torch.no_grad()
def simulate_float(program: Program, frames: np.ndarray) -> list[Tensor]:
    """Frames (sample, time, channel) to each hidden layer's spikes and the readout's membrane.

    Every tensor is (sample, step, neuron) float32, in the layer's own time (see Program.late).
    """
    x = torch.from_numpy(frames).float().transpose(0, 1)
    out = []
    for layer, steps, late in zip(program.layers, program.steps, program.late, strict=True):
        if late == 0:  # chip time: a spike takes one step besides its delay
            x = functional.pad(x, (0, 0, 0, 0, 1, 0))
        x = _run(layer, x, steps)
        out.append(x.transpose(0, 1))
    return out


def _run(layer: FloatLayer, x: Tensor, steps: int) -> Tensor:
    current = delayed_sum(x, _kernel(layer.weight, layer.delay), steps)
    if layer.current_tau > 1:
        current = leaky_integrator(current, layer.current_tau)
    current = current + torch.from_numpy(layer.bias).float()
    if layer.threshold is None:
        return leaky_integrator(current, layer.tau)
    constants = LifConstants(
        leak_of(layer.tau), layer.threshold, alpha=5.0, detach_reset=True, current_leak=leak_of(layer.current_tau)
    )
    recurrent = None if layer.recurrent is None else whole(_kernel(layer.recurrent.weight, layer.recurrent.delay))
    return spiking(current, constants, recurrent=recurrent)


def _kernel(weight: np.ndarray, delay: np.ndarray) -> Tensor:
    return single_tap_kernel(torch.from_numpy(weight).float(), torch.from_numpy(delay).float(), int(delay.max()) + 1)
