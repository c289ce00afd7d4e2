"""Every backend that runs in this process, each as a function to one common trace, to be compared value by value."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from campaign.simulator import Simulation

from delaytool.contract.network import IntegerNetwork
from delaytool.runtime import digest, engine, reference
from delaytool.runtime.backends.torch import simulate as simulate_in_torch
from delaytool.runtime.counters import Counters, count
from delaytool.runtime.stream import Stream
from delaytool.runtime.trace import Trace


@dataclass(frozen=True)
class Outcome:
    """What a backend gave, None where it gives nothing: u, v and spikes [layer] (sample, step, neuron)."""

    u: tuple[np.ndarray, ...] | None
    v: tuple[np.ndarray, ...] | None
    spikes: tuple[np.ndarray, ...] | None
    counters: Counters | None = None
    digests: np.ndarray | None = None

    @staticmethod
    def of(trace: Trace, counters: Counters | None = None) -> Outcome:
        return Outcome(trace.u, trace.v, trace.spikes, counters)


def expected(network: IntegerNetwork, frames: np.ndarray, runs: list[Simulation]) -> Outcome:
    """The simulator's runs, one per sample, as arrays; its counts as the package counts."""
    layers = range(len(network.layers))

    def stacked(name: str, dtype: type) -> tuple[np.ndarray, ...]:
        sizes = [layer.n_neurons for layer in network.layers]
        return tuple(
            np.array([getattr(run, name)[index] for run in runs], dtype).reshape(len(runs), -1, sizes[index])
            for index in layers
        )

    u, v, spikes = stacked("u", np.int64), stacked("v", np.int64), stacked("spikes", np.int64)
    trace = Trace(tuple(layer != 0 for layer in spikes), u, v)
    counters = Counters(
        np.array([run.input_spikes for run in runs]),
        trace.events(),
        np.array([run.synaptic_events for run in runs]),
        np.array([[layer.n_neurons * network.n_steps for layer in network.layers]] * len(runs)),
    )
    return Outcome(u, v, spikes, counters, digest.digests(trace))


def differences(want: Outcome, got: Outcome) -> tuple[int, list[str]]:
    """How many values were compared, and where the first ones of each kind differ."""
    compared, found = 0, []
    for name in ("u", "v", "spikes"):
        ours, theirs = getattr(want, name), getattr(got, name)
        for index, (left, right) in enumerate(zip(ours, theirs, strict=True) if theirs is not None else ()):
            where = f"{name} of layer {index}"
            compared += left.size
            if left.shape != right.shape:
                found.append(f"{where} has shape {right.shape}, not {left.shape}")
            elif not np.array_equal(left, right.astype(np.int64)):
                place = tuple(int(axis) for axis in np.argwhere(left != right)[0])
                found.append(f"{where} at (sample, step, neuron) {place}: {right[place]}, not {left[place]}")
    if got.counters is not None and want.counters is not None:
        for name, left in vars(want.counters).items():
            compared += left.size
            if not np.array_equal(left, getattr(got.counters, name)):
                found.append(f"counted {name}: {getattr(got.counters, name).tolist()}, not {left.tolist()}")
    if got.digests is not None and want.digests is not None:
        compared += want.digests.size
        if not np.array_equal(want.digests, got.digests):
            found.append("the digests differ")
    return compared, found


def _reference(network: IntegerNetwork, frames: np.ndarray, seed: int) -> Outcome:
    trace = reference.run(network, frames)
    return Outcome.of(trace, count(network, frames, trace))


def _engine(method: str, threads: int) -> Callable[[IntegerNetwork, np.ndarray, int], Outcome]:
    def run(network: IntegerNetwork, frames: np.ndarray, seed: int) -> Outcome:
        trace = engine.run(network, frames, method=method, threads=threads)
        return Outcome.of(trace, trace.counters)

    return run


def _engine_digests(network: IntegerNetwork, frames: np.ndarray, seed: int) -> Outcome:
    method = ("event", "batched")[seed % 2]
    trace = engine.run(network, frames, method=method, threads=1, record="digests")
    return Outcome(None, None, None, trace.counters, trace.digests)


def _torch(network: IntegerNetwork, frames: np.ndarray, seed: int) -> Outcome:
    traces = simulate_in_torch(network, torch.from_numpy(frames.astype(np.int64)))
    u, v, spikes = (tuple(getattr(trace, name).numpy() for trace in traces) for name in ("u", "v", "spikes"))
    return Outcome(u, v, spikes)


def _stream(network: IntegerNetwork, frames: np.ndarray, seed: int) -> Outcome:
    """Frame by frame; at a random step the state goes over to a new Stream, and the first runs on to disturb it."""
    draw = random.Random(seed)
    ends = np.cumsum([layer.n_neurons for layer in network.layers])[:-1]
    samples = []
    counts = []
    silence = np.zeros(network.encoding.n_channels, np.uint8)
    for sample in frames:
        stream = Stream(network)
        handover = draw.randrange(network.n_steps)
        steps = []
        for step in range(network.n_steps):
            if step == handover:
                state = stream.state()
                stream.step(np.full_like(silence, network.encoding.max_payload))
                stream = Stream(network)
                stream.restore(state)
            result = stream.step(sample[step] if step < len(sample) else silence)
            state = stream.state()
            steps.append((state["u"], state["v"], np.concatenate(result.spikes)))
            assert np.array_equal(result.readout, state["v"][-network.n_classes :])
        samples.append([np.stack([step[kind] for step in steps]) for kind in range(3)])
        counts.append(stream.counters)
    kinds = [np.split(np.stack([sample[kind] for sample in samples]), ends, axis=2) for kind in range(3)]
    u, v, spikes = (tuple(kind) for kind in kinds)
    counters = Counters(*(np.concatenate([getattr(c, name) for c in counts]) for name in vars(counts[0])))
    return Outcome(u, v, spikes, counters)


IN_PROCESS: dict[str, Callable[[IntegerNetwork, np.ndarray, int], Outcome]] = {
    "reference": _reference,
    "engine auto": _engine("auto", 2),
    "engine event": _engine("event", 1),
    "engine batched": _engine("batched", 1),
    "engine digests": _engine_digests,
    "torch": _torch,
    "stream": _stream,
}
