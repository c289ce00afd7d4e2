"""What the exporter records: how to make the same integers of the same checkpoint again, and what became of each layer.

Both are plain values in the network's file; tables and pages are made of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from delaytool.contract.bounds import MAX_BIAS_EXPONENT, MAX_THRESHOLD, MAX_WEIGHT_EXPONENT, STATE_LIMIT
from delaytool.contract.limits import placements
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.reach import state_bounds
from delaytool.errors import NetworkError
from delaytool.hw_configs import Target
from delaytool.quantization.program import Program
from delaytool.quantization.quantize import Quantization, quantization_of
from delaytool.quantization.scales import Scale
from delaytool.version import __version__

CHECKPOINTS = ("best", "last")


@dataclass(frozen=True)
class ExportRecord:
    """What `IntegerNetwork.export` holds.

    checkpoint            'best' or 'last' of the run; None: the file does not state it (an earlier version wrote it)
    clip_delays           whether delays over the chip's limit were cut
    scales                of each layer
    calibration_samples   on which they were chosen
    """

    checkpoint: str | None
    clip_delays: bool
    scales: tuple[Scale, ...]
    calibration_samples: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "scales": [asdict(scale) for scale in self.scales]}

    @staticmethod
    def of(network: IntegerNetwork) -> ExportRecord | None:
        """The network's record; None where it has none. Raises NetworkError for a damaged one.

        Files of schema version 1 have the same figures in their export report, but for the checkpoint's name.
        """
        try:
            if network.export:
                return _from_dict(network.export)
            layers = network.provenance.get("layers")
            return _from_report(network.provenance, layers) if layers else None
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise NetworkError(
                f"the network's record of its export is damaged ({type(error).__name__}: {error}); export it again"
            ) from None


def _from_dict(values: Mapping[str, Any]) -> ExportRecord:
    checkpoint = values.get("checkpoint")
    if checkpoint not in (None, *CHECKPOINTS):
        raise ValueError(f"checkpoint {checkpoint!r} is none of {', '.join(CHECKPOINTS)}")
    if not isinstance(values["clip_delays"], bool):
        raise ValueError(f"clip_delays {values['clip_delays']!r} is not true or false")
    scales = tuple(_scale(one) for one in values["scales"])
    return ExportRecord(checkpoint, values["clip_delays"], scales, int(values["calibration_samples"]))


def _from_report(provenance: Mapping[str, Any], layers: list[Mapping[str, Any]]) -> ExportRecord:
    scales = (
        _scale({"per_unit": layer["units_per_one"], "exponent": layer["exponent"], "threshold": layer["threshold"]})
        for layer in layers
    )
    clipped = any(layer["clipped_delays"] for layer in layers)
    return ExportRecord(None, clipped, tuple(scales), int(provenance.get("calibration_samples") or 0))


def _scale(values: Mapping[str, Any]) -> Scale:
    per_unit = float(values["per_unit"])
    if not (math.isfinite(per_unit) and per_unit > 0):
        raise ValueError(f"per_unit {per_unit:g} is not a finite positive number")
    limits = {"exponent": MAX_WEIGHT_EXPONENT, "threshold": MAX_THRESHOLD, "bias_exponent": MAX_BIAS_EXPONENT}
    integers: dict[str, Any] = {}
    for name, limit in limits.items():
        value = values.get(name)
        if name == "bias_exponent" and value is None:
            continue
        if type(value) is not int or not 0 <= value <= limit:
            raise ValueError(f"{name} {value!r} is not an integer in 0..{limit}")
        integers[name] = value
    return Scale(per_unit=per_unit, **integers)


@dataclass(frozen=True)
class LayerSummary:
    """One layer of an exported network.

    units_per_one       integer units (weight << exponent) that 1.0 became
    weight_error        root mean square error of the weights, relative to theirs
    clipped_weights     share of the weights beyond the range
    clipped_delays      taps whose delay was cut to the limit
    disagreement        share of the spikes that differ from the float network's on the calibration samples;
                        of the readout: its membrane's relative error
    current_reach       largest |u| that any input can cause, as a share of the 24-bit range: below 1, it cannot wrap
    membrane_reach      the same of |v|, as if the layer never reset (without a leak: within a run); of the readout, of
                        its threshold
    delay_histogram     taps of nonzero weight on each delay, from 0
    """

    name: str
    neurons: int
    synapses: int
    units_per_one: float
    exponent: int
    threshold: int
    weight_error: float
    clipped_weights: float
    clipped_delays: int
    merged_taps: int
    disagreement: float
    current_reach: float
    membrane_reach: float
    synapse_bytes: int
    cores: int
    delay_histogram: list[int]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def layer_summaries(program: Program, network: IntegerNetwork, target: Target) -> list[LayerSummary]:
    """One summary per layer, in order."""
    summaries = []
    for layer, built, place in zip(program.layers, network.layers, placements(network, target), strict=True):
        scale = layer.scale
        assert scale is not None, "choose_scale comes first"
        # Integers that were trained are not rounded from anything.
        quantization = quantization_of(layer, target) if program.quantized_for is None else Quantization(0.0, 0.0)
        bounds = state_bounds(built, network.payloads, network.n_steps)
        delays = np.concatenate([group.listed()[3] for group in built.synapses])
        reach = bounds.highest / bounds.threshold if layer.threshold is None else bounds.membrane / STATE_LIMIT
        summaries.append(
            LayerSummary(
                name=layer.name,
                neurons=built.n_neurons,
                synapses=built.n_synapses,
                units_per_one=scale.per_unit,
                exponent=scale.exponent,
                threshold=scale.threshold,
                weight_error=quantization.weight_error,
                clipped_weights=quantization.clipped_share,
                clipped_delays=layer.clipped_delays,
                merged_taps=layer.merged_taps,
                disagreement=layer.disagreement,
                current_reach=bounds.current / STATE_LIMIT,
                membrane_reach=reach,
                synapse_bytes=place.synapse_bytes,
                cores=place.cores,
                delay_histogram=np.bincount(delays, minlength=1).tolist(),
            )
        )
    return summaries


def recorded(
    network: IntegerNetwork, record: ExportRecord, layers: list[LayerSummary], provenance: Mapping[str, Any]
) -> IntegerNetwork:
    """The network, with all that its file keeps of how it was made."""
    return replace(
        network,
        export=record.as_dict(),
        provenance={
            "tool": f"delaytool {__version__}",
            **provenance,
            "calibration_samples": record.calibration_samples,
            "layers": [layer.as_dict() for layer in layers],
        },
    )
