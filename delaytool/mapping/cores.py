"""Which neurons lie on which core: consecutive neurons of a layer, with all synapses that reach them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from delaytool.contract.limits import bits_per_synapse, packed_bytes
from delaytool.hw_configs import Target
from delaytool.mapping.memory import loihi1_axon_bytes
from delaytool.mapping.shape import GroupShape, LayerShape, NetworkShape

# More than this is on no chip: the number is reported, the cores are not laid out.
MOST_CORES = 4096


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

    cores       in order of layers and neurons; empty where so many are needed that none is laid out
    count       cores that are needed
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
    at_least = sum(_least_cores(layer, target) for layer in shape.layers)
    if at_least > max(MOST_CORES, 2 * len(shape.layers)):
        return Packing((), at_least, False)
    apart = _packed(shape, target, share=False)
    if cores is None or apart.count <= cores:
        return apart
    together = _packed(shape, target, share=True)
    return together if together.count < apart.count else apart


def _least_cores(layer: LayerShape, target: Target) -> int:
    size = _Sizes(layer, target).n_bytes(0, layer.n_neurons)
    limits = target.limits
    return max(math.ceil(size / limits.synapse_bytes_per_core), math.ceil(layer.n_neurons / limits.neurons_per_core), 1)


def _packed(shape: NetworkShape, target: Target, share: bool) -> Packing:
    limits = target.limits
    cores: list[list[Part]] = []
    oversized: list[tuple[int, int]] = []
    for index, layer in enumerate(shape.layers):
        sizes = _Sizes(layer, target)
        worst = max((sizes.n_bytes(neuron, neuron + 1) for neuron in sizes.heaviest()), default=0)
        if worst > limits.synapse_bytes_per_core:
            oversized.append((index, worst))
        start = 0
        if share and cores:
            used, neurons = sum(part.n_bytes for part in cores[-1]), sum(part.neurons for part in cores[-1])
            room = limits.synapse_bytes_per_core - used
            stop = sizes.furthest(0, room, limits.neurons_per_core - neurons)
            if stop > 0:
                cores[-1].append(sizes.part(index, 0, stop))
                start = stop
        for stop in sizes.split(start):
            cores.append([sizes.part(index, start, stop)])
            start = stop
    return Packing(tuple(Core(tuple(parts)) for parts in cores), len(cores), share, tuple(oversized))


class _Sizes:
    """Memory of any range of a layer's neurons."""

    def __init__(self, layer: LayerShape, target: Target) -> None:
        self.layer, self.target = layer, target
        self.bits = [bits_per_synapse(group.max_delay, group.n_out, group.is_matrix, target) for group in layer.groups]
        self.before = [np.concatenate([[0], np.cumsum(group.stored)]) for group in layer.groups]

    def n_bytes(self, start: int, stop: int) -> int:
        return sum(
            packed_bytes(int(before[stop] - before[start]) * bits)
            for before, bits in zip(self.before, self.bits, strict=True)
        )

    def high_bytes(self, start: int, stop: int) -> int:
        """In Loihi 1's blocks: every axon that reaches the range has its own."""
        total = 0
        for group in self.layer.groups:
            per_axon = _per_axon(group, start, stop)
            counts, times = np.unique(per_axon, return_counts=True)
            total += sum(
                int(often) * loihi1_axon_bytes(int(count), group.n_out, group.is_matrix, self.target)
                for count, often in zip(counts, times, strict=True)
            )
        return max(total, self.n_bytes(start, stop))

    def heaviest(self) -> Sequence[int]:
        """The neuron with most stored bits, where there is one."""
        bits = sum(
            (group.stored * each for group, each in zip(self.layer.groups, self.bits, strict=True)),
            np.zeros(self.layer.n_neurons, np.int64),
        )
        return [int(np.argmax(bits))] if bits.size else []

    def furthest(self, start: int, room: int, neurons: int) -> int:
        """The largest stop with the neurons start..stop - 1 within `room` bytes and so many neurons."""
        low, high = start, min(self.layer.n_neurons, start + max(0, neurons))
        while low < high:
            middle = (low + high + 1) // 2
            if self.n_bytes(start, middle) <= room:
                low = middle
            else:
                high = middle - 1
        return low

    def split(self, start: int) -> list[int]:
        """Ends of the parts of the neurons from `start` on: as few as possible, then as even as possible."""
        limits, total = self.target.limits, self.layer.n_neurons
        if start == total:
            return []
        greedy, place = [], start
        while place < total:
            place = max(place + 1, self.furthest(place, limits.synapse_bytes_per_core, limits.neurons_per_core))
            greedy.append(place)
        count = len(greedy)
        even = [start + math.ceil((total - start) * (number + 1) / count) for number in range(count)]
        starts = [start, *even[:-1]]
        fits = all(
            stop - begin <= limits.neurons_per_core and self.n_bytes(begin, stop) <= limits.synapse_bytes_per_core
            for begin, stop in zip(starts, even, strict=True)
        )
        return even if fits else greedy

    def part(self, layer: int, start: int, stop: int) -> Part:
        return Part(layer, start, stop, self.n_bytes(start, stop), self.high_bytes(start, stop))


def _per_axon(group: GroupShape, start: int, stop: int) -> np.ndarray:
    """(n_in,) int64: synapses that each source neuron has in a range of the layer's neurons."""
    stored = int(group.stored[start:stop].sum())
    if group.pairs is not None and not group.is_matrix:
        return group.pairs[start:stop].sum(axis=0, dtype=np.int64)
    each, rest = divmod(stored, group.n_in)
    return each + (np.arange(group.n_in) < rest).astype(np.int64)


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
    outward = np.zeros(len(packing.cores), np.int64)
    for number, core in enumerate(packing.cores):
        for part in core.parts:
            outward[number] += int(reached[part.layer + 1].destinations()[part.start : part.stop].sum())
    return inward, outward
