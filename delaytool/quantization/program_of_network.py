"""A network of ours, trained in floats or through integers, becomes the program that the passes take."""

from __future__ import annotations

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.errors import ExportError
from delaytool.models.config import why_no_integers
from delaytool.quantization.finite_numbers import check_norm, finite_array
from delaytool.quantization.integer_training import TrainedNetwork, float_network, integer_scales
from delaytool.quantization.program import BatchNorm, FloatLayer, Program, Recurrence


def exportable_program(model: TrainedNetwork, encoding: InputEncoding) -> Program:
    """`program_of_network`, but ExportError that names what the integer contract lacks for the network's neurons."""
    if why := why_no_integers(model.config.neuron):
        raise ExportError(f"network: {why}, or evaluate the float network")
    return program_of_network(model, encoding)


def program_of_network(model: TrainedNetwork, encoding: InputEncoding) -> Program:
    """A trained network as arrays. The encoding's n_steps must be decided.

    Raises ExportError, which names the layer, for parameters that are not finite.
    """
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
        where = f"layer {names[index]}"
        weight = finite_array(where, "weight", synapses.connected_weight())
        batch_norm = None if norm is None else BatchNorm.of(norm).detached()
        if batch_norm is not None:
            check_norm(where, batch_norm)
        layers.append(
            FloatLayer(
                name=names[index],
                weight=weight,
                delay=finite_array(where, "delay", synapses.delays),
                bias=np.zeros(len(weight)) if synapses.bias is None else finite_array(where, "bias", synapses.bias),
                batch_norm=batch_norm,
                tau=taus[names[index]],
                current_tau=config.current_tau,
                threshold=config.threshold if index < len(network.hidden) else None,
                scale=None if scales is None else scales.scales[index],
                recurrent=None
                if recurrent is None
                else Recurrence(
                    finite_array(where, "recurrent weight", recurrent.connected_weight()),
                    finite_array(where, "recurrent delay", recurrent.delays),
                ),
            )
        )
    steps = tuple(config.steps_of(index, n_frames) for index in range(len(layers)))
    late = tuple(config.lateness_on_chip(index) for index in range(len(layers)))
    return Program(encoding, tuple(layers), steps, late, None if scales is None else scales.target)
