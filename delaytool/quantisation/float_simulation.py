"""The float network with rounded delays and folded batch norm: what the integers are measured against."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from delaytool.models.convolution import delayed_sum
from delaytool.models.interpolation import single_tap_kernel
from delaytool.models.neurons import leaky_integrator, lif
from delaytool.quantisation.program import FloatLayer, Program


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
    weight, delay, bias = (torch.from_numpy(array).float() for array in (layer.weight, layer.delay, layer.bias))
    kernel = single_tap_kernel(weight, delay, int(layer.delay.max()) + 1)
    current = delayed_sum(x, kernel, steps) + bias
    if layer.threshold is None:
        return leaky_integrator(current, layer.tau)
    return lif(current, layer.tau, layer.threshold)
