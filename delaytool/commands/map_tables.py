"""What `delaytool map` prints of a fit."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from delaytool.commands.console import PlainConsole, styled
from delaytool.commands.plain_table import plain_table
from delaytool.contract.limits import bits_for
from delaytool.experiments.chip_costs import ChipCosts
from delaytool.experiments.chip_fit import Subject
from delaytool.mapping.cores import axons
from delaytool.mapping.fit import Fit, Limit, format_amount, layers_of, memory
from delaytool.mapping.format_estimate import (
    ENERGY_HEADINGS,
    energy_rows,
    estimate_as_dict,
    no_hops_sentence,
    placement_sentence,
    time_sentences,
)
from delaytool.mapping.ways_out import WayOut

LAYER_HEADINGS = ("layer", "neurons", "synapses", "fan-in", "KiB", "delays", "stored as", "cores")
CORE_HEADINGS = ("core", "layers", "neurons", "KiB", "full", "axons in", "out")
LIMIT_HEADINGS = ("limit", "needs", "chip has", "left")
CORES_SHOWN = 16


def print_fit(
    console: PlainConsole, subject: Subject, result: Fit, ways: list[WayOut], *, all_limits: bool = False
) -> None:
    """The verdict first, then layers, cores and limits; sources with `all_limits`."""
    target, shape = result.target, result.shape
    if result.fits:
        console.print(styled("bold green", "FITS", f": {_headline(subject, result)}"))
    else:
        console.print(styled("bold red", "DOES NOT FIT", f": {_headline(subject, result)}"))
    for reason in result.reasons:
        console.print(f"  {reason}")
    for doubt in result.doubts:
        console.print(styled("bold yellow", "MAY NOT FIT", f": {doubt}"))
    console.print(_layers(result))
    if result.packing.cores:
        console.print(_cores(result))
    high = result.high_bytes
    console.print(
        f"synapses: about {format_amount(result.synapse_bytes, 'bytes')} by the exporter's formula; up to "
        f"{format_amount(high, 'bytes')} if packed as on Loihi 1. How {target.title} packs them is not public."
        if target.name != "ideal"
        else f"synapses: {format_amount(result.synapse_bytes, 'bytes')}"
    )
    console.print(_delay_costs(result))
    if not shape.exported:
        sparse = subject.design is not None and any(subject.design.sparsities)
        console.print(
            "from the recipe alone: weights that become 0 and taps that meet on one delay will take no memory"
            + ("; the taps of sparse layers are spread evenly, and one neuron may get more" if sparse else "")
        )
    console.print(_limits(result.limits if all_limits else _tightest(result.limits)))
    if all_limits:
        for text in dict.fromkeys(f"{limit.quantity}: {limit.source}" for limit in result.limits):
            console.print(f"  {text}")
    else:
        console.print("every limit with its source: --limits")
    if ways:
        console.print("ways out, each applied to the recipe and checked:")
        for way in ways:
            console.print(f"  {way.describe()}")
    elif not result.fits:
        console.print(
            "no change of one key makes it fit" if subject.recipe is not None else "no recipe is recorded to change"
        )


def _headline(subject: Subject, result: Fit) -> str:
    allowed, count = result.cores_allowed, result.packing.count
    shared = ", layers share cores" if result.packing.shares_cores else ""
    return (
        f"{subject.kind} {subject.name} on {result.target.title}: {count:,} of {allowed:,} "
        f"core{'s' if allowed != 1 else ''}{shared} (an estimate)"
    )


def _layers(result: Fit) -> Table:
    table = plain_table("layers", LAYER_HEADINGS)
    for number, layer in enumerate(result.shape.layers):
        size = memory(layer, result.target)
        stored = "+".join("matrix" if group.is_matrix else "list" for group in layer.groups) or "-"
        cores = len(result.packing.cores_of(number)) if result.packing.cores else "?"
        table.add_row(
            layer.name, f"{layer.n_neurons:,}", f"{layer.synapses:,}", f"{layer.fan_in:,}",
            f"{size.total / 1024:,.1f}", f"{size.delays / 1024:,.1f}", stored, str(cores),
        )  # fmt: skip
    return table


def _cores(result: Fit) -> Table:
    inward, outward = axons(result.shape, result.packing)
    cores = result.packing.cores
    title = "cores" if len(cores) <= CORES_SHOWN else f"cores (the fullest {CORES_SHOWN} of {len(cores)})"
    table = plain_table(title, CORE_HEADINGS)
    chosen = sorted(range(len(cores)), key=lambda number: -cores[number].n_bytes)[:CORES_SHOWN]
    room = result.target.limits.synapse_bytes_per_core
    for number in sorted(chosen):
        core = cores[number]
        table.add_row(
            str(number), layers_of(result.shape, core), f"{core.neurons:,}", f"{core.n_bytes / 1024:,.1f}",
            f"{100 * core.n_bytes / room:.0f} %", f"{inward[number]:,}", f"{outward[number]:,}",
        )  # fmt: skip
    return table


def _delay_costs(result: Fit) -> str:
    """What delays take now, and what the next bit of them would."""
    stored = [(int(group.stored.sum()), group.max_delay) for layer in result.shape.layers for group in layer.groups]
    longest = max((delay for _, delay in stored), default=0)
    now = sum(count * bits_for(delay) for count, delay in stored) // 8
    bits = bits_for(longest)
    free_until = min((1 << bits) - 1, result.target.limits.delay_max)
    line = f"delays: {format_amount(now, 'bytes')} of that, {bits} bits each for up to {longest} steps"
    if free_until > longest:
        line += f"; up to {free_until} they take no more"
    if free_until < result.target.limits.delay_max:
        more = sum(count for count, delay in stored if bits_for(delay) == bits) // 8
        line += f"; one bit more, to {min(2 * free_until + 1, result.target.limits.delay_max)}, takes "
        line += format_amount(more, "bytes")
    return line


def _tightest(limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """Of each quantity the place with the least room."""
    chosen: dict[str, Limit] = {}
    for limit in limits:
        if limit.quantity not in chosen or limit.headroom < chosen[limit.quantity].headroom:
            chosen[limit.quantity] = limit
    return tuple(chosen.values())


def _limits(limits: tuple[Limit, ...]) -> Table:
    table = plain_table("limits", LIMIT_HEADINGS)
    for limit in limits:
        note = "" if limit.kind == "limit" else f" ({limit.kind})"
        table.add_row(
            f"{limit.place}: {limit.quantity}{note}", _short(limit.value, limit.unit),
            ("≥ " if limit.is_lower else "") + _short(limit.limit, limit.unit), _short(limit.headroom, limit.unit),
        )  # fmt: skip
    return table


def _short(value: int, unit: str) -> str:
    """As `format_amount`, numbers that would make a table too wide for 80 columns rounded."""
    return f"{value / 1e9:.1f} billion" if not unit and abs(value) >= 10**8 else format_amount(value, unit)


def fit_as_dict(subject: Subject, result: Fit, ways: list[WayOut]) -> dict[str, Any]:
    """For machines: JSON values only."""
    shape = result.shape
    inward, outward = axons(shape, result.packing)
    return {
        "subject": subject.name,
        "kind": subject.kind,
        "target": result.target.name,
        "fits": result.fits,
        "reasons": list(result.reasons),
        "doubts": list(result.doubts),
        "cores": result.packing.count,
        "cores_allowed": result.cores_allowed,
        "shares_cores": result.packing.shares_cores,
        "synapse_bytes": result.synapse_bytes,
        "synapse_bytes_high": result.high_bytes,
        "layers": [
            {
                "name": layer.name,
                "neurons": layer.n_neurons,
                "synapses": layer.synapses,
                "fan_in": layer.fan_in,
                "max_delay": max((group.max_delay for group in layer.groups), default=0),
                "bytes": asdict(memory(layer, result.target)),
                "cores": len(result.packing.cores_of(number)) if result.packing.cores else None,
            }
            for number, layer in enumerate(shape.layers)
        ],
        "core_parts": [
            {
                "parts": [
                    {"layer": shape.layers[part.layer].name, "start": part.start, "stop": part.stop}
                    for part in core.parts
                ],
                "neurons": core.neurons,
                "bytes": core.n_bytes,
                "bytes_high": core.high_bytes,
                "axons_in": int(inward[number]),
                "axons_out": int(outward[number]),
            }
            for number, core in enumerate(result.packing.cores)
        ],
        "limits": [
            {**asdict(limit), "headroom": limit.headroom, "exceeded": limit.is_exceeded} for limit in result.limits
        ],
        "ways_out": [
            {
                "set": list(way.settings),
                "cores": way.fit.packing.count,
                "synapse_bytes": way.fit.synapse_bytes,
            }
            for way in ways
        ],
    }


def print_costs(console: PlainConsole, costs: ChipCosts) -> None:
    """Energy, time and placement, with the constants' title beside each figure."""
    console.print(plain_table(f"energy, {costs.estimate.costs.title}", ENERGY_HEADINGS, energy_rows(costs.estimate)))
    for sentence in time_sentences(costs.estimate):
        console.print(sentence)
    if costs.placement is not None:
        console.print(placement_sentence(costs.placement, costs.traffic, costs.row_by_row_hops, costs.random_hops))
    if costs.why_in_order:
        console.print(f"placed row by row: {costs.why_in_order}")
    if costs.why_no_hops:
        console.print(no_hops_sentence(costs.why_no_hops))


def costs_as_dict(costs: ChipCosts | None) -> dict[str, Any]:
    """For machines: JSON values only; empty where nothing was estimated."""
    if costs is None:
        return {}
    placement = costs.placement
    return {
        "estimate": estimate_as_dict(costs.estimate),
        "placement": None
        if placement is None
        else {
            "method": placement.method,
            "slots": placement.slots.tolist(),
            "hops": placement.total_hops(costs.traffic),
            "hops_row_by_row": costs.row_by_row_hops,
            "hops_random": costs.random_hops,
        },
        "why_no_hops": costs.why_no_hops,
    }
