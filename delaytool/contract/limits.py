"""A chip's limits, one by one, on a network: one check for the exporter, for saving and for loading.

The only module of the contract that reads `hw_configs`. `IntegerNetwork` loads it where it is saved and loaded with its
chip's limits; Lava's workers, which load networks without them, never do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from delaytool.contract.layer import IntegerLayer
from delaytool.contract.neuron_memory import NeuronMemory, packed_bytes
from delaytool.contract.parts import NetworkParts
from delaytool.contract.synapses import SparseSynapses, Synapses
from delaytool.errors import ExportError, NetworkError
from delaytool.hw_configs import Target, load_target

NO_CHIP = "ideal"
EXPORT_AGAIN = "export the run for this target"


@dataclass(frozen=True)
class Violation:
    """excess: the layer, its value and the limit. way_out: what to do."""

    excess: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.excess}; {self.way_out}"


@dataclass(frozen=True)
class Placement:
    """What a layer takes of the chip. The memory is an estimate, never a promise.

    synapse_bytes   weight, delay and, where sparse, target index of every synapse, in 64-bit units
    cores           as few as hold its neurons, each whole: with all synapses that reach it
    largest_neuron  bytes of the neuron that takes most
    """

    layer: str
    neurons: int
    synapses: int
    synapse_bytes: int
    cores: int
    largest_neuron: int


def check_target(network: NetworkParts) -> None:
    """Raise NetworkError where the chip that a network names is unknown or does not admit it.

    'ideal' is no chip: such a network has the contract's own limits, which every network keeps. (Its file in
    hw_configs states which weights the exporter rounds to for it.)

    How much memory it takes is an estimate. A file is refused only for what exceeds the chip however neurons are spread
    over cores; the exporter and `map` ask for whole neurons on each.
    """
    try:
        target = load_target(network.target)
    except ExportError as error:
        raise NetworkError(f"{error}; or install the delaytool that made the network") from None
    broken = None if target.name == NO_CHIP else first_violation(network, target, whole_neurons=False)
    if broken is not None:
        raise NetworkError(
            f"the network is made for {target.name}, which does not hold it: {broken} (a network for no chip has the "
            f"target {NO_CHIP!r})"
        )


def check_limits(
    network: NetworkParts, target: Target, quantized_for: Target | None = None, *, whole_neurons: bool = True
) -> None:
    """Raise ExportError, which names layer, value, limit and way out, where finished integers exceed a target's limits.

    quantized_for   the target through whose integers the network was trained, if any, which decides the way out
    whole_neurons   False: as `check_target` asks of a file
    """
    broken = next(_violations(network, target, whole_neurons), None)
    if broken is None:
        return
    if quantized_for is None or quantized_for.name == target.name:
        raise ExportError(str(broken))
    # Training has decided these integers: no other export has others.
    reason = broken.excess if broken.way_out == EXPORT_AGAIN else str(broken)
    own = quantized_for.name
    raise ExportError(
        f"the run was trained through {own}'s integers, which {target.name} does not hold ({reason}); export for {own} "
        f"(--target {own}; with --target onnx or nir, --chip {own}), or train with --set trainer.quantize={target.name}"
    )


def first_violation(network: NetworkParts, target: Target, *, whole_neurons: bool = True) -> str | None:
    """The first limit of a chip that a network exceeds: layer, value, limit and way out. None: it keeps them all.

    whole_neurons   False: as `check_target` asks of a file
    """
    broken = next(_violations(network, target, whole_neurons), None)
    return None if broken is None else str(broken)


def placements(network: NetworkParts, target: Target) -> list[Placement]:
    """Estimated use of the chip by each layer."""
    return [placement(network, layer, target) for layer in network.layers]


def placement(network: NetworkParts, layer: IntegerLayer, target: Target) -> Placement:
    """Estimated use of the chip by one layer."""
    memory = neuron_memory(layer, target)
    cores = len(memory.ends(0, target.limits.synapse_bytes_per_core, target.limits.neurons_per_core))
    size = memory.n_bytes(0, layer.n_neurons)
    return Placement(layer.name, layer.n_neurons, layer.n_synapses, size, cores, memory.largest())


def neuron_memory(layer: IntegerLayer, target: Target) -> NeuronMemory:
    """Memory of any range of a layer's neurons on a chip."""
    groups = []
    for group in layer.synapses:
        is_matrix = not isinstance(group, SparseSynapses)
        bits = bits_per_synapse(int(group.delay.max(initial=0)), group.shape[0], is_matrix, target)
        groups.append((stored_per_neuron(group), bits))
    return NeuronMemory(layer.n_neurons, groups)


def stored_per_neuron(group: Synapses) -> np.ndarray:
    """(n_out,) int64: synapses that the chip stores for each receiving neuron; of lists those of nonzero weight."""
    n_out, n_in = group.shape
    if not isinstance(group, SparseSynapses):
        return np.full(n_out, n_in, np.int64)
    return np.bincount(group.listed()[0], minlength=n_out).astype(np.int64)


def synapse_bytes(group: Synapses, target: Target) -> int:
    """Estimated memory of one group: weight, delay and, where sparse, target of each synapse, in 64-bit units."""
    is_matrix = not isinstance(group, SparseSynapses)
    stored = group.weight.size if is_matrix else group.n_synapses
    return stored_bytes(stored, int(group.delay.max(initial=0)), group.shape[0], is_matrix, target)


def stored_bytes(stored: int, max_delay: int, n_out: int, is_matrix: bool, target: Target) -> int:
    """The same of so many synapses to n_out neurons with delays up to max_delay."""
    return packed_bytes(stored * bits_per_synapse(max_delay, n_out, is_matrix, target))


def bits_per_synapse(max_delay: int, n_out: int, is_matrix: bool, target: Target) -> int:
    """Weight and delay, and in a list the index of one of n_out targets.

    >>> from delaytool.hw_configs import load_target
    >>> bits_per_synapse(24, 256, True, load_target("loihi2")), bits_per_synapse(24, 256, False, load_target("loihi2"))
    (13, 21)
    """
    return target.limits.weight_bits + bits_for(max_delay) + (0 if is_matrix else bits_for(n_out - 1))


def bits_for(largest: int) -> int:
    """Bits of an unsigned integer up to `largest`: 0 for 0, 1 for 1, 6 for 62."""
    return max(0, largest).bit_length()


def _violations(network: NetworkParts, target: Target, whole_neurons: bool) -> Iterator[Violation]:
    """What exceeds the chip.

    Without `whole_neurons` only what is asked of a file: as if a neuron's synapses could lie on several cores, and
    however many taps and groups of synapses there are, for which earlier versions did not ask.
    """
    limits = target.limits
    if network.encoding.max_payload > limits.payload_max:
        graded = network.encoding.values == "graded"
        remedy = (
            f"data.input_bits={(limits.payload_max + 1).bit_length() - 1}"
            if graded
            else (f"data.max_count={limits.payload_max} (or data.values=binary for 1)")
        )
        yield Violation(
            f"input: a value can reach {network.encoding.max_payload}, {target.name} sends {limits.payload_max}",
            f"retrain with --set {remedy}",
        )
    for layer in network.layers:
        yield from _layer_violations(layer, target)
        if whole_neurons:
            yield from _connection_violations(layer, target)
    if whole_neurons:
        needed = {}
        for place in placements(network, target):
            needed[place.layer] = place.cores
            if place.largest_neuron > limits.synapse_bytes_per_core:
                size, room = (f"{n / 1024:,.1f} KiB" for n in (place.largest_neuron, limits.synapse_bytes_per_core))
                yield Violation(
                    f"layer {place.layer}: the synapses of one neuron take {size}, a core of {target.name} has {room}",
                    "retrain with fewer synapses per neuron (model.hidden, model.sparsity, data.channel_bins) or fewer "
                    "taps (model.kernel_count)",
                )
    else:
        each = (limits.synapse_bytes_per_core, limits.neurons_per_core)
        needed = {layer.name: neuron_memory(layer, target).least_cores(*each) for layer in network.layers}
    cores = sum(needed.values())
    if cores > limits.cores:
        largest = max(needed, key=lambda name: needed[name])
        yield Violation(
            f"network: it takes about {cores} cores, {target.name} has {limits.cores} "
            f"(layer {largest} alone {needed[largest]})",
            "retrain with smaller layers (model.hidden) "
            "or fewer taps (model.kernel_count; model.delays=learned rather than dense)",
        )


def _connection_violations(layer: IntegerLayer, target: Target) -> Iterator[Violation]:
    limits, where = target.limits, f"layer {layer.name}"
    if limits.groups_per_layer_max is not None and len(layer.synapses) > limits.groups_per_layer_max:
        remedy = "export for another target, or retrain without recurrence (--set model.recurrent=false)"
        yield _beyond(where, "synapse groups", len(layer.synapses), limits.groups_per_layer_max, target, remedy)
    most = 0 if limits.taps_per_synapse_max is None else max(map(taps_per_synapse, layer.synapses), default=0)
    if limits.taps_per_synapse_max is not None and most > limits.taps_per_synapse_max:
        fewer = f"--set model.kernel_count={limits.taps_per_synapse_max}, and model.delays not dense"
        remedy = f"export for another target, or retrain with {fewer}"
        yield _beyond(where, "taps per synapse", most, limits.taps_per_synapse_max, target, remedy)


def taps_per_synapse(group: Synapses) -> int:
    """Synapses of nonzero weight from one neuron to another, where they are most."""
    n_in = group.shape[1]
    post, pre, *_ = group.listed()
    return int(np.unique(post.astype(np.int64) * n_in + pre, return_counts=True)[1].max(initial=0))


def _layer_violations(layer: IntegerLayer, target: Target) -> Iterator[Violation]:
    limits = target.limits
    where = f"layer {layer.name}"
    for group in layer.synapses:
        if group.exponent > limits.weight_exponent_max:
            yield _beyond(where, "weight exponent", group.exponent, limits.weight_exponent_max, target, EXPORT_AGAIN)
        yield from _outside(where, "weight", group.weight, limits.weight_min, limits.weight_max, target, EXPORT_AGAIN)
        odd = group.weight % limits.weight_step != 0
        if odd.any():
            yield Violation(
                f"{where}: weight {int(group.weight[odd][0])} is not a multiple of {limits.weight_step}, "
                f"which {target.name} needs",
                EXPORT_AGAIN,
            )
        remedy = f"retrain with --max-delay {limits.delay_max} or export with --clip-delays"
        yield from _outside(where, "delay", group.delay, 0, limits.delay_max, target, remedy)
    for name, value, limit in (
        ("du", layer.du, limits.decay_max),
        ("dv", layer.dv, limits.membrane_decay_max),
        ("threshold", layer.threshold, limits.threshold_max),
        ("bias exponent", layer.bias_exponent, limits.bias_exponent_max),
    ):
        if value > limit:
            yield _beyond(where, name, value, limit, target, EXPORT_AGAIN)
    if layer.bias_exponent < limits.bias_exponent_min:
        yield Violation(
            f"{where}: bias exponent {layer.bias_exponent} is below {target.name}'s {limits.bias_exponent_min}",
            EXPORT_AGAIN,
        )
    yield from _outside(
        where, "bias mantissa", layer.bias_mantissa, limits.bias_mantissa_min, limits.bias_mantissa_max, target,
        EXPORT_AGAIN,
    )  # fmt: skip


def _outside(
    where: str, name: str, values: np.ndarray, low: int, high: int, target: Target, remedy: str
) -> Iterator[Violation]:
    if values.size and values.max() > high:
        yield _beyond(where, name, int(values.max()), high, target, remedy)
    if values.size and values.min() < low:
        yield _beyond(where, name, int(values.min()), low, target, remedy)


def _beyond(where: str, name: str, value: int, limit: int, target: Target, remedy: str) -> Violation:
    return Violation(f"{where}: {name} {value} exceeds {target.name}'s {limit}", remedy)
