"""What a run costs on a chip, counted: spikes, synaptic events and neuron updates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from delaytool.contract.frames import padded_input
from delaytool.contract.network import IntegerNetwork
from delaytool.runtime.trace import Trace


@dataclass(frozen=True)
class Counters:
    """Counts of a run.

    input_spikes      (sample,) int64: input values above zero, over channels and chip steps
    spikes            (sample, layer) int64: spikes that the layer fired
    synaptic_events   (sample, layer) int64: synapses of the layer that took up a spike or a graded value. A synapse
                      counts where its weight is not zero, and when the spike is sent: that is when a chip reads it,
                      even where its delay ends after the last step
    neuron_updates    (sample, layer) int64: steps times neurons
    """

    input_spikes: np.ndarray
    spikes: np.ndarray
    synaptic_events: np.ndarray
    neuron_updates: np.ndarray

    def total(self) -> dict[str, int]:
        """Sums over samples and layers, for tables and JSON."""
        return {
            "input_spikes": int(self.input_spikes.sum()),
            "spikes": int(self.spikes.sum()),
            "synaptic_events": int(self.synaptic_events.sum()),
            "neuron_updates": int(self.neuron_updates.sum()),
        }


def fan_out(network: IntegerNetwork) -> list[np.ndarray]:
    """For each population (0 the input, k layer k - 1) an array (neuron, layer) int64: synapses from it to there."""
    counts = [
        np.zeros((network.n_neurons_of(source), len(network.layers)), np.int64)
        for source in range(len(network.layers) + 1)
    ]
    for index, layer in enumerate(network.layers):
        for group in layer.synapses:
            _, pre, _, _ = group.listed()
            counts[group.source][:, index] += np.bincount(pre, minlength=group.shape[1])
    return counts


def neuron_updates(network: IntegerNetwork, n_samples: int, n_steps: int) -> np.ndarray:
    """(sample, layer) int64: steps times neurons."""
    row = np.array([layer.n_neurons * n_steps for layer in network.layers], np.int64)
    return np.tile(row, (n_samples, 1))


def count(network: IntegerNetwork, frames: np.ndarray, trace: Trace) -> Counters:
    """Counters from any backend's trace, if it holds the spikes of every layer; `frames` is what that backend ran."""
    given = padded_input(frames, network.n_steps) > 0
    sent = [given.sum(axis=1, dtype=np.int64)] + [layer.sum(axis=1, dtype=np.int64) for layer in trace.spikes]
    events = sum((number @ fan for number, fan in zip(sent, fan_out(network), strict=True)))
    return Counters(
        input_spikes=sent[0].sum(axis=1),
        spikes=trace.events(),
        synaptic_events=np.asarray(events),
        neuron_updates=neuron_updates(network, frames.shape[0], network.n_steps),
    )
