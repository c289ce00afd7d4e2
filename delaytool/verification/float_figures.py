"""Accuracies of the network that was trained, measured now or recorded by the exporter."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from delaytool.contract.digests import canonical_json

# What the accuracy of a network that was trained through integers is called.
TRAINED_INTEGERS = "as trained, integers"
_SIGNED = ("digest", "samples", "as_trained", "rounded")


@dataclass(frozen=True)
class FloatFigures:
    """Accuracies (0..1) of the checkpoint on the same samples, and where the figures come from.

    recorded        read from the network file, which nothing but its digest vouches for; else measured now
    quantized_for   the target through whose integers the checkpoint was trained: both are then of these, one figure
    """

    as_trained: float
    rounded: float
    origin: str
    recorded: bool = False
    quantized_for: str | None = None

    def by_network(self) -> dict[str, float]:
        """Each accuracy by the network that has it.

        >>> FloatFigures(0.9, 0.8, "made up").by_network()
        {'float, as trained': 0.9, 'float, delays rounded': 0.8}
        >>> FloatFigures(0.8, 0.8, "made up", quantized_for="loihi2").by_network()
        {'as trained, integers': 0.8}
        """
        if self.quantized_for is None:
            return {"float, as trained": self.as_trained, "float, delays rounded": self.rounded}
        return {TRAINED_INTEGERS: self.rounded}


def float_record(
    checkpoint_sha256: str, samples_digest: str, as_trained: Sequence[int], rounded: Sequence[int]
) -> dict[str, Any]:
    """What the exporter keeps of the trained network's predictions, with a digest that binds them to the checkpoint.

    samples_digest   of the frames and labels (`datasets.digest`)
    as_trained, rounded   a class for each sample
    """
    record: dict[str, Any] = {
        "digest": samples_digest,
        "samples": len(rounded),
        "as_trained": [int(value) for value in as_trained],
        "rounded": [int(value) for value in rounded],
    }
    return {**record, "sha256": _sha256(checkpoint_sha256, record)}


def recorded_figures(
    provenance: Mapping[str, Any], samples_digest: str, labels: np.ndarray, chosen: np.ndarray
) -> FloatFigures | str:
    """The record's accuracies on the samples `chosen` (indices of all), or why they do not count.

    labels (sample,) of all samples, samples_digest of them and their frames. The record's own digest shows what was
    changed by mistake or by hand, not what somebody signed anew: only `--run` measures.
    """
    record = provenance.get("float")
    quantized_for = provenance.get("quantized_for", provenance.get("trained_through"))  # its former key
    if not isinstance(record, Mapping):
        return "the file records no float accuracy"
    if record.get("digest") != samples_digest or record.get("samples") != len(labels):
        return "the float accuracy that the file records is of other samples"
    if "sha256" not in record:
        return "the float accuracy that the file records has no digest (an earlier version wrote it)"
    try:
        if record["sha256"] != _sha256(provenance["checkpoint_sha256"], record):
            return "the float accuracy that the file records does not have its digest: it was changed"
        answers = {name: np.asarray(record[name]) for name in ("as_trained", "rounded")}
    except (KeyError, TypeError, ValueError):
        return "the float accuracy that the file records is damaged"
    if any(array.shape != labels.shape or array.dtype.kind not in "iu" for array in answers.values()):
        return "the float accuracy that the file records is damaged"
    accuracy = {name: float((array[chosen] == labels[chosen]).mean()) for name, array in answers.items()}
    origin = "recorded by the exporter, not measured now"
    return FloatFigures(**accuracy, origin=origin, recorded=True, quantized_for=quantized_for)


def _sha256(checkpoint_sha256: str, record: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of the checkpoint's digest and the recorded fields."""
    signed = {"checkpoint_sha256": checkpoint_sha256, **{name: record[name] for name in _SIGNED}}
    return hashlib.sha256(canonical_json(signed).encode()).hexdigest()
