"""Energy per sample and time per step, from counts and published constants.

Every count times its constant, summed: the model of SANA-FE (github.com/SLAM-Lab/SANA-FE) with the constants of
Davies et al. 2018. What is not counted: leakage and clocks, input and output over the chip's edge, the host. No figures
per operation of Loihi 2 are public, so Loihi 1's stand in: the constants' title stands beside every figure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from delaytool.hw_configs.costs import Costs
from delaytool.mapping.activity import Activity, events_of
from delaytool.mapping.cores import Packing
from delaytool.mapping.placement import Placement, Traffic, traffic_of
from delaytool.mapping.shape import NetworkShape


@dataclass(frozen=True)
class Range:
    """An estimate's lower and upper end."""

    low: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)

    def scaled(self, factor: float) -> Range:
        return Range(self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Counts:
    """Operations per sample.

    neuron_steps        neurons times steps: every state is read; how many are computed is between none and all
    spikes              of layers
    events_sparse, events_dense   synaptic events in lists and in matrices
    messages            between cores, and input_messages from the chip's edge
    hops_east_west, hops_north_south   of the messages between cores; None without a placement
    """

    neuron_steps: float
    spikes: float
    events_sparse: float
    events_dense: float
    messages: float
    input_messages: float
    hops_east_west: float | None
    hops_north_south: float | None


@dataclass(frozen=True)
class Estimate:
    """What a sample costs, as far as the constants give it.

    parts        picojoules per sample by kind of operation; without a placement there are no hops
    step_ns      nanoseconds that a step of mean activity takes; without a placement without the way of a message
    worst_ns     nanoseconds of a step in which every neuron and channel fires
    steps        per sample; time_step_ms: of the data
    """

    costs: Costs
    counts: Counts
    parts: dict[str, Range]
    step_ns: Range
    worst_ns: Range
    steps: int
    time_step_ms: float
    origin: str

    @property
    def energy_pj(self) -> Range:
        return sum(self.parts.values(), Range(0.0, 0.0))

    @property
    def power_w(self) -> Range:
        """Energy per second of input, were the chip run in real time: dynamic power, without leakage."""
        return self.energy_pj.scaled(1e-12 / (self.steps * self.time_step_ms * 1e-3))

    @property
    def sample_ns(self) -> Range:
        return self.step_ns.scaled(self.steps)

    @property
    def speed(self) -> Range:
        """How many times faster than real time a step of mean activity is."""
        real = self.time_step_ms * 1e6
        return Range(real / self.step_ns.high, real / self.step_ns.low)


def count_operations(
    shape: NetworkShape, packing: Packing, placement: Placement | None, activity: Activity, traffic: Traffic
) -> Counts:
    """Operations per sample; without a placement no hops are counted."""
    events = np.array([events_of(shape, part, activity) for core in packing.cores for part in core.parts])
    sparse, dense = events.sum(axis=0) if events.size else (0.0, 0.0)
    east_west = north_south = None
    if placement is not None:
        columns, rows = placement.hops()
        east_west = float((traffic.between * columns).sum())
        north_south = float((traffic.between * rows).sum())
    return Counts(
        neuron_steps=float(shape.neurons * activity.steps),
        spikes=float(sum(each.sum() for each in activity.spikes[1:])),
        events_sparse=float(sparse),
        events_dense=float(dense),
        messages=float(traffic.between.sum()),
        input_messages=float(traffic.from_input.sum()),
        hops_east_west=east_west,
        hops_north_south=north_south,
    )


def energy_parts(counts: Counts, costs: Costs) -> dict[str, Range]:
    """Picojoules per sample, by kind.

    The range: the states that are computed, not only read, are between none and all of them; a synaptic event costs
    between the smaller and the larger of the two constants; input messages cost nothing, or as much as the chip's own.
    """
    pj = costs.energy_pj
    events = counts.events_sparse + counts.events_dense
    sparse, dense = pj.synaptic_event_sparse, pj.synaptic_event_dense
    parts = {
        "neurons": Range(
            counts.neuron_steps * pj.neuron_access, counts.neuron_steps * (pj.neuron_access + pj.neuron_update)
        ),
        "spikes": Range(counts.spikes * pj.spike_out, counts.spikes * pj.spike_out),
        "synapses": Range(events * min(sparse, dense), events * max(sparse, dense)),
        "messages": Range(counts.messages * pj.message_out, (counts.messages + counts.input_messages) * pj.message_out),
    }
    if counts.hops_east_west is not None and counts.hops_north_south is not None:
        hops = counts.hops_east_west * pj.hop_east_west + counts.hops_north_south * pj.hop_north_south
        parts["hops"] = Range(hops, hops)
    return parts


def step_time(
    shape: NetworkShape, packing: Packing, placement: Placement | None, activity: Activity, costs: Costs
) -> Range:
    """Nanoseconds per step of an activity that is the same in every step.

    The slowest core: it reads (low) or computes (high) every neuron, sends its spikes, receives messages and handles
    their synapses, one after another; then all cores synchronize. The upper end adds the longest way of a message.
    """
    ns, steps = costs.time_ns, activity.steps
    traffic = traffic_of(shape, packing, activity)
    received = (traffic.between.sum(axis=0) + traffic.from_input) / steps
    sent = traffic.between.sum(axis=1) / steps
    low = high = 0.0
    for number, core in enumerate(packing.cores):
        spikes = (
            sum(float(activity.spikes[part.layer + 1][part.start : part.stop].sum()) for part in core.parts) / steps
        )
        listed, dense = np.sum([events_of(shape, part, activity) for part in core.parts], axis=0) / steps
        shared = (
            spikes * ns.spike_out
            + listed * ns.synaptic_event_sparse
            + dense * ns.synaptic_event_dense
            + float(received[number]) * ns.message_in
            + float(sent[number]) * ns.message_out
        )
        low = max(low, shared + core.neurons * ns.neuron_access)
        high = max(high, shared + core.neurons * (ns.neuron_access + ns.neuron_update))
    way = 0.0
    if placement is not None and traffic.between.size:
        columns, rows = placement.hops()
        ways = (columns * ns.hop_east_west + rows * ns.hop_north_south) * (traffic.between > 0)
        way = float(ways.max())
    return Range(low + ns.synchronization_low, high + way + ns.synchronization_high)


def estimate(
    shape: NetworkShape, packing: Packing, activity: Activity, costs: Costs, placement: Placement | None = None
) -> Estimate:
    """Energy and time of a network on its cores, from an activity and a chip's constants."""
    traffic = traffic_of(shape, packing, activity)
    counts = count_operations(shape, packing, placement, activity, traffic)
    everything = Activity(
        tuple(np.full(each.size, float(activity.steps)) for each in activity.spikes), activity.steps, ""
    )
    return Estimate(
        costs=costs,
        counts=counts,
        parts=energy_parts(counts, costs),
        step_ns=step_time(shape, packing, placement, activity, costs),
        worst_ns=step_time(shape, packing, placement, everything, costs),
        steps=activity.steps,
        time_step_ms=shape.time_step_ms,
        origin=activity.origin,
    )
