"""A network that was trained through a chip's integers keeps its scales; how well they do is measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from delaytool.contract.network import IntegerNetwork
from delaytool.quantization.integer_training import TrainedNetwork
from delaytool.quantization.program import Program
from delaytool.runtime.backends.torch import simulate


@torch.no_grad()
def keep_scale(program: Program, model: TrainedNetwork, network: IntegerNetwork, frames: np.ndarray) -> Program:
    """Measure, as `choose_scale` does, how far the integers are from the network as it was trained.

    frames (sample, time, channel). The trainer's exact arithmetic and the integers are two programs: 0 is expected.
    """
    inputs = torch.from_numpy(frames)
    spikes, membrane = model.traced(inputs)
    *hidden, readout = simulate(network, inputs)
    shares = [
        float((trace.spikes != (wanted.transpose(0, 1) > 0)).sum()) / max(1.0, float(wanted.sum()))
        for trace, wanted in zip(hidden, spikes, strict=True)
    ]
    wanted = membrane.transpose(0, 1)
    v = readout.v[:, network.readout.start : network.readout.stop].double() / network.readout.scale
    error = float((v - wanted).square().mean().sqrt() / wanted.square().mean().sqrt().clamp(min=1e-12))
    layers = zip(program.layers, [*shares, error], strict=True)
    return replace(program, layers=tuple(replace(layer, disagreement=share) for layer, share in layers))
