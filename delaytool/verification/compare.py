"""Two traces of one network: where they differ, and where they first differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from delaytool.contract.frames import padded_input
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import BackendError
from delaytool.runtime.trace import Trace

# In the order in which a step computes them, so that the first difference found is the cause of the others.
QUANTITIES = ("u", "v", "spikes")
MOST_EVENTS = 20  # of the spikes that reach a neuron, which are listed


@dataclass(frozen=True)
class ArrivingEvent:
    """A spike that reaches a neuron in a given step."""

    source: str
    neuron: int
    sent: int
    delay: int
    weight: int
    payload: int

    def __str__(self) -> str:
        graded = f" x {self.payload}" if self.payload != 1 else ""
        return (
            f"{self.source}[{self.neuron}] sent at step {self.sent}, delay {self.delay}, weight {self.weight}{graded}"
        )


@dataclass(frozen=True)
class Divergence:
    """The first difference of a sample: the earliest step, in it the first layer, in it u before v before spikes."""

    sample: int
    step: int
    layer: str
    neuron: int
    quantity: str
    left: int
    right: int
    arriving: tuple[ArrivingEvent, ...]


@dataclass(frozen=True)
class TraceComparison:
    """mismatches: for each layer's name and quantity, how many values differ; first: None where all agree."""

    samples: int
    mismatches: dict[str, dict[str, int]]
    first: Divergence | None

    @property
    def equal(self) -> bool:
        return self.total == 0

    @property
    def total(self) -> int:
        return sum(sum(counts.values()) for counts in self.mismatches.values())

    def count(self, quantity: str) -> int:
        """Values of 'spikes', 'u' or 'v' that differ, over all layers."""
        return sum(counts[quantity] for counts in self.mismatches.values())

    def joined(self, later: TraceComparison, offset: int) -> TraceComparison:
        """This comparison and that of the samples from `offset` on, as one."""
        mismatches = {
            name: {quantity: counts[quantity] + later.mismatches[name][quantity] for quantity in QUANTITIES}
            for name, counts in self.mismatches.items()
        }
        first = self.first
        if first is None and later.first is not None:
            first = Divergence(**{**vars(later.first), "sample": later.first.sample + offset})
        return TraceComparison(self.samples + later.samples, mismatches, first)


def compare(network: IntegerNetwork, frames: np.ndarray, left: Trace, right: Trace) -> TraceComparison:
    """Compare two full traces of the same frames (sample, time, channel), bit for bit.

    Raises BackendError where their shapes differ, so that a comparison of no values cannot pass.
    """
    differs: dict[str, list[np.ndarray]] = {quantity: [] for quantity in QUANTITIES}
    for quantity in QUANTITIES:
        for layer, one, other in zip(network.layers, getattr(left, quantity), getattr(right, quantity), strict=True):
            expected = (len(frames), network.n_steps, layer.n_neurons)
            if one.shape != expected or other.shape != expected:
                raise BackendError(
                    f"layer {layer.name}: the traces' {quantity} have shapes {one.shape} and {other.shape}, "
                    f"the run has {expected}; compare full traces of the same samples"
                )
            differs[quantity].append(one != other)
    mismatches = {
        layer.name: {quantity: int(differs[quantity][index].sum()) for quantity in QUANTITIES}
        for index, layer in enumerate(network.layers)
    }
    return TraceComparison(len(frames), mismatches, _first(network, frames, left, right, differs))


def _first(
    network: IntegerNetwork, frames: np.ndarray, left: Trace, right: Trace, differs: dict[str, list[np.ndarray]]
) -> Divergence | None:
    found: tuple[int, int, int, int, int] | None = None  # sample, step, layer, quantity, neuron: in order of cause
    for rank, quantity in enumerate(QUANTITIES):
        for index, values in enumerate(differs[quantity]):
            places = np.argwhere(values)  # sorted by sample, then step, then neuron
            if len(places):
                sample, step, neuron = (int(value) for value in places[0])
                here = (sample, step, index, rank, neuron)
                found = here if found is None else min(found, here)
    if found is None:
        return None
    sample, step, index, rank, neuron = found
    quantity = QUANTITIES[rank]
    return Divergence(
        sample=sample,
        step=step,
        layer=network.layers[index].name,
        neuron=neuron,
        quantity=quantity,
        left=int(getattr(left, quantity)[index][sample, step, neuron]),
        right=int(getattr(right, quantity)[index][sample, step, neuron]),
        arriving=tuple(arriving_events(network, frames[sample], left, sample, index, neuron, step)),
    )


def arriving_events(
    network: IntegerNetwork, frames: np.ndarray, trace: Trace, sample: int, layer: int, neuron: int, step: int
) -> list[ArrivingEvent]:
    """The spikes of a trace that reach one neuron in one step, in the order of the layer's synapses.

    frames   (time, channel) of that sample
    """
    sent = [padded_input(frames[None], network.n_steps)[0], *(spikes[sample] for spikes in trace.spikes)]
    events = []
    for group in network.layers[layer].synapses:
        target, pre, weight, delay = group.listed()
        when = step - 1 - delay
        for synapse in np.flatnonzero((target == neuron) & (when >= 0)):
            payload = int(sent[group.source][when[synapse], pre[synapse]])
            if payload:
                events.append(
                    ArrivingEvent(
                        source=network.name_of(group.source),
                        neuron=int(pre[synapse]),
                        sent=int(when[synapse]),
                        delay=int(delay[synapse]),
                        weight=int(weight[synapse]) << group.exponent,
                        payload=payload,
                    )
                )
    return events
