"""The exporter: its passes in order. Reading this list is reading the exporter."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.limits import check_limits
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import ExportError
from delaytool.exporter.record import ExportRecord, LayerSummary, layer_summaries, recorded
from delaytool.hw_configs import Target
from delaytool.models.stages import NamedStage
from delaytool.quantization.choose_scale import choose_scale, keep_scale
from delaytool.quantization.choose_storage import choose_storage
from delaytool.quantization.count_spikes import count_spikes
from delaytool.quantization.fold_batch_norm import fold_batch_norm
from delaytool.quantization.integer_training import TrainedNetwork
from delaytool.quantization.merge_taps import merge_taps
from delaytool.quantization.program import Program
from delaytool.quantization.program_of_network import exportable_program
from delaytool.quantization.program_of_stages import program_of_stages
from delaytool.quantization.quantize import quantize
from delaytool.quantization.round_delays import round_delays
from delaytool.quantization.scales import Scale
from delaytool.runtime.backends.torch import run_layer

READOUTS = ("softmax-sum", "sum")


@dataclass(frozen=True)
class Export:
    """The network, a summary of each layer, and the target through whose integers it was trained, if any.

    warnings   sentences about the run's data that a user should read
    """

    network: IntegerNetwork
    layers: list[LayerSummary]
    quantized_for: str | None = None
    warnings: tuple[str, ...] = ()


def export(
    model: TrainedNetwork,
    encoding: InputEncoding,
    target: Target,
    path: str | os.PathLike[str] | None,
    calibration: np.ndarray,
    *,
    clip_delays: bool = False,
    checkpoint: str | None = None,
    class_names: tuple[str, ...] = (),
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Export:
    """Compile a trained network for a target and write it to `path`, whole or not at all; None: nowhere.

    calibration   frames (sample, time, channel) that were not trained on: the scales are chosen by how well the
                  integers follow the float network on them
    checkpoint    'best' or 'last', to keep in the file; class_names: one per class, or none, likewise
    provenance    JSON values to keep in the file
    progress      called with (layer, scales tried, scales to try)
    A network that was trained through a chip's integers keeps its scales: none is tried. Raises ExportError.
    """
    program = passes_in_floats(exportable_program(model, encoding), target, clip_delays)
    if program.quantized_for is None:
        program = choose_scale(program, target, calibration, run_layer, progress)
    else:
        program = keep_scale(program, model, calibration, run_layer)
    network = passes_in_integers(program, target)
    layers = layer_summaries(program, network, target)
    quantized_for = None if program.quantized_for is None else program.quantized_for.name
    network = recorded(
        replace(network, class_names=class_names),
        ExportRecord(checkpoint, clip_delays, program.scales, len(calibration)),
        layers,
        # 'trained_through' is the former key, for one more version
        {**(provenance or {}), "quantized_for": quantized_for, "trained_through": quantized_for},
    )
    if path is not None:
        network.save(path)
    return Export(network, layers, quantized_for)


def export_stages(
    stages: Iterable[NamedStage],
    encoding: InputEncoding,
    target: Target,
    calibration: np.ndarray,
    *,
    readout: str | None = None,
    clip_delays: bool = False,
    class_names: tuple[str, ...] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> Export:
    """Compile the stages of a network that is no DelayNetwork for a target, in memory.

    readout   how the class is read from the last membrane: 'softmax-sum' (None) or 'sum' over all steps. Where the last
              neurons fire, their spikes are counted, and a readout is refused
    The other arguments are those of `export`. Raises ExportError.
    """
    if readout is not None and readout not in READOUTS:
        raise ExportError(f"readout {readout!r} is unknown; choose one of {', '.join(READOUTS)}")
    program = passes_in_floats(program_of_stages(stages, encoding), target, clip_delays)
    if readout is not None and program.layers[-1].threshold is not None:
        raise ExportError(
            f"readout {readout!r} would have no effect: the last layer's neurons fire, and their spikes are counted; "
            "leave it out"
        )
    program = choose_scale(program, target, calibration, run_layer, progress)
    network = passes_in_integers(program, target)
    layers = layer_summaries(program, network, target)
    if program.layers[-1].threshold is not None:
        network = choose_storage(count_spikes(network, target), target)
        check_limits(network, target)
    else:
        network = replace(network, readout=replace(network.readout, method=readout or READOUTS[0]))
    record = ExportRecord(None, clip_delays, program.scales, len(calibration))
    return Export(recorded(replace(network, class_names=class_names), record, layers, {}), layers)


def compile_with_scales(
    model: TrainedNetwork,
    encoding: InputEncoding,
    target: Target,
    scales: Sequence[Scale],
    *,
    clip_delays: bool = False,
) -> IntegerNetwork:
    """The integers that `export` makes of a model for which these scales (of each layer) were chosen.

    Needs no calibration data, writes nothing. A network that was trained through a chip's integers has its own scales.
    Raises ExportError where it does not compile to such a network.
    """
    program = passes_in_floats(exportable_program(model, encoding), target, clip_delays)
    if program.quantized_for is None:
        if len(scales) != len(program.layers):
            raise ExportError(f"{len(scales)} layers have scales, the checkpoint has {len(program.layers)} layers")
        layers = (replace(layer, scale=scale) for layer, scale in zip(program.layers, scales, strict=True))
        program = replace(program, layers=tuple(layers))
    return passes_in_integers(program, target, whole_neurons=False)  # as a file of before is loaded


def passes_in_floats(program: Program, target: Target, clip_delays: bool) -> Program:
    """The passes before layers need their scales."""
    program = fold_batch_norm(program)
    program = round_delays(program, target, clip=clip_delays)
    return merge_taps(program)


def passes_in_integers(program: Program, target: Target, *, whole_neurons: bool = True) -> IntegerNetwork:
    """The passes after every layer has its scale. whole_neurons: whether a core must hold each neuron whole."""
    network = quantize(program, target)
    network = choose_storage(network, target)
    check_limits(network, target, program.quantized_for, whole_neurons=whole_neurons)
    return network
