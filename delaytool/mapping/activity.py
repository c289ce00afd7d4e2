"""How often the neurons of each population fire: measured, or assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from delaytool.mapping.cores import Part
from delaytool.mapping.shape import NetworkShape


@dataclass(frozen=True, eq=False)
class Activity:
    """Means per sample.

    spikes    per population (0 the input, k layer k - 1) (neuron,) float64: spikes of each neuron per sample; of the
              input, values above zero
    steps     chip steps per sample
    origin    where the figures come from, as a phrase
    """

    spikes: tuple[np.ndarray, ...]
    steps: int
    origin: str


def measured_activity(input_frames: np.ndarray, spikes: Sequence[np.ndarray], origin: str) -> Activity:
    """From frames (sample, step, channel) as the chip gets them, and each layer's spikes (sample, step, neuron)."""
    populations = (input_frames > 0, *spikes)
    means = tuple(np.asarray(each.sum(axis=1, dtype=np.int64).mean(axis=0), np.float64) for each in populations)
    return Activity(means, input_frames.shape[1], origin)


def mean_activity(
    shape: NetworkShape, input_spikes: float, spikes: Sequence[float], steps: int, origin: str
) -> Activity:
    """From spikes per sample of whole populations, as `runtime.counters` has them: spread evenly over their neurons."""
    totals = (input_spikes, *spikes)
    sizes = (shape.n_channels, *(layer.n_neurons for layer in shape.layers))
    return Activity(
        tuple(np.full(size, total / size) for total, size in zip(totals, sizes, strict=True)), steps, origin
    )


def assumed_activity(shape: NetworkShape, rate: float, steps: int) -> Activity:
    """Every channel and every hidden neuron fires in this share of the steps; the readout, as exported, never."""
    sizes = (shape.n_channels, *(layer.n_neurons for layer in shape.layers))
    rates = (*([rate] * (len(sizes) - 1)), 0.0)
    return Activity(
        tuple(np.full(size, each * steps) for size, each in zip(sizes, rates, strict=True)),
        steps,
        f"assumed: every channel and hidden neuron fires in {100 * rate:g} % of the steps",
    )


def events_of(shape: NetworkShape, part: Part, activity: Activity) -> tuple[float, float]:
    """Synaptic events per sample in one part of a layer: (in lists, in matrices)."""
    listed = dense = 0.0
    for group in shape.layers[part.layer].groups:
        spikes = activity.spikes[group.source]
        if group.pairs is not None:
            events = float(spikes @ group.pairs[part.start : part.stop].sum(axis=0, dtype=np.int64))
        else:
            share = float(group.stored[part.start : part.stop].sum()) / max(1, int(group.stored.sum()))
            events = float(spikes.mean()) * group.synapses * share
        if group.is_matrix:
            dense += events
        else:
            listed += events
    return listed, dense
