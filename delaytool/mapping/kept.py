"""A placement in a network file: its extension 'placement', which changes none of the network's integers.

target        the chip's name            method      how it was found
slots         (core,) physical core of each core
core/K        (neuron,) the core of each neuron of layer K
mesh          columns, rows, cores per tile
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from delaytool.contract.network import IntegerNetwork
from delaytool.errors import NetworkError
from delaytool.mapping.cores import Packing
from delaytool.mapping.fit import Fit
from delaytool.mapping.placement import Placement

EXTENSION = "placement"


def with_placement(network: IntegerNetwork, fit: Fit, placement: Placement) -> IntegerNetwork:
    """The same network with its placement, in place of an earlier one."""
    values: dict[str, str | np.ndarray] = {
        "target": fit.target.name,
        "method": placement.method,
        "slots": placement.slots.astype(np.int64),
        "mesh": np.array([placement.mesh.columns, placement.mesh.rows, placement.mesh.cores_per_tile]),
    }
    for index, cores in enumerate(core_of_neurons(fit.packing, [layer.n_neurons for layer in network.layers])):
        values[f"core/{index}"] = cores
    return replace(network, extensions={**network.extensions, EXTENSION: values})


def core_of_neurons(packing: Packing, sizes: list[int]) -> list[np.ndarray]:
    """For each layer (neuron,) int64: the core that it lies on."""
    cores = [np.full(size, -1, np.int64) for size in sizes]
    for number, core in enumerate(packing.cores):
        for part in core.parts:
            cores[part.layer][part.start : part.stop] = number
    return cores


def kept_placement(network: IntegerNetwork, fit: Fit) -> Placement | None:
    """The placement that a network carries, where it is of this chip and of these cores; else None.

    Raises NetworkError for one that cannot be: slots beyond the mesh, two cores on one, values of the wrong kind.
    """
    values, mesh = network.extensions.get(EXTENSION), fit.target.mesh
    if values is None or mesh is None or values.get("target") != fit.target.name:
        return None
    arrays = {key: value for key, value in values.items() if isinstance(value, np.ndarray)}
    slots, form, method = arrays.get("slots"), arrays.get("mesh"), values.get("method")
    limit = mesh.columns * mesh.rows * mesh.cores_per_tile
    if slots is None or form is None or not isinstance(method, str) or slots.ndim != 1 or slots.dtype.kind not in "iu":
        raise NetworkError("network: extension placement lacks slots, mesh or method; place it again: delaytool map")
    if form.tolist() != [mesh.columns, mesh.rows, mesh.cores_per_tile]:
        return None
    if slots.size and (slots.min() < 0 or slots.max() >= limit or np.unique(slots).size < slots.size):
        raise NetworkError(
            f"network: extension placement: slots are not different cores of 0..{limit - 1}; place it again"
        )
    cores = core_of_neurons(fit.packing, [layer.n_neurons for layer in network.layers])
    kept = [arrays.get(f"core/{index}") for index in range(len(cores))]
    same = all(one is not None and np.array_equal(one, two) for one, two in zip(kept, cores, strict=True))
    return Placement(slots.astype(np.int64), mesh, method) if same and slots.size == fit.packing.count else None
