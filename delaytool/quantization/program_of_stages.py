"""Anyone's network, given as stages, becomes the program that the passes take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from delaytool.contract.encoding import InputEncoding
from delaytool.errors import ExportError
from delaytool.models.stages import NamedStage, Neurons, Norm, Synapses, padded
from delaytool.quantization.fold_batch_norm import folded
from delaytool.quantization.program import BatchNorm, FloatLayer, Program, Recurrence, array_of


@dataclass
class _Layer:
    """What has been read of a layer so far; `at` names its synapses' module."""

    at: str
    synapses: Synapses
    norm: Norm | None = None
    neurons: Neurons | None = None


def program_of_stages(stages: Iterable[NamedStage], encoding: InputEncoding) -> Program:
    """The stages of a model, in order, as a program. The encoding's n_steps must be decided.

    Layers are called hidden1, hidden2, ... and readout; where the last population fires, it is a hidden one, and the
    exporter adds a readout that counts its spikes. Every layer runs as many steps as the frames have, and as its
    padding adds. Raises ExportError, which names the module, for an order or values that no integer network has.
    """
    layers = _layers(stages)
    n_frames = encoding.n_steps
    assert n_frames is not None, "the encoding is resolved"
    n_inputs, built = encoding.n_channels, []
    lengths = []
    for index, layer in enumerate(layers):
        last = index == len(layers) - 1
        fires = layer.neurons is not None and layer.neurons.threshold is not None
        built.append(_float_layer(layer, "readout" if last and not fires else f"hidden{index + 1}", n_inputs))
        if not last and not fires:
            raise ExportError(
                f"module {layer.at}: no neurons fire between these synapses and the next, so that what is sent on is "
                "no spike; put neurons behind it"
            )
        n_inputs = built[-1].n_neurons
        n_frames += layer.synapses.lengthens
        if n_frames < 1:
            raise ExportError(f"module {layer.at}: its output has {n_frames} steps; give longer frames or pad them")
        lengths.append(n_frames)
    return Program(encoding, tuple(built), tuple(lengths), tuple(range(1, len(built) + 1)))


def _layers(stages: Iterable[NamedStage]) -> list[_Layer]:
    layers: list[_Layer] = []
    for named in padded(stages):
        stage = named.stage
        if isinstance(stage, Synapses):
            layers.append(_Layer(named.module, stage))
            continue
        if not layers:
            raise ExportError(f"module {named.module}: it stands before any synapses; begin with those from the input")
        if layers[-1].neurons is not None:
            raise ExportError(
                f"module {named.module}: it follows neurons ({layers[-1].at}'s) without synapses between them; put "
                "synapses before it"
            )
        if isinstance(stage, Norm):
            if layers[-1].norm is not None:
                raise ExportError(f"module {named.module}: a second norm behind {layers[-1].at}; leave one out")
            layers[-1].norm = stage
        elif isinstance(stage, Neurons):
            layers[-1].neurons = stage
    if not layers:
        raise ExportError("model: it has no synapses; give a network with at least one DelayedLinear or Linear")
    return layers


def _float_layer(layer: _Layer, name: str, n_inputs: int) -> FloatLayer:
    synapses = layer.synapses
    neurons = layer.neurons or Neurons(tau=1.0, threshold=None)
    weight = array_of(synapses.weight)
    if weight.ndim != 3 or weight.shape[1] != n_inputs:
        raise ExportError(
            f"module {layer.at}: its weights have shape {weight.shape}, (outputs, {n_inputs} inputs, taps) are needed; "
            "give frames with its number of channels, or mend the layer before it"
        )
    norm = None if layer.norm is None else _batch_norm(layer.norm, layer.at, len(weight), neurons.gain)
    gain = neurons.gain if norm is None else 1.0
    bias = np.zeros(len(weight)) if synapses.bias is None else gain * array_of(synapses.bias)
    return FloatLayer(
        name=name,
        weight=gain * weight,
        delay=_delays(synapses, layer.at),
        bias=bias,
        batch_norm=norm,
        tau=neurons.tau,
        threshold=neurons.threshold,
        current_tau=_current_tau(layer, neurons),
        recurrent=_recurrence(layer, neurons, len(weight)),
    )


def _current_tau(layer: _Layer, neurons: Neurons) -> float:
    """The chip's currents decay before the bias is added: a bias that decays with them is another network."""
    if neurons.current_tau == 1:
        return layer.synapses.current_tau
    if layer.synapses.current_tau != 1:
        raise ExportError(f"module {layer.at}: its current decays, and so does that of its neurons; leave one out")
    offset = np.zeros(1) if layer.synapses.bias is None else array_of(layer.synapses.bias)
    if layer.norm is not None:
        norm = _batch_norm(layer.norm, layer.at, len(layer.synapses.weight), 1.0)
        offset = folded(torch.zeros(len(norm.gamma), 1), torch.from_numpy(offset), norm)[1].numpy()
    if np.any(offset != 0):
        raise ExportError(
            f"module {layer.at}: its bias (or its norm's) passes through the neurons' decaying current, and a chip "
            "adds biases past it; build it with bias=False and without norm"
        )
    return neurons.current_tau


def _recurrence(layer: _Layer, neurons: Neurons, n_neurons: int) -> Recurrence | None:
    within = neurons.recurrent
    if within is None:
        return None
    current_tau = _current_tau(layer, neurons)
    if within.current_tau != current_tau:
        raise ExportError(
            f"module {layer.at}: its current decays with {current_tau:g} steps, that of its neurons' recurrent spikes "
            f"with {within.current_tau:g}, and a chip's neuron has one current; give both the same current_tau"
        )
    weight = array_of(within.weight)
    if weight.shape[:2] != (n_neurons, n_neurons):
        raise ExportError(
            f"module {layer.at}: the recurrent weights of its neurons have shape {weight.shape}, "
            f"({n_neurons}, {n_neurons}, taps) are needed"
        )
    return Recurrence(neurons.gain * weight, _delays(within, layer.at))


def _delays(synapses: Synapses, at: str) -> np.ndarray:
    delay = np.broadcast_to(array_of(synapses.delay), synapses.weight.shape).copy()
    earliest = np.round(delay[array_of(synapses.weight) != 0]).min(initial=0)
    if earliest < 0:
        raise ExportError(
            f"module {at}: it reads input {int(-earliest)} steps ahead of its time; pad its input by so many steps "
            "more at the front (torch.nn.ConstantPad1d, or a Padding stage)"
        )
    return np.maximum(delay, 0)


def _batch_norm(norm: Norm, at: str, n_neurons: int, gain: float) -> BatchNorm:
    gamma, beta, mean, variance = (
        tensor.detach().cpu().double() for tensor in (norm.gamma, norm.beta, norm.mean, norm.variance)
    )
    if gamma.shape != (n_neurons,):
        raise ExportError(f"module {at}: the norm behind it has {len(gamma)} channels for {n_neurons} neurons")
    return BatchNorm(gain * gamma, gain * beta, mean, variance, norm.eps)
