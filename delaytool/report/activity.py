"""How often each neuron fires, and how long the simulation takes for one decision: measured for the page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from delaytool.contract.network import IntegerNetwork
from delaytool.datasets.subset import evenly_spaced
from delaytool.runtime.backends import Backend

# A neuron that fires in this share of a sample's steps, on average, hardly depends on its input.
SATURATED = 0.9
SAMPLES_AT_ONCE = 16
DECISIONS = 25

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class LayerActivity:
    """rates (neuron,) float64: share of a sample's chip steps in which the neuron fires, mean over samples, 0..1."""

    name: str
    rates: np.ndarray

    @property
    def dead(self) -> int:
        """Neurons that fire for none of the samples."""
        return int((self.rates == 0).sum())

    @property
    def saturated(self) -> int:
        """Neurons that fire in `SATURATED` of the steps or more."""
        return int((self.rates >= SATURATED).sum())


def measure_firing_rates(
    network: IntegerNetwork, frames: np.ndarray, run: Backend, progress: Progress | None = None
) -> tuple[LayerActivity, ...]:
    """Firing rates of every layer but the readout, which never fires. frames (sample, time, channel)."""
    hidden = network.layers[:-1]
    counts = [np.zeros(layer.n_neurons, np.int64) for layer in hidden]
    for start in range(0, len(frames), SAMPLES_AT_ONCE):
        trace = run(network, frames[start : start + SAMPLES_AT_ONCE])
        for count, spikes in zip(counts, trace.spikes, strict=False):
            count += spikes.sum(axis=(0, 1), dtype=np.int64)
        if progress is not None:
            progress("firing rates", min(start + SAMPLES_AT_ONCE, len(frames)), len(frames))
    steps = len(frames) * network.n_steps
    return tuple(LayerActivity(layer.name, count / steps) for layer, count in zip(hidden, counts, strict=True))


def time_decisions(network: IntegerNetwork, frames: np.ndarray, run: Backend) -> float:
    """Median seconds that `run` takes for one sample alone, over `DECISIONS` samples at most, after one to warm up."""
    chosen = evenly_spaced(len(frames), DECISIONS)
    run(network, frames[chosen[:1]])
    seconds = []
    for index in chosen:
        began = time.perf_counter()
        run(network, frames[index : index + 1])
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))
