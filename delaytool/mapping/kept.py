"""A placement in a network file: its extension 'placement', which changes none of the network's integers.

target        the chip's name            method      how it was found
slots         (core,) physical core of each core
core/K        (neuron,) the core of each neuron of layer K
mesh          columns, rows, cores per tile
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from delaytool.contract.network import IntegerNetwork
from delaytool.errors import NetworkError
from delaytool.hw_configs import Target
from delaytool.mapping.cores import Packing
from delaytool.mapping.fit import Fit, fit
from delaytool.mapping.placement import Placement
from delaytool.mapping.shape import shape_of_network

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


@dataclass(frozen=True, eq=False)
class KeptFit:
    """A network on the cores of the placement that it carries, or, where that cannot be, as `fit` lays it out.

    placement   None where it carries none that is for these cores
    why_anew    why the one that it carries is not taken, a sentence without its end; '' where it is, or there is none
    """

    fit: Fit
    placement: Placement | None = None
    why_anew: str = ""


def fit_as_kept(network: IntegerNetwork, target: Target) -> KeptFit:
    """A network on a chip, on the cores that its placement was made for: also those of a budget, which layers share.

    Raises NetworkError for a placement that cannot be: slots beyond the mesh, two cores on one, values of the wrong
    kind.
    """
    shape = shape_of_network(network)
    apart, values = fit(shape, target), network.extensions.get(EXTENSION)
    if values is None:
        return KeptFit(apart)
    if values.get("target") != target.name:
        return KeptFit(apart, None, f"The file's placement is for {values.get('target')}, and not shown")
    slots = _checked_slots(values, target)
    if slots is not None and (placement := kept_placement(network, apart)) is not None:
        return KeptFit(apart, placement)
    if slots is not None and 0 < slots.size < apart.packing.count:
        shared = fit(shape, target, slots.size)
        if (placement := kept_placement(network, shared)) is not None:
            return KeptFit(shared, placement)
    return KeptFit(
        apart,
        None,
        "The file's placement is of other cores than these, or of another mesh; place it again: delaytool map",
    )


def kept_placement(network: IntegerNetwork, fit: Fit) -> Placement | None:
    """The placement that a network carries, where it is of this chip and of these cores; else None.

    Raises NetworkError for one that cannot be.
    """
    values, mesh = network.extensions.get(EXTENSION), fit.target.mesh
    if values is None or mesh is None or values.get("target") != fit.target.name:
        return None
    slots = _checked_slots(values, fit.target)
    if slots is None:
        return None
    cores = core_of_neurons(fit.packing, [layer.n_neurons for layer in network.layers])
    kept = [values.get(f"core/{index}") for index in range(len(cores))]
    same = all(isinstance(one, np.ndarray) and np.array_equal(one, two) for one, two in zip(kept, cores, strict=True))
    return Placement(slots, mesh, str(values["method"])) if same and slots.size == fit.packing.count else None


def _checked_slots(values: Mapping[str, Any], target: Target) -> np.ndarray | None:
    """(core,) int64 of an extension; None where it is for another mesh."""
    mesh = target.mesh
    if mesh is None:
        return None
    arrays = {key: value for key, value in values.items() if isinstance(value, np.ndarray)}
    slots, form, method = arrays.get("slots"), arrays.get("mesh"), values.get("method")
    if slots is None or form is None or not isinstance(method, str) or slots.ndim != 1 or slots.dtype.kind not in "iu":
        raise NetworkError("network: extension placement lacks slots, mesh or method; place it again: delaytool map")
    if form.tolist() != [mesh.columns, mesh.rows, mesh.cores_per_tile]:
        return None
    if slots.size and (slots.min() < 0 or slots.max() >= mesh.slots or np.unique(slots).size < slots.size):
        raise NetworkError(
            f"network: extension placement: slots are not different cores of 0..{mesh.slots - 1}; place it again"
        )
    return slots.astype(np.int64)
