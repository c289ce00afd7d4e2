"""The exporter: its passes in order. Reading this list is reading the exporter."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import ExportError
from delaytool.exporter.passes.check_limits import Placement, check_limits
from delaytool.exporter.passes.write import write
from delaytool.exporter.record import ExportRecord
from delaytool.exporter.report import LayerReport, layer_reports
from delaytool.hw_configs import Target, load_target
from delaytool.models.delay_network import DelayNetwork
from delaytool.quantization.check_neurons import check_neurons
from delaytool.quantization.choose_scale import choose_scale
from delaytool.quantization.choose_storage import choose_storage
from delaytool.quantization.fold_batch_norm import fold_batch_norm
from delaytool.quantization.keep_scale import keep_scale
from delaytool.quantization.merge_taps import merge_taps
from delaytool.quantization.program import Program, program_of
from delaytool.quantization.quantize import quantize
from delaytool.quantization.round_delays import round_delays
from delaytool.quantization.scales import Scale
from delaytool.version import __version__


@dataclass(frozen=True)
class Export:
    """The network, what was done to each layer, and the chip through whose integers it was trained, if any."""

    network: IntegerNetwork
    layers: list[LayerReport]
    trained_for: str | None = None


def export(
    model: DelayNetwork,
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
    """Compile a trained network for a target and write it to `path`; None: nowhere.

    calibration   frames (sample, time, channel) that were not trained on: the scales are chosen by how well the
                  integers follow the float network on them
    checkpoint    'best' or 'last', to keep in the file; class_names: one per class, or none, likewise
    provenance    JSON values to keep in the file
    progress      called with (layer, scales tried, scales to try)
    A network that was trained through a chip's integers keeps them: no scale is tried. Raises ExportError.
    """
    program = _in_whole_delays(model, encoding, target, clip_delays)
    if program.trained_for is None:
        program = choose_scale(program, target, calibration, progress)
    network, placements = _in_integers(program, target)
    if program.trained_for is not None:
        program = keep_scale(program, model, network, calibration)
    layers = layer_reports(program, network, placements, target)
    kept = {
        "tool": f"delaytool {__version__}",
        **(provenance or {}),
        "calibration_samples": len(calibration),
        "trained_through": program.trained_for,
        "layers": [layer.as_dict() for layer in layers],
    }
    scales = tuple(layer.scale for layer in program.layers if layer.scale is not None)
    record = ExportRecord(checkpoint, clip_delays, scales, len(calibration))
    network = replace(network, export=record.as_dict(), class_names=class_names)
    network = replace(network, provenance=kept) if path is None else write(network, path, kept)
    return Export(network, layers, program.trained_for)


def compile_with_scales(
    model: DelayNetwork, encoding: InputEncoding, target: Target, scales: Sequence[Scale], *, clip_delays: bool = False
) -> IntegerNetwork:
    """The integers that `export` makes of a model for which these scales (of each layer) were chosen.

    Needs no calibration data, writes nothing. A network that was trained through a chip's integers has its own scales.
    Raises ExportError where it does not compile to such a network.
    """
    program = _in_whole_delays(model, encoding, target, clip_delays)
    if program.trained_for is None:
        if len(scales) != len(program.layers):
            raise ExportError(f"{len(scales)} layers have scales, the checkpoint has {len(program.layers)} layers")
        layers = (replace(layer, scale=scale) for layer, scale in zip(program.layers, scales, strict=True))
        program = replace(program, layers=tuple(layers))
    return _in_integers(program, target)[0]


def _in_whole_delays(model: DelayNetwork, encoding: InputEncoding, target: Target, clip_delays: bool) -> Program:
    """The passes before scales are needed."""
    check_neurons(model.config)
    program = program_of(model, encoding)
    program = fold_batch_norm(program)
    program = round_delays(program, target, clip=clip_delays)
    return merge_taps(program)


def _in_integers(program: Program, target: Target) -> tuple[IntegerNetwork, list[Placement]]:
    """The passes after every layer has its scale."""
    if program.trained_for is None:
        network = choose_storage(quantize(program, target), target)
        return network, check_limits(network, target)
    network = replace(quantize(program, load_target(program.trained_for)), target=target.name)
    network = choose_storage(network, target)
    return network, _check_as_trained(network, target, program.trained_for)


def _check_as_trained(network: IntegerNetwork, target: Target, trained_for: str) -> list[Placement]:
    try:
        return check_limits(network, target)
    except ExportError as error:
        if target.name == trained_for:
            raise
        raise ExportError(
            f"the run was trained through {trained_for}'s integers, which {target.name} does not hold ({error}); "
            f"export with --target {trained_for}, or train with --set trainer.quantize={target.name}"
        ) from None
