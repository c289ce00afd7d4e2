"""The target's limits, one by one, on the finished integers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from delaytool.errors import ExportError
from delaytool.hw_configs import Target
from delaytool.network import IntegerLayer, IntegerNetwork, SparseSynapses, Synapses


@dataclass(frozen=True)
class Placement:
    """What a layer takes of the chip. The memory is an estimate, never a promise.

    synapse_bytes   weight, delay and, where sparse, target index of every synapse, in 64-bit units
    cores           whichever of neurons and memory needs more
    """

    layer: str
    neurons: int
    synapses: int
    synapse_bytes: int
    cores: int


def check_limits(network: IntegerNetwork, target: Target) -> list[Placement]:
    """Raise ExportError naming layer, value, limit and remedy; else what each layer takes of the chip."""
    limits = target.limits
    if network.encoding.max_payload > limits.payload_max:
        graded = network.encoding.values == "graded"
        remedy = (
            f"data.input_bits={(limits.payload_max + 1).bit_length() - 1}"
            if graded
            else (f"data.max_count={limits.payload_max} (or data.values=binary for 1)")
        )
        raise ExportError(
            f"input: a value can reach {network.encoding.max_payload}, {target.name} sends {limits.payload_max}; "
            f"retrain with --set {remedy}"
        )
    placements = [_check_layer(network, layer, target) for layer in network.layers]
    cores = sum(placement.cores for placement in placements)
    if cores > limits.cores:
        largest = max(placements, key=lambda placement: placement.cores)
        raise ExportError(
            f"network: it takes about {cores} cores, {target.name} has {limits.cores} "
            f"(layer {largest.layer} alone {largest.cores}); retrain with smaller layers (model.hidden) "
            "or fewer taps (model.kernel_count; model.delays=learned rather than dense)"
        )
    return placements


def _check_layer(network: IntegerNetwork, layer: IntegerLayer, target: Target) -> Placement:
    limits = target.limits
    where = f"layer {layer.name}"
    for group in layer.synapses:
        if group.exponent > limits.weight_exponent_max:
            _refuse(where, "weight exponent", group.exponent, limits.weight_exponent_max, target, "export again")
        _check_range(where, "weight", group.weight, limits.weight_min, limits.weight_max, target, "export again")
        odd = group.weight % limits.weight_step != 0
        if odd.any():
            raise ExportError(
                f"{where}: weight {int(group.weight[odd][0])} is not a multiple of {limits.weight_step}, "
                f"which {target.name} needs; export the run for this target"
            )
        remedy = f"retrain with --max-delay {limits.delay_max} or export with --clip-delays"
        _check_range(where, "delay", group.delay, 0, limits.delay_max, target, remedy)
    for name, value, limit in (
        ("du", layer.du, limits.decay_max),
        ("dv", layer.dv, limits.decay_max),
        ("threshold", layer.threshold, limits.threshold_max),
        ("bias exponent", layer.bias_exponent, limits.bias_exponent_max),
    ):
        if value > limit:
            _refuse(where, name, value, limit, target, "export the run for this target")
    if layer.bias_exponent < limits.bias_exponent_min:
        raise ExportError(
            f"{where}: bias exponent {layer.bias_exponent} is below {target.name}'s {limits.bias_exponent_min}; "
            "export the run for this target"
        )
    _check_range(
        where, "bias mantissa", layer.bias_mantissa, limits.bias_mantissa_min, limits.bias_mantissa_max, target,
        "export the run for this target",
    )  # fmt: skip
    return placement(network, layer, target)


def placement(network: IntegerNetwork, layer: IntegerLayer, target: Target) -> Placement:
    """Estimated use of the chip by one layer."""
    limits = target.limits
    size = sum(synapse_bytes(group, target) for group in layer.synapses)
    cores = max(math.ceil(layer.n_neurons / limits.neurons_per_core), math.ceil(size / limits.synapse_bytes_per_core))
    return Placement(layer.name, layer.n_neurons, layer.n_synapses, size, max(1, cores))


def synapse_bytes(group: Synapses, target: Target) -> int:
    """Estimated memory of one group: weight, delay and, where sparse, target of each synapse, in 64-bit units."""
    each = target.limits.weight_bits + _bits_for(int(group.delay.max(initial=0)))
    if isinstance(group, SparseSynapses):
        each += _bits_for(group.n_out - 1)
        stored = group.n_synapses
    else:
        stored = group.weight.size
    return 8 * math.ceil(stored * each / 64)


def _bits_for(largest: int) -> int:
    return max(0, largest).bit_length()


def _check_range(where: str, name: str, values: np.ndarray, low: int, high: int, target: Target, remedy: str) -> None:
    if not values.size:
        return
    if values.max() > high:
        _refuse(where, name, int(values.max()), high, target, remedy)
    if values.min() < low:
        _refuse(where, name, int(values.min()), low, target, remedy)


def _refuse(where: str, name: str, value: int, limit: int, target: Target, remedy: str) -> None:
    raise ExportError(f"{where}: {name} {value} exceeds {target.name}'s {limit}; {remedy}")
