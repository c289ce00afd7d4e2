"""Memory of a layer's synapses on cores, which hold whole neurons: a neuron and all synapses that reach it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def packed_bytes(bits: int) -> int:
    """Bytes of so many bits in units of 64."""
    return 8 * -(-bits // 64)


class NeuronMemory:
    """Memory of any range of a layer's neurons; the synapses of each group are packed in units of 64 bits.

    groups       of each: (n_neurons,) int64, the synapses stored for each neuron, and the bits of one synapse
    is_uniform   every neuron stores the same, so that ranges of as many neurons take the same memory

    >>> four = NeuronMemory(4, [(np.full(4, 8), 10)])             # 80 bits per neuron
    >>> four.n_bytes(0, 4), four.largest(), four.ends(0, 24, 8192)
    (40, 16, [2, 4])
    """

    def __init__(self, n_neurons: int, groups: Sequence[tuple[np.ndarray, int]]) -> None:
        self.n_neurons = n_neurons
        self.is_uniform = all(stored.size == 0 or (stored == stored[0]).all() for stored, _ in groups)
        self._groups = [(np.concatenate([[0], np.cumsum(stored, dtype=np.int64)]), bits) for stored, bits in groups]

    def n_bytes(self, start: int, stop: int) -> int:
        """Of the neurons start..stop - 1 on one core."""
        return sum(packed_bytes((int(before[stop]) - int(before[start])) * bits) for before, bits in self._groups)

    def largest(self) -> int:
        """Bytes of the neuron that takes most, alone on a core."""
        sizes = np.zeros(self.n_neurons, np.int64)
        for before, bits in self._groups:
            sizes += 8 * -(-np.diff(before) * bits // 64)
        return int(sizes.max(initial=0))

    def furthest(self, start: int, room: int, neurons: int) -> int:
        """The largest stop with the neurons start..stop - 1 within `room` bytes and so many neurons."""
        low, high = start, min(self.n_neurons, start + max(0, neurons))
        while low < high:
            middle = (low + high + 1) // 2
            if self.n_bytes(start, middle) <= room:
                low = middle
            else:
                high = middle - 1
        return low

    def ends(self, start: int, bytes_per_core: int, neurons_per_core: int) -> list[int]:
        """Where each core's neurons end, from neuron `start` on: each core as full as it can be, so as few as possible.

        A neuron that is larger than a core has one to itself.
        """
        if self.is_uniform and start < self.n_neurons:
            each = max(1, self.furthest(start, bytes_per_core, neurons_per_core) - start)
            return [*range(start + each, self.n_neurons, each), self.n_neurons]
        ends: list[int] = []
        place = start
        while place < self.n_neurons:
            place = max(place + 1, self.furthest(place, bytes_per_core, neurons_per_core))
            ends.append(place)
        return ends

    def least_cores(self, bytes_per_core: int, neurons_per_core: int) -> int:
        """What the layer takes at least: as if a neuron's synapses could lie on several cores."""
        size = self.n_bytes(0, self.n_neurons)
        return max(-(-size // bytes_per_core), -(-self.n_neurons // neurons_per_core), 1)
