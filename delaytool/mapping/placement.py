"""Where cores lie on the chip's mesh, so that spikes take few hops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from delaytool.errors import MissingExtraError
from delaytool.hw_configs import Mesh
from delaytool.mapping.activity import Activity
from delaytool.mapping.cores import Packing, reached_cores
from delaytool.mapping.shape import NetworkShape


@dataclass(frozen=True, eq=False)
class Traffic:
    """Messages per sample: one for every spike and core that it goes to.

    between     (core, core) float64: from the neurons of one core to another, or to itself
    from_input  (core,) float64
    """

    between: np.ndarray
    from_input: np.ndarray


@dataclass(frozen=True, eq=False)
class Placement:
    """slots: (core,) int64, the physical core of each: `cores_per_tile` of them on each tile, tiles row by row."""

    slots: np.ndarray
    mesh: Mesh
    method: str

    def tiles(self) -> np.ndarray:
        """(core, 2) int64: column and row of each core's tile."""
        tile = self.slots // self.mesh.cores_per_tile
        return np.stack([tile % self.mesh.columns, tile // self.mesh.columns], axis=1)

    def hops(self) -> tuple[np.ndarray, np.ndarray]:
        """((core, core) east-west, (core, core) north-south): hops between tiles, none within one."""
        place = self.tiles()
        apart = np.abs(place[:, None] - place[None])
        return apart[..., 0], apart[..., 1]

    def total_hops(self, traffic: Traffic) -> float:
        """Hops per sample of all messages between cores."""
        east_west, north_south = self.hops()
        return float((traffic.between * (east_west + north_south)).sum())


def traffic_of(shape: NetworkShape, packing: Packing, activity: Activity | None = None) -> Traffic:
    """Messages between cores; without an activity as if every neuron fired once."""
    reached, count = reached_cores(shape, packing), len(packing.cores)
    spikes = [np.ones(each.neurons) for each in reached] if activity is None else list(activity.spikes)
    between = np.zeros((count, count))
    for number, core in enumerate(packing.cores):
        for part in core.parts:
            own = spikes[part.layer + 1][part.start : part.stop]
            rows = reached[part.layer + 1].rows
            between[number] += own.sum() * rows[0] if rows.shape[0] == 1 else own @ rows[part.start : part.stop]
    rows = reached[0].rows
    from_input = spikes[0].sum() * rows[0] if rows.shape[0] == 1 else spikes[0] @ rows
    return Traffic(between, np.asarray(from_input, np.float64))


def row_by_row(count: int, mesh: Mesh) -> Placement:
    """Cores in their own order, tile after tile."""
    return Placement(np.arange(count), mesh, "row by row")


def random_placement(count: int, mesh: Mesh, seed: int) -> Placement:
    """For comparison."""
    slots = np.random.default_rng(seed).permutation(mesh.slots)[:count]
    return Placement(slots, mesh, f"random ({seed})")


def place(traffic: Traffic, mesh: Mesh) -> Placement:
    """Few hops: the quadratic assignment problem of traffic and distances.

    FAQ (Vogelstein et al. 2015, doi 10.1371/journal.pone.0121002) of `scipy.optimize.quadratic_assignment`; where it
    finds nothing better, row by row. (Exchanges of two cores afterwards, scipy's '2opt', took as long again and won
    less than 1 %.) Deterministic. Raises MissingExtraError without scipy, where there is anything to place.
    """
    count = len(traffic.between)
    slots = mesh.slots
    if count > slots:
        raise ValueError(f"{count} cores do not fit on a mesh of {slots}")
    in_order = row_by_row(count, mesh)
    if in_order.total_hops(traffic) == 0:  # on one tile, or nothing is sent
        return in_order
    try:
        from scipy.optimize import quadratic_assignment
    except ModuleNotFoundError:
        raise MissingExtraError("placing cores on the mesh", "scipy", "mapping") from None
    flow = np.zeros((slots, slots))
    flow[:count, :count] = traffic.between + traffic.between.T
    flow /= flow.max()
    every = row_by_row(slots, mesh).hops()
    distance = (every[0] + every[1]).astype(np.float64)
    # FAQ starts from the barycenter of all placements, so that nothing in it is random.
    found = quadratic_assignment(flow, distance, method="faq").col_ind
    placed = Placement(np.asarray(found[:count], np.int64), mesh, "FAQ")
    return min((placed, in_order), key=lambda each: each.total_hops(traffic))
