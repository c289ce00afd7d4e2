"""Training through a chip's integers: what the chip will compute, to the bit, with gradients straight through.

Weights, folded batch norm and biases are rounded at fixed scales in every pass, and neurons are the integer contract's.
Time is the chip's, whatever `model.timing` is: a spike takes one step besides its delay, every layer runs the whole
run with its bias, and the readout is read in the window that the exporter writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from delaytool.contract.bounds import STATE_SHIFT
from delaytool.errors import ModelError
from delaytool.hw_configs import Limits
from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import DelayNetwork, HiddenLayer
from delaytool.models.delayed_linear import UNSET, DelayedLinear, Unset
from delaytool.models.interpolation import single_taps
from delaytool.models.neurons.loops import IntegerLifConstants
from delaytool.quantization.fold_batch_norm import folded
from delaytool.quantization.integer_lif import integer_lif, integer_readout
from delaytool.quantization.merge_taps import merged_taps
from delaytool.quantization.program import BatchNorm
from delaytool.quantization.quantize import bias_mantissas, membrane_decay, weight_steps
from delaytool.quantization.scales import IntegerScales, Scale


class LayerIntegers(NamedTuple):
    """A layer at its scale: float64 tensors that hold integers and pass gradients straight through.

    steps      (n_out, n_in, taps): weights as multiples of the target's weight step; taps on one delay merged
    mantissas  (n_out,): biases before their exponent
    """

    steps: Tensor
    mantissas: Tensor


def layer_integers(synapses: DelayedLinear, norm: nn.BatchNorm1d | None, scale: Scale, limits: Limits) -> LayerIntegers:
    """Batch norm folded as it stands (running statistics), taps merged, then rounded: the exporter's order."""
    weight = synapses.connected_weight().double()
    bias = weight.new_zeros(len(weight)) if synapses.bias is None else synapses.bias.double()
    if norm is not None:
        weight, bias = folded(weight, bias, BatchNorm.of(norm))
    if weight.shape[2] > 1 and not synapses.config.whole_kernels:
        _, delay = single_taps(weight, synapses.delays, synapses.config.kernel_size)
        weight, _ = merged_taps(weight, delay)
    return LayerIntegers(weight_steps(weight, scale, limits), bias_mantissas(bias, scale, limits))


def constants_of(config: ModelConfig, scale: Scale, limits: Limits) -> IntegerLifConstants:
    """The neurons of a layer at its scale."""
    return IntegerLifConstants(
        dv=membrane_decay(config.tau, limits),
        threshold=scale.threshold,
        unit=(limits.weight_step << scale.exponent) << STATE_SHIFT,
        state_unit=scale.state_unit,
        alpha=config.surrogate_alpha,
        detach_reset=config.detach_reset,
    )


class IntegerTraining(nn.Module):
    """A network as the chip will compute it, to the bit, with gradients that pass the rounding straight through.

    It trains and evaluates the parameters of the network that it wraps, with single taps:

        training = IntegerTraining(network, choose_training_scales(network, encoding, target, frames))
        class_scores(training(frames)).sum().backward()

    network   its parameters are what is learned; called by itself, it still computes in floats
    scales    of every layer, kept throughout. Raises ModelError where they are not as many as the layers
    """

    def __init__(self, network: DelayNetwork, scales: IntegerScales) -> None:
        super().__init__()
        if len(scales.scales) != network.config.n_layers:
            raise ModelError(
                f"{len(scales.scales)} integer scales for {network.config.n_layers} layers of neurons; give one each"
            )
        self.network, self.scales, self.limits = network, scales, scales.target.limits

    @property
    def config(self) -> ModelConfig:
        """The network's."""
        return self.network.config

    def forward(self, frames: Tensor, sigma: float | Unset | None = UNSET) -> Tensor:
        """Frames (batch, time, channel) to the readout's membrane (time, batch, class) within its window."""
        return self.traced(frames, sigma)[1]

    def traced(self, frames: Tensor, sigma: float | Unset | None = UNSET) -> tuple[list[Tensor], Tensor]:
        """As `DelayNetwork.traced`, in chip time: spikes of every step, the readout's membrane within its window.

        In evaluation the membrane is float64, so that classes are those of the integers to the last bit. Raises
        ModelError for a sigma that is a width: integers have single taps.
        """
        if not (sigma is None or isinstance(sigma, Unset)):
            raise ModelError(f"sigma {sigma}: a network in integers has single taps; leave it out, or give None")
        network = self.network
        start, n_steps = chip_steps(network.config, frames.shape[1])
        x = frames.to(network.readout.weight.dtype).transpose(0, 1)
        spikes = []
        *hidden_scales, scale = self.scales.scales
        for layer, hidden_scale in zip(network.hidden_layers(), hidden_scales, strict=True):
            x = self._hidden(layer, hidden_scale, x, n_steps)
            spikes.append(x)
        with _whole_products():
            sums, bias = self._input_sums(network.readout, None, scale, x, n_steps)
            v = integer_readout(sums, bias, constants_of(network.config, scale, self.limits))[start:]
        return spikes, (v if network.training else v.double()) / scale.state_unit

    def _hidden(self, layer: HiddenLayer, scale: Scale, x: Tensor, n_steps: int) -> Tensor:
        """A hidden layer's spikes, made again for the gradient where the layer is checkpointed."""

        def spikes(x: Tensor, mask: Tensor | None) -> Tensor:
            with _whole_products():  # here, as the backward pass makes a checkpointed layer outside `traced`
                sums, bias = self._input_sums(layer.synapses, layer.norm, scale, x, n_steps)
                return integer_lif(sums, bias, constants_of(layer.config, scale, self.limits), mask)

        mask = layer.dropout_mask(x)
        if layer.checkpointed and torch.is_grad_enabled():
            return checkpoint(spikes, x, mask, use_reentrant=False)  # type: ignore[no-any-return]
        return spikes(x, mask)

    def _input_sums(
        self, synapses: DelayedLinear, norm: nn.BatchNorm1d | None, scale: Scale, x: Tensor, n_steps: int
    ) -> tuple[Tensor, Tensor]:
        """(sums in weight steps (n_steps, batch, n_out), biases in units of v (n_out,)).

        The sums are whole numbers but for the rounding of a convolution through frequencies and for dropout; the
        neurons round them. As long as no current can wrap they are below 2^17, where that rounding is far below a half.
        """
        integers = layer_integers(synapses, norm, scale, self.limits)
        received = functional.pad(x, (0, 0, 0, 0, 1, 0))  # a spike takes one step besides its delay
        sums = synapses.convolved(received, n_steps, None, integers.steps.to(synapses.weight.dtype))
        assert scale.bias_exponent is not None
        return sums, integers.mantissas * (1 << scale.bias_exponent)


TrainedNetwork = DelayNetwork | IntegerTraining


def float_network(model: TrainedNetwork) -> DelayNetwork:
    """The network whose parameters are learned."""
    return model.network if isinstance(model, IntegerTraining) else model


def integer_scales(model: TrainedNetwork) -> IntegerScales | None:
    """The scales that a network is trained through; None where it is trained in floats."""
    return model.scales if isinstance(model, IntegerTraining) else None


def quantized_for(model: TrainedNetwork) -> str | None:
    """The name of the target through whose integers a network is trained; None where it is trained in floats."""
    return model.scales.target.name if isinstance(model, IntegerTraining) else None


def chip_steps(config: ModelConfig, n_frames: int) -> tuple[int, int]:
    """(the readout window's first step, steps of the run)."""
    last = config.n_layers - 1
    late = config.lateness_on_chip(last)
    return late, config.steps_of(last, n_frames) + late


@contextmanager
def _whole_products() -> Iterator[None]:
    """No shortened mantissas in the forward pass (`trainer.precision`): sums must come out whole."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
