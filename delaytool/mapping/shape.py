"""What a chip needs to know of a network: populations, synapses and delays, without their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from delaytool.contract.limits import stored_bytes, stored_per_neuron
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, Synapses
from delaytool.hw_configs import Target, load_target
from delaytool.mapping.design import Design
from delaytool.models.config import why_no_integers


@dataclass(frozen=True, eq=False)
class GroupShape:
    """Synapses from one population to a layer.

    source      0: the input; k >= 1: layer k - 1
    n_in        neurons of the source
    stored      (n_out,) int64: synapses that the chip stores for each receiving neuron
    synapses    those whose weight is not zero; of a recipe, those that may exist
    max_delay   steps
    is_matrix   stored as a matrix (weight and delay of each pair of neurons), else as a list with target indices
    taps        synapses from one neuron to another, where they are most
    pairs       (n_out, n_in) uint16: synapses of nonzero weight of each pair; None: unknown, every pair may have some
    """

    source: int
    n_in: int
    stored: np.ndarray
    synapses: int
    max_delay: int
    is_matrix: bool
    taps: int
    pairs: np.ndarray | None = None

    @property
    def n_out(self) -> int:
        return self.stored.size


@dataclass(frozen=True, eq=False)
class LayerShape:
    """A population. values: the integers of an exported layer that a chip limits, by name; empty for a recipe."""

    name: str
    n_neurons: int
    groups: tuple[GroupShape, ...]
    values: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def synapses(self) -> int:
        return sum(group.synapses for group in self.groups)

    @property
    def fan_in(self) -> int:
        """Synapses that the chip stores for the neuron that has most."""
        return int(sum((group.stored for group in self.groups), np.zeros(self.n_neurons, np.int64)).max(initial=0))


@dataclass(frozen=True, eq=False)
class NetworkShape:
    """A network as a chip sees it.

    n_channels          of the input
    max_payload         largest value that an input spike carries
    payload_is_known    False where the data's largest count decides it, and `max_payload` is only the most it can be
    time_step_ms        of the data: what a step must not take longer than, for real time
    n_steps             chip steps of a sample; None: the data decide it
    exported            whether these are the integers of a network, not a recipe's estimate
    refused             why no chip's integers can hold such neurons; '' where they can
    doubt               why the chip may not hold the integers that it is trained through; '' where it does
    """

    n_channels: int
    max_payload: int
    payload_is_known: bool
    layers: tuple[LayerShape, ...]
    time_step_ms: float
    n_steps: int | None
    exported: bool
    refused: str = ""
    doubt: str = ""

    @property
    def synapses(self) -> int:
        return sum(layer.synapses for layer in self.layers)

    @property
    def neurons(self) -> int:
        return sum(layer.n_neurons for layer in self.layers)

    def n_neurons_of(self, source: int) -> int:
        """Size of a population: 0 the input, k layer k - 1."""
        return self.n_channels if source == 0 else self.layers[source - 1].n_neurons


def shape_of_design(design: Design, target: Target) -> NetworkShape:
    """The shape of a recipe's network before training: no weight became zero, no two taps met on one delay.

    That is the most that it can have, but that the taps of a sparse layer are spread evenly over its neurons: training
    draws them, and one neuron may get more.

    Storage is chosen as the exporter does: whichever of matrix and list takes less, a matrix where both take as much
    and only where no pair of neurons has several synapses (`quantization.choose_storage`).
    """
    layers = []
    sizes = (design.n_channels, *design.hidden, design.n_classes)
    for index, n_out in enumerate(sizes[1:]):
        is_readout = index == len(design.hidden)
        groups = [_designed(design, target, index, index, sizes[index], n_out, design.max_delay)]
        if not is_readout and design.recurrent[index]:
            groups.append(_designed(design, target, index + 1, index, n_out, n_out, design.within_max_delay))
        layers.append(LayerShape("readout" if is_readout else f"hidden{index + 1}", n_out, tuple(groups)))
    return NetworkShape(
        n_channels=design.n_channels,
        max_payload=design.max_payload,
        payload_is_known=design.payload_is_known,
        layers=tuple(layers),
        time_step_ms=design.time_step_ms,
        n_steps=design.n_steps,
        exported=False,
        refused=why_no_integers(design.neuron),
        doubt=_doubt_of_integers(design.quantize, target),
    )


def _doubt_of_integers(quantize: str | None, target: Target) -> str:
    """Training through a target's integers decides them, so that a narrower target's export has no others to choose."""
    if quantize is None:
        return ""
    others = load_target(quantize).limits
    name = target.limits.first_narrower(others)
    if name is None:
        return ""
    return (
        f"it is trained through {quantize}'s integers, which {target.name} may not hold "
        f"({name} {getattr(target.limits, name)}, {quantize}'s {getattr(others, name)})"
    )


def _designed(
    design: Design, target: Target, source: int, layer: int, n_in: int, n_out: int, max_delay: int
) -> GroupShape:
    """Synapses from a source (0 the input, 1 the first layer) to a layer (0 the first)."""
    taps = design.taps_for(max_delay)
    synapses = n_connections(n_out * n_in * taps, design.sparsities[layer])
    longest = 0 if design.delays == "none" else max_delay
    as_list = stored_bytes(synapses, longest, n_out, False, target)
    is_matrix = taps == 1 and as_list >= stored_bytes(n_out * n_in, longest, n_out, True, target)
    stored = np.full(n_out, n_in, np.int64) if is_matrix else _spread(synapses, n_out)
    return GroupShape(source, n_in, stored, synapses, longest, is_matrix, taps)


def n_connections(n_taps: int, sparsity: float) -> int:
    """How many of a layer's taps exist (`models.connectivity.n_connections`, which needs PyTorch)."""
    return max(1, round((1.0 - sparsity) * n_taps))


def _spread(synapses: int, n_out: int) -> np.ndarray:
    """As evenly as whole numbers can be, their sum exact: where synapses fall is drawn when training starts."""
    each, rest = divmod(synapses, n_out)
    return each + (np.arange(n_out) < rest).astype(np.int64)


def shape_of_network(network: IntegerNetwork) -> NetworkShape:
    """The shape of an exported network: exact."""
    layers = []
    for layer in network.layers:
        groups = tuple(_measured(group) for group in layer.synapses)
        weights = [group.weight for group in layer.synapses if group.weight.size]
        values = {
            "weight": (
                min((int(w.min()) for w in weights), default=0),
                max((int(w.max()) for w in weights), default=0),
            ),
            "weight exponent": (0, max((group.exponent for group in layer.synapses), default=0)),
            "du": (layer.du, layer.du),
            "dv": (layer.dv, layer.dv),
            "threshold": (layer.threshold, layer.threshold),
            "bias mantissa": (int(layer.bias_mantissa.min()), int(layer.bias_mantissa.max())),
            "bias exponent": (layer.bias_exponent, layer.bias_exponent),
            # Of all weights, the one with the fewest factors of two: what `weight_step` must divide.
            "weight multiple": (0, int(np.gcd.reduce([int(np.gcd.reduce(w, axis=None)) for w in weights] or [0]))),
        }
        layers.append(LayerShape(layer.name, layer.n_neurons, groups, values))
    return NetworkShape(
        n_channels=network.encoding.n_channels,
        max_payload=network.encoding.max_payload,
        payload_is_known=True,
        layers=tuple(layers),
        time_step_ms=network.encoding.time_step_ms,
        n_steps=network.n_steps,
        exported=True,
    )


def _measured(group: Synapses) -> GroupShape:
    n_out, n_in = group.shape
    target, pre, *_ = group.listed()
    pairs = np.zeros((n_out, n_in), np.uint16)
    np.add.at(pairs, (target, pre), 1)
    return GroupShape(
        source=group.source,
        n_in=n_in,
        stored=stored_per_neuron(group),
        synapses=int(target.size),
        max_delay=int(group.delay.max(initial=0)),
        is_matrix=isinstance(group, DenseSynapses),
        taps=int(pairs.max(initial=0)),
        pairs=pairs,
    )
