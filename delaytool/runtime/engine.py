"""The fast exact engine: `run` gives the bits of `reference.run`, and counts what they cost on a chip."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from delaytool.errors import BackendError, DataError
from delaytool.network import IntegerNetwork
from delaytool.runtime import event_driven
from delaytool.runtime.counters import Counters, neuron_updates
from delaytool.runtime.trace import Trace

METHODS = ("auto", "event")


@dataclass(frozen=True)
class Record:
    """What a run keeps: for each kind True (all layers), False (none) or the indices of layers, -1 the readout."""

    spikes: bool | Collection[int] = False
    u: bool | Collection[int] = False
    v: bool | Collection[int] = False

    @staticmethod
    def named(name: str) -> Record:
        """'all', 'spikes' (of every layer), 'readout' (v of the last layer: enough to classify) or 'nothing'."""
        names = {
            "all": Record(spikes=True, u=True, v=True),
            "spikes": Record(spikes=True),
            "readout": Record(v=(-1,)),
            "nothing": Record(),
        }
        if name not in names:
            raise BackendError(f"engine: record {name!r} is unknown; choose one of {', '.join(names)}, or a Record")
        return names[name]

    def kept(self, n_layers: int) -> np.ndarray:
        """(3, layer) bool: spikes, u, v."""
        table = np.zeros((3, n_layers), bool)
        for row, choice in zip(table, (self.spikes, self.u, self.v), strict=True):
            if isinstance(choice, bool):
                row[:] = choice
                continue
            for layer in choice:
                if not -n_layers <= layer < n_layers:
                    raise BackendError(f"engine: record names layer {layer}; the network has 0..{n_layers - 1}")
                row[layer] = True
        return table


@dataclass(frozen=True)
class EngineTrace(Trace):
    """A trace and what else the run found out.

    A layer that was not recorded has an array of no steps, (sample, 0, neuron): take spike numbers from
    `counters`, which are always there.

    counters   spikes, synaptic events, neuron updates
    method     the method that ran: 'event'
    """

    counters: Counters
    method: str


def run(
    network: IntegerNetwork,
    frames: np.ndarray,
    *,
    threads: int | None = None,
    record: str | Record = "all",
    method: str = "auto",
) -> EngineTrace:
    """Frames (sample, time, channel), integers, to the trace that `reference.run` gives, bit for bit.

    threads   samples run in so many threads; None: one for each core that this process may use
    record    what to keep: 'all', 'spikes', 'readout', 'nothing', or a Record that names layers
    method    'auto' or 'event'

    Raises DataError for frames that the network's encoding does not admit, BackendError for unknown options.
    """
    if method not in METHODS:
        raise BackendError(f"engine: method {method!r} is unknown; choose one of {', '.join(METHODS)}")
    frames = checked_frames(network, frames)
    kept = (Record.named(record) if isinstance(record, str) else record).kept(len(network.layers))
    n_threads = _n_threads(threads)
    tables = _tables(network)
    n_samples, n_layers = frames.shape[0], len(network.layers)
    recording = event_driven.new_recording(tables, kept, n_samples, network.n_steps)
    counters = Counters(
        input_spikes=np.zeros(n_samples, np.int64),
        spikes=np.zeros((n_samples, n_layers), np.int64),
        synaptic_events=np.zeros((n_samples, n_layers), np.int64),
        neuron_updates=neuron_updates(network, n_samples, network.n_steps),
    )

    def run_range(first: int, last: int) -> None:
        event_driven.run_samples(
            tables,
            event_driven.new_state(tables),
            frames,
            first,
            last,
            network.n_steps,
            recording,
            counters.input_spikes,
            counters.spikes,
            counters.synaptic_events,
        )

    _in_threads(run_range, n_samples, n_threads)
    spikes, u, v = event_driven.layers_of(tables, recording, kept, n_samples, network.n_steps)
    return EngineTrace(spikes=spikes, u=u, v=v, counters=counters, method="event")


def checked_frames(network: IntegerNetwork, frames: np.ndarray) -> np.ndarray:
    """Frames as contiguous uint8, or one clear line about what the network's encoding does not admit."""
    frames = np.asarray(frames)
    encoding = network.encoding
    if frames.ndim != 3 or frames.shape[2] != encoding.n_channels:
        raise DataError(
            f"frames have shape {frames.shape}, the network reads (samples, steps, {encoding.n_channels} channels)"
        )
    if frames.dtype != np.bool_ and not np.issubdtype(frames.dtype, np.integer):
        raise DataError(f"frames hold {frames.dtype} values, the network reads integers; bin the events first")
    if frames.size:
        low, high = int(frames.min()), int(frames.max())
        if low < 0 or high > encoding.max_payload:
            worst = low if low < 0 else high
            raise DataError(f"frames hold the value {worst}, the network's encoding admits 0..{encoding.max_payload}")
    return np.ascontiguousarray(frames, dtype=np.uint8)


def _n_threads(threads: int | None) -> int:
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise BackendError(f"engine: threads {threads} is below 1")
    return threads


def _in_threads(work: Callable[[int, int], None], n_samples: int, n_threads: int) -> None:
    """Call work(first, last) over all samples. The kernels release the interpreter's lock, so threads are enough."""
    if n_threads == 1 or n_samples < 2:
        work(0, n_samples)
        return
    # Several ranges a thread: samples differ in their number of spikes.
    bounds = np.unique(np.linspace(0, n_samples, min(n_samples, 8 * n_threads) + 1).astype(int))
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(work, bounds[:-1], bounds[1:]))


_built: dict[int, event_driven.Tables] = {}


def _tables(network: IntegerNetwork) -> event_driven.Tables:
    """Build a network's tables once, for as long as the network lives."""
    key = id(network)
    if key not in _built:
        _built[key] = event_driven.build(network)
        weakref.finalize(network, _built.pop, key, None)
    return _built[key]
