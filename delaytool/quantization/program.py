"""What the passes take and return: a float network as plain arrays, in each pass nearer to integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from delaytool.contract.encoding import InputEncoding
from delaytool.quantization.integer_training import TrainedNetwork, float_network, integer_scales, normalization_of
from delaytool.quantization.scales import Scale


@dataclass(frozen=True)
class BatchNorm:
    """Per-neuron arrays: out = gamma (in - mean) / sqrt(variance + eps) + beta."""

    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    eps: float

    @staticmethod
    def of(norm: nn.BatchNorm1d) -> BatchNorm:
        """With its running statistics."""
        at_rest = normalization_of(norm)
        return BatchNorm(
            gamma=_array(at_rest.gamma),
            beta=_array(at_rest.beta),
            mean=_array(at_rest.mean),
            variance=_array(at_rest.variance),
            eps=at_rest.eps,
        )


@dataclass(frozen=True)
class Recurrence:
    """Recurrent synapses, past batch norm: arrays as a FloatLayer's; spikes take one step besides their delay."""

    weight: np.ndarray
    delay: np.ndarray


@dataclass(frozen=True)
class FloatLayer:
    """A layer of the float network.

    weight, delay   (n_out, n_in, taps) float64, delays in steps
    bias            (n_out,) float64
    tau, current_tau   time constants of membrane and current in steps; 1: none
    threshold       None for the readout, which never fires
    recurrent       its recurrent synapses
    clipped_delays, merged_taps   how many taps passes changed, for the summary
    disagreement    of the scale chosen: the share of the spikes that differ on the calibration samples, or, for the
                    readout, its membrane's error relative to its size
    """

    name: str
    weight: np.ndarray
    delay: np.ndarray
    bias: np.ndarray
    batch_norm: BatchNorm | None
    tau: float
    threshold: float | None
    current_tau: float = 1.0
    recurrent: Recurrence | None = None
    clipped_delays: int = 0
    merged_taps: int = 0
    scale: Scale | None = None
    disagreement: float = 0.0

    @property
    def n_neurons(self) -> int:
        return self.weight.shape[0]


@dataclass(frozen=True)
class Program:
    """A whole float network on its way to integers.

    steps           time steps that each layer runs (see ModelConfig.steps_of)
    late            the chip's step in which a layer does what it does in step 0 here
    quantized_for   the target through whose integers the network was trained: its layers have their scales
    """

    encoding: InputEncoding
    layers: tuple[FloatLayer, ...]
    steps: tuple[int, ...]
    late: tuple[int, ...]
    quantized_for: str | None = None

    @property
    def chip_steps(self) -> int:
        """Chip steps of a whole run."""
        return self.steps[-1] + self.late[-1]

    @property
    def payloads(self) -> tuple[int, ...]:
        """Largest value that a spike of each population carries: of the input, then of every layer."""
        return (self.encoding.max_payload, *(1 for _ in self.layers))


def program_of(model: TrainedNetwork, encoding: InputEncoding) -> Program:
    """A trained network as arrays. The encoding's n_steps must be decided."""
    network, scales = float_network(model), integer_scales(model)
    config = network.config
    n_frames = encoding.n_steps
    assert n_frames is not None, "a trained network's encoding is resolved"
    layers = []
    names = network.layer_names()
    taus = network.time_constants()
    stages = [(layer.synapses, layer.norm, layer.recurrent) for layer in network.hidden_layers()]
    stages.append((network.readout, None, None))
    for index, (synapses, norm, recurrent) in enumerate(stages):
        weight = _array(synapses.connected_weight())
        layers.append(
            FloatLayer(
                name=names[index],
                weight=weight,
                delay=_array(synapses.delays),
                bias=np.zeros(len(weight)) if synapses.bias is None else _array(synapses.bias),
                batch_norm=None if norm is None else BatchNorm.of(norm),
                tau=taus[names[index]],
                current_tau=config.current_tau,
                threshold=config.threshold if index < len(network.hidden) else None,
                scale=None if scales is None else scales.scales[index],
                recurrent=None
                if recurrent is None
                else Recurrence(_array(recurrent.connected_weight()), _array(recurrent.delays)),
            )
        )
    steps = tuple(config.steps_of(index, n_frames) for index in range(len(layers)))
    late = tuple(config.lateness_on_chip(index) for index in range(len(layers)))
    return Program(encoding, tuple(layers), steps, late, None if scales is None else scales.target)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()
