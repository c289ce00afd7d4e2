"""What the passes take and return: a float network as plain arrays, in each pass nearer to integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from delaytool.contract.encoding import InputEncoding
from delaytool.hw_configs import Target
from delaytool.quantization.scales import Scale


def array_of(tensor: Tensor) -> np.ndarray:
    """float64, on the CPU, without gradients."""
    return tensor.detach().cpu().double().numpy()


@dataclass(frozen=True)
class BatchNorm:
    """Batch norm at rest, per neuron, float64 tensors: out = gamma (in - mean) / sqrt(variance + eps) + beta."""

    gamma: Tensor
    beta: Tensor
    mean: Tensor
    variance: Tensor
    eps: float

    @staticmethod
    def of(norm: nn.BatchNorm1d) -> BatchNorm:
        """With its running statistics; gradients reach its parameters."""
        assert norm.running_mean is not None
        assert norm.running_var is not None
        return BatchNorm(
            gamma=norm.weight.double(),
            beta=norm.bias.double(),
            mean=norm.running_mean.double(),
            variance=norm.running_var.double(),
            eps=norm.eps,
        )

    def detached(self) -> BatchNorm:
        """On the CPU, without gradients."""
        gamma, beta, mean, variance = (
            tensor.detach().cpu() for tensor in (self.gamma, self.beta, self.mean, self.variance)
        )
        return BatchNorm(gamma, beta, mean, variance, self.eps)


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
    quantized_for: Target | None = None

    @property
    def chip_steps(self) -> int:
        """Chip steps of a whole run."""
        return self.steps[-1] + self.late[-1]

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Those that layers have by now, in order."""
        return tuple(layer.scale for layer in self.layers if layer.scale is not None)

    @property
    def payloads(self) -> tuple[int, ...]:
        """Largest value that a spike of each population carries: of the input, then of every layer."""
        return (self.encoding.max_payload, *(1 for _ in self.layers))
