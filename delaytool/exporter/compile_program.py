"""The exporter for networks that are no DelayNetwork: the same passes, in the same order, on their stages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.limits import placements
from delaytool.errors import ExportError
from delaytool.exporter.check_limits import check_limits
from delaytool.exporter.compile import Export, passes_in_integers
from delaytool.exporter.count_spikes import count_spikes
from delaytool.exporter.layer_summary import layer_summaries
from delaytool.exporter.record import ExportRecord
from delaytool.hw_configs import Target
from delaytool.models.stages import NamedStage
from delaytool.quantization.choose_scale import choose_scale
from delaytool.quantization.choose_storage import choose_storage
from delaytool.quantization.fold_batch_norm import fold_batch_norm
from delaytool.quantization.merge_taps import merge_taps
from delaytool.quantization.program_of_stages import program_of_stages
from delaytool.quantization.round_delays import round_delays
from delaytool.version import __version__

READOUTS = ("softmax-sum", "sum")


def export_stages(
    stages: Iterable[NamedStage],
    encoding: InputEncoding,
    target: Target,
    calibration: np.ndarray,
    *,
    readout: str = "softmax-sum",
    clip_delays: bool = False,
    class_names: tuple[str, ...] = (),
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Export:
    """Compile the stages of any network for a target, in memory.

    readout   how the class is read from the last membrane: 'softmax-sum' or 'sum' over all steps. Where the last
              neurons fire, their spikes are counted instead
    The other arguments are those of `compile.export`. Raises ExportError.
    """
    if readout not in READOUTS:
        raise ExportError(f"readout {readout!r} is unknown; choose one of {', '.join(READOUTS)}")
    program = program_of_stages(stages, encoding)
    program = fold_batch_norm(program)
    program = round_delays(program, target, clip=clip_delays)
    program = merge_taps(program)
    program = choose_scale(program, target, calibration, progress)
    network = passes_in_integers(program, target)
    layers = layer_summaries(program, network, placements(network, target), target)
    if program.layers[-1].threshold is not None:
        network = check_limits(choose_storage(count_spikes(network, target), target), target)
    else:
        network = replace(network, readout=replace(network.readout, method=readout))
    scales = tuple(layer.scale for layer in program.layers if layer.scale is not None)
    provenance = {
        "tool": f"delaytool {__version__}",
        **(provenance or {}),
        "calibration_samples": len(calibration),
        "layers": [layer.as_dict() for layer in layers],
    }
    record = ExportRecord(None, clip_delays, scales, len(calibration)).as_dict()
    network = replace(network, export=record, class_names=class_names, provenance=provenance)
    return Export(network, layers)
