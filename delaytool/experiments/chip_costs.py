"""Placement, energy and time of a network on a chip, from a measured or an assumed activity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from delaytool.contract.network import IntegerNetwork
from delaytool.errors import MissingExtraError, TargetError
from delaytool.hw_configs import Mesh
from delaytool.hw_configs.costs import Costs, costs_from
from delaytool.mapping.activity import Activity, measured_activity
from delaytool.mapping.energy import Estimate, estimate
from delaytool.mapping.fit import Fit
from delaytool.mapping.placement import Placement, Traffic, place, random_placement, row_by_row, traffic_of

RANDOM_PLACEMENTS = 5
# Messages are counted, and places searched, from every core to every other.
MOST_CORES = 4096


@dataclass(frozen=True, eq=False)
class ChipCosts:
    """What a network costs on its cores.

    placement    None where the chip's mesh is not known or has too few cores: hops are then not counted
    traffic      messages per sample between cores
    row_by_row_hops, random_hops   per sample, for comparison; the second the mean of `RANDOM_PLACEMENTS`
    why_in_order why cores are placed row by row although fewer hops may be possible; '' where they are not
    why_no_hops  why there is no placement; '' where there is one
    """

    estimate: Estimate
    placement: Placement | None
    traffic: Traffic
    row_by_row_hops: float = 0.0
    random_hops: float = 0.0
    why_in_order: str = ""
    why_no_hops: str = ""


def chip_costs(
    fit: Fit, activity: Activity, costs: Costs | str | None = None, kept: Placement | None = None
) -> ChipCosts:
    """Place the cores by the activity's traffic and estimate energy and time.

    kept    a placement that the network carries (`mapping.kept`), which is taken as it is
    costs   constants, their name or TOML file; None: those that the target names
    Raises TargetError where there are none, or more than MOST_CORES cores.
    """
    name = fit.target.costs if costs is None else costs
    if not name:
        raise TargetError(f"{fit.target.name}: names no constants of energy and time; give some with --costs")
    mesh, count = fit.target.mesh, fit.packing.count
    if not fit.packing.cores or count > MOST_CORES:
        raise TargetError(
            f"{fit.target.name}: energy and time are estimated for up to {MOST_CORES:,} cores, and this takes "
            f"{count:,}; leave the activity out to see how it fits"
        )
    constants = costs_from(name) if isinstance(name, str) else name
    traffic = traffic_of(fit.shape, fit.packing, activity)
    if mesh is None or count > mesh.slots:
        what = "not known" if mesh is None else f"of {mesh.slots:,} cores, and this takes {count:,}"
        why = f"the mesh of {fit.target.name} is {what}"
        return ChipCosts(estimate(fit.shape, fit.packing, activity, constants), None, traffic, why_no_hops=why)
    placement, why = _placed(traffic, mesh) if kept is None else (kept, "")
    made = estimate(fit.shape, fit.packing, activity, constants, placement)
    in_order = row_by_row(count, mesh).total_hops(traffic)
    hops = [random_placement(count, mesh, seed).total_hops(traffic) for seed in range(RANDOM_PLACEMENTS)]
    return ChipCosts(made, placement, traffic, in_order, sum(hops) / len(hops), why_in_order=why)


def _placed(traffic: Traffic, mesh: Mesh) -> tuple[Placement, str]:
    """(placement, why it is row by row although fewer hops may be possible)."""
    in_order = row_by_row(len(traffic.between), mesh)
    if mesh.slots > MOST_CORES:
        return in_order, f"places are searched on meshes of up to {MOST_CORES:,} cores"
    try:
        return place(traffic, mesh), ""
    except MissingExtraError as error:
        return in_order, str(error)


def measure_activity(
    path: Path,
    network: IntegerNetwork,
    data: str | None,
    samples: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> Activity:
    """Run the engine on evenly spaced test samples and count every neuron's spikes.

    data   a source or path; 'recorded': what the file names; None: that too, where it is built in
    Raises DataError, BackendError.
    """
    from delaytool.contract.frames import padded_input
    from delaytool.experiments.evaluated_samples import SampleChoice, load_samples
    from delaytool.runtime.backends import backend_named

    loaded = load_samples(network, path, SampleChoice(data, "test", samples), progress)
    trace = backend_named("engine")(network, loaded.frames)
    return measured_activity(
        padded_input(loaded.frames, network.n_steps), trace.spikes, f"measured on {len(loaded.frames)} test samples"
    )
