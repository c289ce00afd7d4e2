"""How a network was exported: what is needed to make the same integers of the same checkpoint again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from delaytool.contract.bounds import MAX_BIAS_EXPONENT, MAX_THRESHOLD, MAX_WEIGHT_EXPONENT
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import NetworkError
from delaytool.quantization.scales import Scale

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
