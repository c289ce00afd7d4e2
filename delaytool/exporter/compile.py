"""The exporter: its passes in order. Reading this list is reading the exporter."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.limits import placements
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import ExportError
from delaytool.exporter.check_limits import check_limits
from delaytool.exporter.layer_summary import LayerSummary, layer_summaries
from delaytool.exporter.record import ExportRecord
from delaytool.hw_configs import Target, load_target
from delaytool.quantization.check_neurons import check_neurons
from delaytool.quantization.choose_scale import choose_scale
from delaytool.quantization.choose_storage import choose_storage
from delaytool.quantization.fold_batch_norm import fold_batch_norm
from delaytool.quantization.integer_training import TrainedNetwork
from delaytool.quantization.keep_scale import keep_scale
from delaytool.quantization.merge_taps import merge_taps
from delaytool.quantization.program import Program, program_of
from delaytool.quantization.quantize import quantize
from delaytool.quantization.round_delays import round_delays
from delaytool.quantization.scales import Scale
from delaytool.version import __version__


@dataclass(frozen=True)
class Export:
    """The network, a summary of each layer, and the target through whose integers it was trained, if any."""

    network: IntegerNetwork
    layers: list[LayerSummary]
    quantized_for: str | None = None


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
    provenance: dict[str, Any] | None = None,
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
    program = passes_in_floats(model, encoding, target, clip_delays)
    if program.quantized_for is None:
        program = choose_scale(program, target, calibration, progress)
    network = passes_in_integers(program, target)
    if program.quantized_for is not None:
        program = keep_scale(program, model, network, calibration)
    layers = layer_summaries(program, network, placements(network, target), target)
    scales = tuple(layer.scale for layer in program.layers if layer.scale is not None)
    network = replace(
        network,
        export=ExportRecord(checkpoint, clip_delays, scales, len(calibration)).as_dict(),
        class_names=class_names,
        provenance={
            "tool": f"delaytool {__version__}",
            **(provenance or {}),
            "calibration_samples": len(calibration),
            "quantized_for": program.quantized_for,
            "trained_through": program.quantized_for,  # the former key, for one more version
            "layers": [layer.as_dict() for layer in layers],
        },
    )
    if path is not None:
        network.save(path)
    return Export(network, layers, program.quantized_for)


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
    program = passes_in_floats(model, encoding, target, clip_delays)
    if program.quantized_for is None:
        if len(scales) != len(program.layers):
            raise ExportError(f"{len(scales)} layers have scales, the checkpoint has {len(program.layers)} layers")
        layers = (replace(layer, scale=scale) for layer, scale in zip(program.layers, scales, strict=True))
        program = replace(program, layers=tuple(layers))
    return passes_in_integers(program, target)


def passes_in_floats(model: TrainedNetwork, encoding: InputEncoding, target: Target, clip_delays: bool) -> Program:
    """The passes before layers need their scales."""
    check_neurons(model.config)
    program = program_of(model, encoding)
    program = fold_batch_norm(program)
    program = round_delays(program, target, clip=clip_delays)
    return merge_taps(program)


def passes_in_integers(program: Program, target: Target) -> IntegerNetwork:
    """The passes after every layer has its scale. Integers that were trained stay what they are on any target."""
    rounding = target if program.quantized_for is None else load_target(program.quantized_for)
    network = replace(quantize(program, rounding), target=target.name)
    network = choose_storage(network, target)
    return check_limits(network, target, program.quantized_for)
