"""Which neurons lie on which core: consecutive neurons of a layer, with all synapses that reach them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from delaytool.contract.limits import bits_per_synapse
from delaytool.contract.neuron_memory import NeuronMemory
from delaytool.hw_configs import Target
from delaytool.mapping.memory import loihi1_axon_bytes
from delaytool.mapping.shape import GroupShape, LayerShape, NetworkShape

# More than this, and more than the chip has, are counted and not laid out.
MOST_BEYOND_CHIP = 4096


@dataclass(frozen=True)
class Part:
    """Neurons start..stop - 1 of a layer on one core, and what their synapses take there (bytes).

    high_bytes   the same synapses in Loihi 1's blocks
    """

    layer: int
    start: int
    stop: int
    n_bytes: int
    high_bytes: int

    @property
    def neurons(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Core:
    parts: tuple[Part, ...]

    @property
    def neurons(self) -> int:
        return sum(part.neurons for part in self.parts)

    @property
    def n_bytes(self) -> int:
        return sum(part.n_bytes for part in self.parts)

    @property
    def high_bytes(self) -> int:
        return sum(part.high_bytes for part in self.parts)


@dataclass(frozen=True, eq=False)
class Packing:
    """A network on cores. shares_cores: whether layers may lie on one core together.

    cores       in order of layers and neurons; empty where so many more than the chip has are needed that none is laid
                out
    count       cores that are needed; where none is laid out, at least
    oversized   layers of which one neuron's synapses alone exceed a core's memory: (layer, bytes of that neuron)
    """

    cores: tuple[Core, ...]
    count: int
    shares_cores: bool
    oversized: tuple[tuple[int, int], ...] = ()

    def cores_of(self, layer: int) -> list[int]:
        return [number for number, core in enumerate(self.cores) if any(part.layer == layer for part in core.parts)]


def pack(shape: NetworkShape, target: Target, cores: int | None = None) -> Packing:
    """Split layers over cores by neurons and memory.

    Each layer begins on a core of its own, as the exporter counts, unless that takes more than `cores`: then a layer
    begins where the one before it ends.
    """
    layers, limits = [_Sizes(index, layer, target) for index, layer in enumerate(shape.layers)], target.limits
    largest = [(sizes.index, sizes.memory.largest()) for sizes in layers]
    oversized = tuple((index, size) for index, size in largest if size > limits.synapse_bytes_per_core)
    least = [sizes.memory.least_cores(limits.synapse_bytes_per_core, limits.neurons_per_core) for sizes in layers]
    if sum(least) > max(limits.cores, MOST_BEYOND_CHIP, 2 * len(layers)):
        return Packing((), sum(least), False, oversized)
    apart = [core for sizes in layers for core in _evenly(sizes)]
    together = _sharing(layers) if cores is not None and len(apart) > cores else apart
    shares = len(together) < len(apart)
    chosen = together if shares else apart
    return Packing(tuple(map(Core, chosen)), len(chosen), shares, oversized)


def _evenly(sizes: _Sizes) -> list[tuple[Part, ...]]:
    """A layer on cores of its own: as few as possible, then as even as possible."""
    limits, total = sizes.target.limits, sizes.layer.n_neurons
    ends = sizes.memory.ends(0, limits.synapse_bytes_per_core, limits.neurons_per_core)
    even = [math.ceil(total * (number + 1) / len(ends)) for number in range(len(ends))]
    fits = all(
        stop - start <= limits.neurons_per_core and sizes.memory.n_bytes(start, stop) <= limits.synapse_bytes_per_core
        for start, stop in zip([0, *even], even, strict=False)
    )
    chosen = even if fits else ends
    return [(sizes.part(start, stop),) for start, stop in zip([0, *chosen], chosen, strict=False)]


def _sharing(layers: list[_Sizes]) -> list[tuple[Part, ...]]:
    """Every core as full as it can be before the next is begun, whichever layers its neurons are of."""
    cores: list[list[Part]] = []
    for sizes in layers:
        room, neurons = sizes.target.limits.synapse_bytes_per_core, sizes.target.limits.neurons_per_core
        start = 0
        if cores:
            left = room - sum(part.n_bytes for part in cores[-1])
            start = sizes.memory.furthest(0, left, neurons - sum(part.neurons for part in cores[-1]))
            if start > 0:
                cores[-1].append(sizes.part(0, start))
        for stop in sizes.memory.ends(start, room, neurons):
            cores.append([sizes.part(start, stop)])
            start = stop
    return [tuple(core) for core in cores]


class _Sizes:
    """Memory of any range of a layer's neurons, by both formulas."""

    def __init__(self, index: int, layer: LayerShape, target: Target) -> None:
        self.index, self.layer, self.target = index, layer, target
        self.memory = NeuronMemory(
            layer.n_neurons,
            [
                (group.stored, bits_per_synapse(group.max_delay, group.n_out, group.is_matrix, target))
                for group in layer.groups
            ],
        )
        self._is_uniform = self.memory.is_uniform and all(
            group.pairs is None or group.is_matrix for group in layer.groups
        )
        self._known: dict[int, tuple[int, int]] = {}  # bytes by both formulas, of so many neurons of a uniform layer

    def high_bytes(self, start: int, stop: int) -> int:
        """In Loihi 1's blocks: every axon that reaches the range has its own."""
        total = 0
        for group in self.layer.groups:
            total += sum(
                often * loihi1_axon_bytes(count, group.n_out, group.is_matrix, self.target)
                for count, often in _per_axon(group, start, stop)
            )
        return max(total, self.memory.n_bytes(start, stop))

    def part(self, start: int, stop: int) -> Part:
        if not self._is_uniform:
            return Part(self.index, start, stop, self.memory.n_bytes(start, stop), self.high_bytes(start, stop))
        count = stop - start
        if count not in self._known:
            self._known[count] = (self.memory.n_bytes(start, stop), self.high_bytes(start, stop))
        return Part(self.index, start, stop, *self._known[count])


def _per_axon(group: GroupShape, start: int, stop: int) -> list[tuple[int, int]]:
    """Synapses of a source neuron in a range of the layer's neurons, and how many source neurons have so many."""
    if group.pairs is not None and not group.is_matrix:
        per_axon = group.pairs[start:stop].sum(axis=0, dtype=np.int64)
        counts, times = np.unique(per_axon, return_counts=True)
        return list(zip(counts.tolist(), times.tolist(), strict=True))
    each, rest = divmod(int(group.stored[start:stop].sum()), group.n_in)
    return [(each, group.n_in - rest), (each + 1, rest)]


@dataclass(frozen=True, eq=False)
class Reached:
    """Where the spikes of one population go.

    rows   (neuron, core) bool; (1, core) where all `neurons` of them go to the same cores
    """

    rows: np.ndarray
    neurons: int

    def sources(self) -> np.ndarray:
        """(core,) int64: neurons that send there."""
        return self.rows.sum(axis=0, dtype=np.int64) * (self.neurons // self.rows.shape[0])

    def destinations(self) -> np.ndarray:
        """(neuron,) int64: cores that each neuron sends to."""
        return np.broadcast_to(self.rows.sum(axis=1, dtype=np.int64), self.neurons)


def reached_cores(shape: NetworkShape, packing: Packing) -> list[Reached]:
    """For each population (0 the input, k layer k - 1) the cores that its spikes go to.

    Of a recipe, every neuron is taken to reach every core of the layers that its population reaches: an upper bound.
    """
    reached = []
    for source in range(len(shape.layers) + 1):
        n = shape.n_neurons_of(source)
        groups = [group for layer in shape.layers for group in layer.groups if group.source == source]
        rows = np.zeros((1 if all(group.pairs is None for group in groups) else n, len(packing.cores)), bool)
        for number, core in enumerate(packing.cores):
            for part in core.parts:
                for group in shape.layers[part.layer].groups:
                    if group.source == source and group.pairs is None:
                        rows[:, number] = True
                    elif group.source == source and group.pairs is not None:
                        rows[:, number] |= group.pairs[part.start : part.stop].any(axis=0)
        reached.append(Reached(rows, n))
    return reached


def axons(shape: NetworkShape, packing: Packing) -> tuple[np.ndarray, np.ndarray]:
    """((core,) axons in, (core,) axons out): source neurons that reach it, (neuron, core) pairs that it reaches."""
    reached = reached_cores(shape, packing)
    inward = sum((each.sources() for each in reached), np.zeros(len(packing.cores), np.int64))
    destinations = [each.destinations() for each in reached]
    outward = np.zeros(len(packing.cores), np.int64)
    for number, core in enumerate(packing.cores):
        for part in core.parts:
            outward[number] += int(destinations[part.layer + 1][part.start : part.stop].sum())
    return inward, outward
