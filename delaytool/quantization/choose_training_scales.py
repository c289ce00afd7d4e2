"""The scales that a network is to be trained through, chosen as the exporter chooses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from delaytool.contract.encoding import InputEncoding
from delaytool.hw_configs import Target
from delaytool.models.delay_network import DelayNetwork
from delaytool.quantization.choose_scale import LayerSimulation, choose_scale
from delaytool.quantization.fold_batch_norm import fold_batch_norm
from delaytool.quantization.merge_taps import merge_taps
from delaytool.quantization.program import FloatLayer
from delaytool.quantization.program_of_network import program_of_network
from delaytool.quantization.quantize import bias_exponent_for
from delaytool.quantization.round_delays import round_delays
from delaytool.quantization.scales import IntegerScales, Scale

# Training goes on: by these factors sums and biases may grow before they leave what was proven, or what the target
# holds. Each scale tried is twice the next, so that more room would cost a whole bit more often.
SUM_HEADROOM = 1.25
BIAS_HEADROOM = 1.5


def choose_training_scales(
    model: DelayNetwork,
    encoding: InputEncoding,
    target: Target,
    frames: np.ndarray,
    simulate_layer: LayerSimulation,
    progress: Callable[[str, int, int], None] | None = None,
) -> IntegerScales:
    """Scales of every layer as `choose_scale` finds them for the float network as it stands, to be kept from now on.

    frames (sample, time, channel), simulate_layer: as for `choose_scale`. Raises ExportError where the target
    cannot hold the network.
    """
    program = program_of_network(model, encoding)
    program = fold_batch_norm(program)
    program = round_delays(program, target)
    program = merge_taps(program)
    program = choose_scale(program, target, frames, simulate_layer, progress, headroom=SUM_HEADROOM)
    return IntegerScales(target, tuple(_with_bias_exponent(layer, target) for layer in program.layers))


def _with_bias_exponent(layer: FloatLayer, target: Target) -> Scale:
    assert layer.scale is not None, "choose_scale gave one"
    exponent = bias_exponent_for(torch.from_numpy(layer.bias), layer.scale, target.limits, BIAS_HEADROOM)
    return replace(layer.scale, bias_exponent=target.limits.bias_exponent_max if exponent is None else exponent)
