"""The network in the integers of a grid: what the chip will compute, to the bit, with gradients straight through.

Weights, folded batch norm and biases are rounded to the grid in every pass, and neurons are the integer contract's.
Time is the chip's whatever `model.timing` says: a spike takes one step besides its delay, every layer runs the whole
run with its bias, and the readout is read in the window that the exporter writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from delaytool.contract.bounds import STATE_SHIFT
from delaytool.hw_configs import Limits
from delaytool.models.config import ModelConfig
from delaytool.models.delayed_linear import DelayedLinear
from delaytool.models.interpolation import single_taps
from delaytool.models.neurons.loops import IntegerLifConstants
from delaytool.quantization.integer_lif import integer_lif, integer_readout
from delaytool.quantization.scales import (
    Normalization,
    Scale,
    bias_mantissas,
    folded,
    membrane_decay,
    merged_taps,
    weight_steps,
)

if TYPE_CHECKING:
    from delaytool.models.delay_network import DelayNetwork, HiddenLayer


class LayerIntegers(NamedTuple):
    """A layer on its grid, float64 tensors that hold integers and pass gradients straight through.

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
        weight, bias = folded(weight, bias, normalization_of(norm))
    if weight.shape[2] > 1 and not synapses.config.whole_kernels:
        _, delay = single_taps(weight, synapses.delays, synapses.config.kernel_size)
        weight, _ = merged_taps(weight, delay)
    return LayerIntegers(weight_steps(weight, scale, limits), bias_mantissas(bias, scale, limits))


def normalization_of(norm: nn.BatchNorm1d) -> Normalization:
    """Batch norm with its running statistics, in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return Normalization(
        gamma=norm.weight.double(),
        beta=norm.bias.double(),
        mean=norm.running_mean.double(),
        variance=norm.running_var.double(),
        eps=norm.eps,
    )


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


def chip_steps(config: ModelConfig, n_frames: int) -> tuple[int, int]:
    """(the readout window's first step, steps of the run)."""
    last = config.n_layers - 1
    late = config.lateness_on_chip(last)
    return late, config.steps_of(last, n_frames) + late


def traced(network: DelayNetwork, frames: Tensor) -> tuple[list[Tensor], Tensor]:
    """As `DelayNetwork.traced`, in chip time: spikes of every step, the readout's membrane within its window.

    In evaluation the membrane is float64, so that classes are those of the integers to the last bit.
    """
    grid, config = network.grid, network.config
    assert grid is not None, "a network without a grid has no integers"
    limits = grid.limits
    start, n_steps = chip_steps(config, frames.shape[1])
    x = frames.to(network.readout.weight.dtype).transpose(0, 1)
    spikes = []
    *hidden_scales, scale = grid.scales
    with _whole_products():
        for layer, hidden_scale in zip(network.hidden_layers(), hidden_scales, strict=True):
            x = _hidden(layer, hidden_scale, limits, x, n_steps)
            spikes.append(x)
        sums, bias = _arriving(network.readout, None, scale, limits, x, n_steps)
        v = integer_readout(sums, bias, constants_of(config, scale, limits))[start:]
    return spikes, (v if network.training else v.double()) / scale.state_unit


@contextmanager
def _whole_products() -> Iterator[None]:
    """No shortened mantissas in the forward pass (`trainer.precision`): sums must come out whole."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _hidden(layer: HiddenLayer, scale: Scale, limits: Limits, x: Tensor, n_steps: int) -> Tensor:
    """A hidden layer's spikes, made again for the gradient where the layer is checkpointed."""

    def spikes(x: Tensor, mask: Tensor | None) -> Tensor:
        sums, bias = _arriving(layer.synapses, layer.norm, scale, limits, x, n_steps)
        return integer_lif(sums, bias, constants_of(layer.config, scale, limits), mask)

    mask = layer.dropout_mask(x)
    if layer.checkpointed and torch.is_grad_enabled():
        return checkpoint(spikes, x, mask, use_reentrant=False)  # type: ignore[no-any-return]
    return spikes(x, mask)


def _arriving(
    synapses: DelayedLinear, norm: nn.BatchNorm1d | None, scale: Scale, limits: Limits, x: Tensor, n_steps: int
) -> tuple[Tensor, Tensor]:
    """(sums in weight steps (n_steps, batch, n_out), biases in units of v (n_out,)).

    The sums are whole numbers but for the rounding of a convolution through frequencies and for dropout; the neurons
    round them. As long as no current can wrap they are below 2^17, where that rounding is far below a half.
    """
    whole = layer_integers(synapses, norm, scale, limits)
    heard = functional.pad(x, (0, 0, 0, 0, 1, 0))
    sums = synapses.convolved(heard, n_steps, None, whole.steps.to(synapses.weight.dtype))
    assert scale.bias_exponent is not None
    return sums, whole.mantissas * (1 << scale.bias_exponent)
