"""An estimate of energy and time as rows and sentences, made once for terminals and pages."""

from __future__ import annotations

from typing import Any

from delaytool.mapping.energy import Estimate, Range
from delaytool.mapping.placement import Placement, Traffic

ENERGY_HEADINGS = ("per sample", "count", "energy")
_PREFIXES = ((1e-12, "p"), (1e-9, "n"), (1e-6, "µ"), (1e-3, "m"), (1.0, ""))


def format_range(values: Range, unit: str) -> str:
    """'1.23-4.56 µJ' of a range in SI units; one number where both ends look alike.

    >>> format_range(Range(1.2e-6, 3.4e-6), "J")
    '1.20-3.40 µJ'
    """
    size, prefix = next(((size, prefix) for size, prefix in reversed(_PREFIXES) if values.high >= size), (1e-12, "p"))
    low, high = f"{values.low / size:.3g}", f"{values.high / size:.3g}"
    if "e" not in low + high and values.high / size < 100:
        low, high = f"{values.low / size:.2f}", f"{values.high / size:.2f}"
    return f"{low} {prefix}{unit}" if low == high else f"{low}-{high} {prefix}{unit}"


def energy_rows(estimate: Estimate) -> list[tuple[str, str, str]]:
    """(kind of operation, how many per sample, energy) and the sum."""
    counts = estimate.counts
    numbers = {
        "neurons": f"{counts.neuron_steps:,.0f} neuron steps",
        "spikes": f"{counts.spikes:,.1f}",
        "synapses": f"{counts.events_sparse + counts.events_dense:,.1f} events",
        "messages": f"{counts.messages:,.1f} and {counts.input_messages:,.1f} from outside",
    }
    if counts.hops_east_west is not None and counts.hops_north_south is not None:
        numbers["hops"] = f"{counts.hops_east_west:,.1f} east-west, {counts.hops_north_south:,.1f} north-south"
    rows = [(kind, numbers[kind], format_range(part.scaled(1e-12), "J")) for kind, part in estimate.parts.items()]
    return [*rows, ("sum", estimate.costs.title, format_range(estimate.energy_pj.scaled(1e-12), "J"))]


def time_sentences(estimate: Estimate) -> list[str]:
    """Energy and time in sentences; the constants' title stands in each."""
    title = estimate.costs.title
    slowest = estimate.worst_ns.high * 1e-9
    real = estimate.time_step_ms * 1e-3
    keeps = "keeps" if slowest <= real else "may not keep"
    return [
        f"energy ({title}): {format_range(estimate.energy_pj.scaled(1e-12), 'J')} per sample of {estimate.steps} "
        f"steps, {format_range(estimate.power_w, 'W')} in real time, without leakage",
        f"time ({title}): {format_range(estimate.step_ns.scaled(1e-9), 's')} per step of mean activity, "
        f"{format_range(estimate.sample_ns.scaled(1e-9), 's')} per sample",
        f"real time ({title}): a step of the data is {estimate.time_step_ms:g} ms; the chip {keeps} up in a step in "
        f"which every neuron fires (up to {format_range(Range(slowest, slowest), 's')})",
        f"activity: {estimate.origin}",
    ]


def placement_sentence(placement: Placement, traffic: Traffic, row_by_row_hops: float, random_hops: float) -> str:
    """Hops per sample beside those of a row-by-row and a random placement."""
    return (
        f"placement ({placement.method}): {placement.total_hops(traffic):,.1f} hops per sample between tiles; row by "
        f"row {row_by_row_hops:,.1f}, at random {random_hops:,.1f} (mean of 5)"
    )


def no_hops_sentence(why: str) -> str:
    """Where there is no placement."""
    return f"hops between tiles are not counted, neither in energy nor in time: {why}"


def estimate_as_dict(estimate: Estimate) -> dict[str, Any]:
    """For machines: JSON values only."""

    def pair(values: Range) -> list[float]:
        return [values.low, values.high]

    return {
        "constants": {
            "name": estimate.costs.name,
            "title": estimate.costs.title,
            "source": estimate.costs.source,
        },
        "activity": estimate.origin,
        "steps": estimate.steps,
        "counts_per_sample": vars(estimate.counts),
        "energy_pj_by_kind": {kind: pair(part) for kind, part in estimate.parts.items()},
        "energy_pj_per_sample": pair(estimate.energy_pj),
        "power_w_in_real_time": pair(estimate.power_w),
        "step_ns": pair(estimate.step_ns),
        "worst_step_ns": pair(estimate.worst_ns),
        "sample_ns": pair(estimate.sample_ns),
        "time_step_ms": estimate.time_step_ms,
        "times_real_time": pair(estimate.speed),
    }
