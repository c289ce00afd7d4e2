"""What an engine's run keeps, and the memory that its kernels write to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from delaytool.contract.network import IntegerNetwork
from delaytool.errors import BackendError
from delaytool.runtime.digest import keys

KINDS = ("spikes", "u", "v")


@dataclass(frozen=True)
class Record:
    """What a run keeps.

    spikes, u, v   True (all layers), False (none) or the indices of layers; -1 is the readout
    digests        a number for each layer, sample and kind instead of the traces themselves (see `runtime.digest`)
    """

    spikes: bool | Collection[int] = False
    u: bool | Collection[int] = False
    v: bool | Collection[int] = False
    digests: bool = False

    @staticmethod
    def named(name: str) -> Record:
        """'all', 'spikes' (of every layer), 'readout' (v of the last layer: enough to classify), 'digests', 'nothing'.

        'digests' keeps the readout too.
        """
        names = {
            "all": Record(spikes=True, u=True, v=True),
            "spikes": Record(spikes=True),
            "readout": Record(v=(-1,)),
            "digests": Record(v=(-1,), digests=True),
            "nothing": Record(),
        }
        if name not in names:
            raise BackendError(f"engine: record {name!r} is unknown; choose one of {', '.join(names)}, or a Record")
        return names[name]

    def kept(self, n_layers: int) -> np.ndarray:
        """(3, layer) bool: spikes, u, v."""
        table = np.zeros((3, n_layers), bool)
        for row, choice in zip(table, (self.spikes, self.u, self.v), strict=True):
            if isinstance(choice, bool):
                row[:] = choice
                continue
            for layer in choice:
                if not -n_layers <= layer < n_layers:
                    raise BackendError(f"engine: record names layer {layer}; the network has 0..{n_layers - 1}")
                row[layer] = True
        return table


class Recording(NamedTuple):
    """Flat outputs; layer l of a sample begins at start[kind, l] + sample * n_steps * n_neurons, or is not kept: -1.

    start    (3, L) int64: of spikes, u and v
    spikes   uint8; u, v int32
    digests  (sample, L, 3) uint64
    keys     uint64: for layer after layer (step, neuron); empty where no digests are asked for
    """

    start: np.ndarray
    spikes: np.ndarray
    u: np.ndarray
    v: np.ndarray
    digests: np.ndarray
    keys: np.ndarray


def new_recording(network: IntegerNetwork, record: Record, n_samples: int) -> Recording:
    """Room for what the record asks."""
    kept = record.kept(len(network.layers))
    sizes = np.array([layer.n_neurons for layer in network.layers]) * n_samples * network.n_steps
    ends = np.cumsum(np.where(kept, sizes, 0), axis=1)
    spikes, u, v = (int(total) for total in ends[:, -1])
    start = np.where(kept, ends - sizes, -1).astype(np.int64)
    sums = np.zeros((n_samples if record.digests else 0, len(network.layers), len(KINDS)), np.uint64)
    key = [keys(network.n_steps if record.digests else 0, layer.n_neurons).ravel() for layer in network.layers]
    return Recording(
        start, np.zeros(spikes, np.uint8), np.zeros(u, np.int32), np.zeros(v, np.int32), sums, np.concatenate(key)
    )


def layers_of(network: IntegerNetwork, recording: Recording, n_samples: int) -> list[tuple[np.ndarray, ...]]:
    """Spikes, u and v of each layer (sample, step, neuron); of a layer that was not kept, no steps."""
    result = []
    for kind, flat in enumerate((recording.spikes.view(np.bool_), recording.u, recording.v)):
        arrays = []
        for layer, first in zip(network.layers, recording.start[kind], strict=True):
            shape = (n_samples, network.n_steps if first >= 0 else 0, layer.n_neurons)
            first = max(0, int(first))
            arrays.append(flat[first : first + shape[0] * shape[1] * shape[2]].reshape(shape))
        result.append(tuple(arrays))
    return result
