"""Anyone's network, given as stages, becomes the program that the passes take."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from delaytool.contract.encoding import InputEncoding
from delaytool.errors import ExportError
from delaytool.models.stages import NamedStage, Neurons, Norm, Synapses, padded
from delaytool.quantization.finite_numbers import check_norm, finite_array
from delaytool.quantization.fold_batch_norm import folded
from delaytool.quantization.program import BatchNorm, FloatLayer, Program, Recurrence


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
    where = f"module {layer.at}"
    _check_constants(where, layer, neurons)
    weight = finite_array(where, "weight", synapses.weight)
    if weight.ndim != 3 or weight.shape[1] != n_inputs:
        raise ExportError(
            f"module {layer.at}: its weights have shape {weight.shape}, (outputs, {n_inputs} inputs, taps) are needed; "
            "give frames with its number of channels, or mend the layer before it"
        )
    norm = None if layer.norm is None else _batch_norm(layer.norm, layer.at, len(weight), neurons.gain)
    gain = neurons.gain if norm is None else 1.0
    bias = np.zeros(len(weight)) if synapses.bias is None else gain * finite_array(where, "bias", synapses.bias)
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


def _check_constants(where: str, layer: _Layer, neurons: Neurons) -> None:
    time_constants = {"tau of its neurons": neurons.tau, "current_tau of its neurons": neurons.current_tau}
    for name, value in {**time_constants, "current_tau": layer.synapses.current_tau}.items():
        if not value >= 1:
            raise ExportError(
                f"{where}: {name} is {value:g} steps, and the least is 1, at which nothing is kept from step to step; "
                "give it in steps, not in seconds"
            )
    threshold = neurons.threshold
    if threshold is not None and not (math.isfinite(threshold) and threshold > 0):
        raise ExportError(
            f"{where}: threshold of its neurons is {threshold:g}; it must be a finite number above 0, or None for a "
            "readout that never fires"
        )
    if not math.isfinite(neurons.gain):
        raise ExportError(f"{where}: gain of its neurons is {neurons.gain:g}; it must be a finite number")


def _current_tau(layer: _Layer, neurons: Neurons) -> float:
    """The chip's currents decay before the bias is added: a bias that decays with them is another network."""
    if neurons.current_tau == 1:
        return layer.synapses.current_tau
    if layer.synapses.current_tau != 1:
        raise ExportError(f"module {layer.at}: its current decays, and so does that of its neurons; leave one out")
    offset = (
        np.zeros(1) if layer.synapses.bias is None else finite_array(f"module {layer.at}", "bias", layer.synapses.bias)
    )
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
    where = f"module {layer.at}"
    if within.bias is not None and finite_array(where, "bias of its neurons' recurrent synapses", within.bias).any():
        raise ExportError(
            f"{where}: its neurons' recurrent synapses have a bias, and a chip's neuron has one, past all synapses; "
            "leave it out, or add it to the bias of the synapses before the neurons"
        )
    if within.lengthens != 0:
        raise ExportError(
            f"{where}: its neurons' recurrent synapses lengthen their output by {within.lengthens} steps, and a layer "
            "receives its own spikes for as long as it runs; pad the input of the synapses before the neurons instead"
        )
    weight = finite_array(where, "weight of its neurons' recurrent synapses", within.weight)
    if weight.shape[:2] != (n_neurons, n_neurons):
        raise ExportError(
            f"module {layer.at}: the recurrent weights of its neurons have shape {weight.shape}, "
            f"({n_neurons}, {n_neurons}, taps) are needed"
        )
    return Recurrence(neurons.gain * weight, _delays(within, layer.at))


def _delays(synapses: Synapses, at: str) -> np.ndarray:
    delay = np.broadcast_to(finite_array(f"module {at}", "delay", synapses.delay), synapses.weight.shape).copy()
    connected = (synapses.weight != 0).cpu().numpy()
    earliest = np.round(delay[connected]).min(initial=0)
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
    batch_norm = BatchNorm(gain * gamma, gain * beta, mean, variance, norm.eps)
    check_norm(f"module {at}", batch_norm)
    return batch_norm
