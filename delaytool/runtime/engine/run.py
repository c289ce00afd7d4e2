"""The fast exact engine: `run` gives the bits of `reference.run`, and counts what they cost on a chip.

Two methods, one result. 'event' (`event_driven.py`) spends its time on spikes: few samples, sparse or silent
networks, feedback, streams. 'batched' (`bit_sliced.py`) spends it on synapses, for up to 1024 samples and steps at
once: test sets. 'auto' estimates both.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numba
import numpy as np

from delaytool.contract.frames import checked_frames
from delaytool.contract.network import IntegerNetwork
from delaytool.cores import available_cores
from delaytool.errors import BackendError
from delaytool.runtime.counters import Counters, fan_out, neuron_updates
from delaytool.runtime.engine import bit_sliced, event_driven
from delaytool.runtime.engine.lanes import WORD_BITS
from delaytool.runtime.engine.record import Record, layers_of, new_recording
from delaytool.runtime.trace import Trace

METHODS = ("auto", "event", "batched")
# Spike rows of one word's samples may take so many bytes; beyond it, or with more digits, 'auto' takes 'event'.
MAX_ROWS_BYTES = 1 << 30
MAX_DIGITS = 1 << 29

T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class EngineTrace(Trace):
    """A trace, and further results of the run.

    A layer that was not recorded has an array of no steps, (sample, 0, neuron): take spike numbers from
    `counters`, which are always there.

    counters   spikes, synaptic events, neuron updates
    method     the method that ran: 'event' or 'batched'
    digests    (sample, layer, kind) uint64 where the record asked for them
    """

    counters: Counters
    method: str
    digests: np.ndarray | None = None


def run(
    network: IntegerNetwork,
    frames: np.ndarray,
    *,
    threads: int | None = None,
    record: str | Record = "all",
    method: str = "auto",
    announce: Callable[[str], None] | None = None,
) -> EngineTrace:
    """Frames (sample, time, channel), integers, to the trace that `reference.run` gives, bit for bit.

    threads    samples run in so many threads; None: one for each core that this process may use
    record     what to keep: 'all', 'spikes', 'readout', 'digests', 'nothing', or a Record that names layers
    method     'auto', 'event' or 'batched'
    announce   called with a line of text before a kernel is compiled, which takes seconds, once for an installation

    Raises DataError for frames that the network's encoding does not admit, BackendError for unknown options.
    """
    if method not in METHODS:
        raise BackendError(f"engine: method {method!r} is unknown; choose one of {', '.join(METHODS)}")
    frames = checked_frames(network.encoding, frames)
    record = Record.named(record) if isinstance(record, str) else record
    n_threads = _n_threads(threads)
    method = chosen_method(network, frames) if method == "auto" else method
    n_samples, n_layers = frames.shape[0], len(network.layers)
    recording = new_recording(network, record, n_samples)
    counters = Counters(
        input_spikes=np.zeros(n_samples, np.int64),
        spikes=np.zeros((n_samples, n_layers), np.int64),
        synaptic_events=np.zeros((n_samples, n_layers), np.int64),
        neuron_updates=neuron_updates(network, n_samples, network.n_steps),
    )
    outputs = (recording, counters.input_spikes, counters.spikes, counters.synaptic_events)
    kernel, tables, unit = _prepared(network, frames, method)
    if announce is not None and not _is_compiled(kernel, (tables, frames, 0, 0, *outputs)):
        announce(f"compiling the {method} engine, once for this installation (some seconds)")
    _in_threads(lambda first, last: kernel(tables, frames, first, last, *outputs), n_samples, n_threads, unit)
    spikes, u, v = layers_of(network, recording, n_samples)
    return EngineTrace(spikes, u, v, counters, method, recording.digests if record.digests else None)


def chosen_method(network: IntegerNetwork, frames: np.ndarray) -> str:
    """'event' or 'batched', whichever should be faster on these frames.

    Times in ns from measurements on one machine (docs/performance.md); their ratios matter, and those only roughly.
    The spikes of the hidden layers are not known before the run: their rate is taken to be that of 1 step in 25.
    """
    n_samples, n_steps = frames.shape[0], network.n_steps
    samples = bit_sliced.samples_per_word(network, n_samples)
    n_planes = _n_planes(frames)
    fans = _built_once(network, "fan out", lambda: fan_out(network))
    n_digits = 2.7 * sum(float(fan.sum()) * (n_planes if source == 0 else 1) for source, fan in enumerate(fans))
    if bit_sliced.rows_bytes(network, samples, n_planes) > MAX_ROWS_BYTES or n_digits > MAX_DIGITS:
        return "event"
    n_neurons = sum(layer.n_neurons for layer in network.layers)
    words = -(-n_samples // samples) * -(-n_steps // (WORD_BITS // samples))
    batched = words * (1.6 * n_digits + 600 * n_neurons)
    some = frames[:: max(1, n_samples // 64), :n_steps]
    sent = np.count_nonzero(some, axis=(0, 1)) * (n_samples / max(1, some.shape[0]))
    events = float(sent @ fans[0].sum(axis=1)) + n_samples * n_steps / 25 * sum(float(fan.sum()) for fan in fans[1:])
    event = 0.7 * events + 0.6 * n_neurons * n_samples * n_steps
    return "batched" if batched < event else "event"


def _prepared(network: IntegerNetwork, frames: np.ndarray, method: str) -> tuple[Any, Any, int]:
    """A method's kernel, the network's tables for it, and how many samples it runs at once."""
    if method == "event":
        return event_driven.run_samples, _built_once(network, "event", lambda: event_driven.build(network)), 1
    samples = bit_sliced.samples_per_word(network, frames.shape[0])
    planes = _n_planes(frames)
    if bit_sliced.rows_bytes(network, samples, planes) >= 2**31:
        raise BackendError("engine: the network's spikes exceed what the batched method addresses; use method 'event'")
    tables = _built_once(network, ("batched", samples, planes), lambda: bit_sliced.build(network, samples, planes))
    return bit_sliced.run_samples, tables, samples


def _n_planes(frames: np.ndarray) -> int:
    """Binary digits of the largest input value."""
    return max(1, int(frames.max(initial=0)).bit_length())


def _n_threads(threads: int | None) -> int:
    if threads is None:
        return available_cores()
    if threads < 1:
        raise BackendError(f"engine: threads {threads} is below 1")
    return threads


def _in_threads(work: Callable[[int, int], None], n_samples: int, n_threads: int, unit: int) -> None:
    """Call work(first, last) over all samples. The kernels release the interpreter's lock, so threads are enough."""
    n_units = -(-n_samples // unit)
    if n_threads == 1 or n_units < 2:
        work(0, n_samples)
        return
    # Several ranges per thread: samples differ in their number of spikes.
    bounds = np.unique(np.linspace(0, n_units, min(n_units, 8 * n_threads) + 1).astype(int)) * unit
    bounds[-1] = n_samples
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(work, bounds[:-1].tolist(), bounds[1:].tolist()))


def _is_compiled(kernel: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether numba has a kernel for arguments of these types, in this process or in its cache on disk."""
    types = tuple(numba.typeof(argument) for argument in arguments)
    if types in kernel.overloads:
        return True
    try:
        return any(key[0] == types for key in kernel._cache._cache_file._load_index())
    except (AttributeError, TypeError, OSError):  # numba's inside: elsewhere in another version
        return False


_built: dict[int, dict[Hashable, Any]] = {}


def _built_once(network: IntegerNetwork, key: Hashable, build: Callable[[], T]) -> T:
    """The tables that `build` makes of a network, kept for as long as the network exists."""
    if id(network) not in _built:
        _built[id(network)] = {}
        weakref.finalize(network, _built.pop, id(network), None)
    tables = _built[id(network)]
    if key not in tables:
        tables[key] = build()
    return tables[key]
