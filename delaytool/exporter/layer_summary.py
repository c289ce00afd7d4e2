"""What the exporter did to each layer, as plain values for tables, pages and the network file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from delaytool.contract.bounds import STATE_LIMIT
from delaytool.contract.limits import Placement
from delaytool.contract.network import IntegerNetwork
from delaytool.hw_configs import Target
from delaytool.quantization.program import Program
from delaytool.quantization.quantize import Quantization, quantization_of
from delaytool.quantization.state_bounds import state_bounds


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
    membrane_reach      the same of |v|, as if the layer never reset; of the readout, of its threshold
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


def layer_summaries(
    program: Program, network: IntegerNetwork, placements: list[Placement], target: Target
) -> list[LayerSummary]:
    """One summary per layer, in order."""
    summaries = []
    for layer, built, place in zip(program.layers, network.layers, placements, strict=True):
        scale = layer.scale
        assert scale is not None, "choose_scale comes first"
        # Integers that were trained are not rounded from anything.
        quantization = quantization_of(layer, target) if program.quantized_for is None else Quantization(0.0, 0.0)
        bounds = state_bounds(built, network.payloads)
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
