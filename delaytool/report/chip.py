"""The page's section about the chip: cores on the mesh, energy, latency and real time, NeuroBench's metrics."""

from __future__ import annotations

from typing import Any

from delaytool.errors import DelaytoolError, NetworkError
from delaytool.experiments.chip_costs import ChipCosts, chip_costs
from delaytool.hw_configs import load_target
from delaytool.mapping.activity import mean_activity
from delaytool.mapping.fit import Fit, fit, format_amount
from delaytool.mapping.format_estimate import (
    ENERGY_HEADINGS,
    energy_rows,
    no_hops_sentence,
    placement_sentence,
    time_sentences,
)
from delaytool.mapping.kept import KeptFit, fit_as_kept
from delaytool.mapping.shape import shape_of_network
from delaytool.report.chip_figure import mesh_figure
from delaytool.report.content import Content
from delaytool.report.inline_svg import inline_svg
from delaytool.runtime.neurobench import rows as neurobench_rows


def chip_section(content: Content) -> dict[str, Any] | None:
    """What the template shows; None where there is no network."""
    if content.file is None:
        return None
    network = content.file.network
    target = load_target(network.target)
    try:
        kept = fit_as_kept(network, target)
    except NetworkError as error:
        kept = KeptFit(fit(shape_of_network(network), target), None, str(error))
    result = kept.fit
    section: dict[str, Any] = {
        "headline": _headline(result),
        "lines": [*result.reasons, *result.doubts, *([kept.why_anew] if kept.why_anew else [])],
        "figure": None,
        "energy": [],
        "neurobench": [],
        "why_not": content.why_not_verified,
    }
    if content.verification is None:
        return section
    whole = content.verification.whole
    section["neurobench"] = neurobench_rows(whole.static, whole.operations)
    counters = whole.counters
    activity = mean_activity(
        result.shape,
        float(counters.input_spikes.mean()),
        counters.spikes.mean(axis=0).tolist(),
        whole.steps,
        f"mean of {whole.samples:,} test samples, spread evenly over each layer's neurons",
    )
    try:
        costs = chip_costs(result, activity, kept=kept.placement)
    except DelaytoolError as error:
        return {**section, "why_not": str(error)}
    section |= {
        "energy": energy_rows(costs.estimate),
        "energy_headings": ENERGY_HEADINGS,
        "sentences": [
            *time_sentences(costs.estimate),
            *([no_hops_sentence(costs.why_no_hops)] if costs.why_no_hops else []),
        ],
    }
    if costs.placement is not None:
        section |= _placed(result, costs)
    return section


def _headline(result: Fit) -> str:
    count = result.packing.count
    cores = f"{count} core{'s' if count != 1 else ''}{', which layers share,' if result.packing.shares_cores else ''}"
    return (
        f"About {format_amount(result.synapse_bytes, 'bytes')} of synapses on {cores} "
        f"of {result.target.limits.cores:,} of {result.target.title} (an estimate; up to "
        f"{format_amount(result.high_bytes, 'bytes')} if packed as on Loihi 1)."
    )


def _placed(result: Fit, costs: ChipCosts) -> dict[str, Any]:
    placement = costs.placement
    assert placement is not None
    sentence = placement_sentence(placement, costs.traffic, costs.row_by_row_hops, costs.random_hops)
    return {
        "figure": inline_svg(
            mesh_figure(result, placement, costs.traffic),
            f"{result.packing.count} cores on the mesh of {result.target.title}",
        ),
        "cores_per_tile": placement.mesh.cores_per_tile,
        "placement": sentence[0].upper() + sentence[1:],
        "mesh": f"The mesh is {placement.mesh.source}",
    }
