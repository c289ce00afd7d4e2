"""The engine without peers: growth, the floor, a test set of SHD's size, compiling. Called by `benchmarks/engine.py`.

The floor is what the machine itself would allow, measured by kernels that do nothing but the part in question:

    adders   batched: the full adders on words that stay in registers (lane-operations against peak)
    loads    batched: every word that the network's digits name is loaded once, in their order, and nothing added
    adding   event: the scatter's load, shift, mask and addition into a window that stays in the L1 cache
    reading  event: the network's packed synapses read once, in order (bytes per event against bandwidth)

    neurons  both: the engine on silent input, so that no synapse is read

Each is an upper bound as if nothing else took time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from engine_workloads import WORKLOADS, cut, make_workload, network_of
from numba import njit

from delaytool.contract.network import IntegerNetwork
from delaytool.runtime import engine
from delaytool.runtime.engine import bit_sliced, event_driven, lanes
from delaytool.runtime.engine.lanes import WORD_BITS, WORD_BYTES

METHODS = ("event", "batched")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def timed(work: Callable[[], object], clock: Callable[[], float], repeats: int) -> float:
    """The least time of `repeats` calls."""
    found = []
    for _ in range(repeats):
        start = clock()
        work()
        found.append(clock() - start)
    return min(found)


def made(name: str, sizes: tuple[int, ...], max_delay: int, n_samples: int, rate: float) -> dict[str, np.ndarray]:
    WORKLOADS[name] = (sizes, 100, max_delay, 1.0, n_samples, rate)
    with tempfile.TemporaryDirectory() as folder:
        make_workload(name, Path(folder))
        return dict(np.load(Path(folder) / f"{name}.npz"))


def growth(picture: Path | None) -> None:
    """Events per second against the work on one thread of processor time, and against threads by the clock."""

    def build(
        size: int = 256, max_delay: int = 24, rate: float = 0.05, n_samples: int = 256
    ) -> tuple[IntegerNetwork, np.ndarray]:
        work = made("growth", (140, size, size, 20), max_delay, n_samples, rate)
        return cut(network_of(work), 100), work["frames"]

    def speed(network: IntegerNetwork, frames: np.ndarray, method: str, threads: int, clock: Callable) -> float:
        def work() -> engine.EngineTrace:
            return engine.run(network, frames, method=method, threads=threads, record="nothing")

        events = work().counters.synaptic_events.sum()
        return float(events) / timed(work, clock, 5) / 1e9

    axes = {
        "neurons per hidden layer": [(size, {"size": size}) for size in (64, 128, 256, 512, 1024)],
        "input spikes per step and channel": [(rate, {"rate": rate}) for rate in (0.005, 0.02, 0.05, 0.1, 0.3)],
        "longest delay": [(delay, {"max_delay": delay}) for delay in (0, 8, 24, 62)],
        "samples": [(count, {"n_samples": count}) for count in (1, 8, 32, 128, 512)],
    }
    print(
        "\nG events/s, 140-n-n-20, 100 steps; n = 256, rate 0.05, delays 0..24, 256 samples where not stated otherwise"
    )
    print(f"{'':40}{'event':>8}{'batched':>9}")
    found: dict[str, list[tuple[float, float, float]]] = {}

    def line(axis: str, value: float, speeds: list[float]) -> None:
        print(f"{f'{axis}: {value}':40}{speeds[0]:8.2f}{speeds[1]:9.2f}", flush=True)
        found.setdefault(axis, []).append((value, speeds[0], speeds[1]))

    for axis, cases in axes.items():
        for value, changes in cases:
            network, frames = build(**changes)  # type: ignore[arg-type]
            line(axis, value, [speed(network, frames, method, 1, time.process_time) for method in METHODS])
    network, frames = build(n_samples=2048)
    for threads in range(1, CORES + 1):
        speeds = [speed(network, frames, method, threads, time.perf_counter) for method in METHODS]
        line("threads (2048 samples, by the clock)", threads, speeds)
    if picture is not None:
        plot(found, picture)


def plot(found: dict[str, list[tuple[float, float, float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(found), figsize=(3 * len(found), 3), sharey=True, layout="constrained")
    for panel, (axis, rows) in zip(panels, found.items(), strict=True):
        value, event, batched = zip(*rows, strict=True)
        panel.plot(value, event, "o-", color="#0072B2", label="event")
        panel.plot(value, batched, "s-", color="#D55E00", label="batched")
        panel.set_xlabel(axis.replace(" (", "\n("))
        panel.grid(color="#e6e9ed")
        if min(value) > 0 and max(value) / min(value) > 10:
            panel.set_xscale("log")
        if axis.startswith("threads"):
            panel.set_xticks(value)
    panels[0].set_ylim(0, 1.05 * max(max(row[1:]) for rows in found.values() for row in rows))
    panels[0].set_ylabel("billion synaptic events / s")
    panels[0].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    print(f"plotted to {path}")


@njit(nogil=True)
def _adders(rows, number):
    """Eight words added `number` times, in registers: seven full adders a time. Returns something of all of them."""
    a, b = lanes.word_load(rows, 0), lanes.word_load(rows, WORD_BYTES)
    c, d = lanes.word_load(rows, 2 * WORD_BYTES), lanes.word_load(rows, 3 * WORD_BYTES)
    ones, twos, fours, rest = a, b, c, d
    for _ in range(number):
        # The carry comes back as an input: nothing can be left out.
        ones, twos, fours, rest = bit_sliced._eight(ones, twos, fours, False, a, b, c, d, rest, a, b, c)
    lanes.word_store(lanes.sum_bit(lanes.sum_bit(ones, twos, fours), rest, rest), rows, 0)


@njit(nogil=True)
def _loads(rows, digits, first, last, base, shift):
    total = lanes.word_fill(0)
    other = lanes.word_fill(0)
    for at in range(first, last, 2):
        word = lanes.word_load(rows, base + (lanes.offset_at(digits, at) << shift))
        total = lanes.sum_bit(total, word, lanes.word_load(rows, base + (lanes.offset_at(digits, at + 1) << shift)))
    lanes.word_store(lanes.sum_bit(total, other, other), rows, 0)


@njit(nogil=True)
def _reading(words):
    total = np.int64(0)
    for at in range(words.size):
        total ^= words[at]
    return total


def floor(names: list[str]) -> None:
    """What the machine allows, as G events/s, beside what the engine does; one thread, processor time."""
    rows = np.zeros(8 * WORD_BYTES, np.uint8)
    number = 2_000_000
    _adders(rows, 1)
    adder = timed(lambda: _adders(rows, number), time.process_time, 5) / (7 * number)
    print(f"\nfloor, one thread: a full adder on {WORD_BITS} lanes in registers takes {adder * 1e9:.2f} ns, ", end="")
    print(f"{WORD_BITS / adder / 1e12:.2f} T lane-adders/s")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            make_workload(name, Path(folder))
            work = dict(np.load(Path(folder) / f"{name}.npz"))
        network, frames = network_of(work), work["frames"]
        if frames.shape[0] > 1:
            _floor_batched(name, network, frames, adder)
        _floor_event(name, network, frames)


def _engine_seconds(network: IntegerNetwork, frames: np.ndarray, method: str) -> tuple[float, int]:
    def work() -> engine.EngineTrace:
        return engine.run(network, frames, method=method, threads=1, record="nothing")

    events = int(work().counters.synaptic_events.sum())
    return timed(work, time.process_time, 5), events


def _neurons(network: IntegerNetwork, frames: np.ndarray, method: str) -> float:
    silence = np.zeros_like(frames)
    run = partial(engine.run, network, silence, method=method, threads=1, record="nothing")
    return timed(run, time.process_time, 5)


def _floor_batched(name: str, network: IntegerNetwork, frames: np.ndarray, adder: float) -> None:
    seconds, events = _engine_seconds(network, frames, "batched")
    samples = bit_sliced.samples_per_word(network, frames.shape[0])
    tables = bit_sliced.build(network, samples, 1)
    blocks = -(-frames.shape[0] // samples) * -(-network.n_steps // (WORD_BITS // samples))
    rows = np.random.default_rng(0).integers(0, 256, tables.n_rows * tables.stride, dtype=np.uint8)
    per_neuron = 2 * tables.powers
    bounds = [
        (int(tables.first_digit[first * per_neuron]), int(tables.first_digit[last * per_neuron]), int(base))
        for first, last, base in zip(tables.neuron_start[:-1], tables.neuron_start[1:], tables.base, strict=True)
    ]

    def load_all() -> None:
        for _ in range(4):
            for first, last, base in bounds:
                _loads(rows, tables.digits, first, last, base, tables.shift)

    load_all()
    loads = timed(load_all, time.process_time, 9) / 4 * blocks
    n_synapses = sum(group.n_synapses for layer in network.layers for group in layer.synapses)
    adding = adder * tables.digits.size * blocks
    held = tables.digits.nbytes + tables.first_digit.nbytes
    print(
        f"{name} batched: {events / seconds / 1e9:.2f} G events/s; "
        f"neurons alone {events / _neurons(network, frames, 'batched') / 1e9:.2f}, "
        f"adders alone {events / adding / 1e9:.2f}, "
        f"loads alone {events / loads / 1e9:.2f} ({tables.digits.size * blocks * WORD_BYTES / loads / 1e9:.0f} GB/s); "
        f"{tables.digits.size * blocks * WORD_BITS / events:.0f} lane-adders an event; "
        f"{held / n_synapses:.2f} bytes per synapse",
        flush=True,
    )


def _floor_event(name: str, network: IntegerNetwork, frames: np.ndarray) -> None:
    seconds, events = _engine_seconds(network, frames, "event")
    tables = event_driven.build(network)
    words = tables.synapses[: tables.synapses.size // 2 * 2].view(np.int64)

    def read() -> None:
        for _ in range(16):
            _reading(words)

    read()
    reading = timed(read, time.process_time, 9) / (16 * tables.synapses.size)
    few = np.random.default_rng(0).integers(0, 4096, 1 << 14).astype(tables.synapses.dtype)
    few = (few & 4095) | (3 << 12)
    pending = np.zeros(4096, tables.pending_type.dtype)

    def add() -> None:
        for _ in range(64):
            _scatter(few, pending)

    add()
    adding = timed(add, time.process_time, 9) / (64 * few.size)
    size = tables.synapses.itemsize
    held = tables.synapses.nbytes + tables.first_synapse.nbytes
    print(
        f"{name} event:   {events / seconds / 1e9:.2f} G events/s; "
        f"neurons alone {events / _neurons(network, frames, 'event') / 1e9:.2f}, adding alone {1e-9 / adding:.2f}, "
        f"reading alone {1e-9 / reading:.2f} ({size / reading / 1e9:.0f} GB/s, {size} bytes per event); "
        f"window {tables.window_start[-1] * pending.itemsize / 1024:.0f} KB; "
        f"{held / tables.synapses.size:.2f} bytes per synapse",
        flush=True,
    )


@njit(nogil=True)
def _scatter(synapses, pending):
    event_driven._scatter(synapses, 12, 0, synapses.size, pending, 0, 1)


def shd() -> None:
    """2,264 samples of 140 channels, as SHD's test part has, 136 steps, method chosen by the engine."""
    work = made("shd", (140, 256, 256, 20), 24, 2264, 0.05)
    network, frames = cut(network_of(work), 136), work["frames"]
    print(f"\n{len(frames)} samples of SHD's size, 140-256-256-20, 136 steps: seconds, the least of 6")
    for record in ("readout", "digests"):
        for threads in range(1, CORES + 1):

            def run(record: str = record, threads: int = threads) -> engine.EngineTrace:
                return engine.run(network, frames, record=record, threads=threads)

            method = run().method
            clock, used = timed(run, time.perf_counter, 6), timed(run, time.process_time, 3)
            print(f"{record:9} {threads} thread(s), {method}: {clock:.3f} by the clock, {used:.3f} of processor time")


_FIRST_CALL = """
import sys, time
import numpy as np
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.runtime import engine
layer = IntegerLayer("out", 4, (DenseSynapses(0, np.full((4, 4), 2), np.zeros((4, 4), int)),), dv=0, threshold=9)
network = IntegerNetwork(InputEncoding(4, n_steps=9), (layer,), Readout("sum", 1.0, 0, 9), 9)
clock, used = time.perf_counter(), time.process_time()
engine.run(network, np.ones((1, 9, 4), np.uint8), method=sys.argv[1], threads=1, announce=print)
print(f"{time.perf_counter() - clock:.2f} s by the clock, {time.process_time() - used:.2f} s of processor time")
"""


def first_call() -> None:
    """The first call of a fresh installation, and of a process after it."""
    print("\nfirst call of a process")
    for method in METHODS:
        with tempfile.TemporaryDirectory() as folder:
            for label in ("nothing cached", "cached"):
                done = subprocess.run(
                    [sys.executable, "-c", _FIRST_CALL, method],
                    env=os.environ | {"NUMBA_CACHE_DIR": folder},
                    capture_output=True,
                    text=True,
                    check=True,
                )
                print(f"{method}, {label}: {'; '.join(done.stdout.strip().splitlines())}", flush=True)
