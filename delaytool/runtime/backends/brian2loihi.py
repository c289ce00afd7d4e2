"""Run a network in brian2-loihi 0.5.2, a Loihi emulator that others wrote and checked against a chip.

C. Michaelis, A. B. Lehr, W. Oed, C. Tetzlaff: Brian2Loihi: An emulator for the neuromorphic chip Loihi using the
spiking neural network simulator Brian, Frontiers in Neuroinformatics 16 (2022), doi 10.3389/fninf.2022.1015624.

It runs in a child process, because it needs numpy below 2. What it does not have is refused: biases, values above 1 in
a spike, weights and delays that Loihi does not have. It neither wraps u nor clips v, so a run in which the contract
would have is refused after it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from delaytool.contract.bounds import STATE_LIMIT
from delaytool.contract.frames import checked_frames, padded_input
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import BackendError
from delaytool.runtime.child_process import describe_exit, find_interpreter, run_child, run_jobs
from delaytool.runtime.trace import Trace

NAME = "brian2loihi"
PYTHON_VARIABLE = "DELAYTOOL_BRIAN2LOIHI_PYTHON"
INSTALL = "pip install brian2-loihi==0.5.2 'numpy<2'"
MIN_WEIGHT, MAX_WEIGHT = -256, 254  # brian2_loihi/loihi_synapses.py, sign mode MIXED
MAX_DELAY = 62  # brian2_loihi/loihi_synapses.py
MAX_CHARGE = (1 << 15) - 1  # brian2_loihi/loihi_synapses.py, __getWeightLimit: 2^21 - 2^6 is this << 6
OTHER_WAY = "verify it with --backend lava or engine"
WORKER = Path(__file__).with_name("brian2loihi_worker.py")


def run(
    network: IntegerNetwork,
    frames: np.ndarray,
    *,
    python: str | os.PathLike[str] | None = None,
    timeout: float = 1800.0,
) -> Trace:
    """Frames (sample, time, channel) of 0 and 1 to the full trace of every layer.

    python    an interpreter that has brian2-loihi; None: $DELAYTOOL_BRIAN2LOIHI_PYTHON, else the present one
    timeout   seconds for the whole call

    Raises BackendError where brian2-loihi is missing, fails, takes too long or cannot run the network.
    """
    return run_many([(network, frames)], python=python, timeout=timeout)[0]


def run_many(
    jobs: Sequence[tuple[IntegerNetwork, np.ndarray]],
    *,
    python: str | os.PathLike[str] | None = None,
    timeout: float = 1800.0,
) -> list[Trace]:
    """As `run`, for several networks in one child process, which saves the seconds that starting brian2 takes."""
    for network, frames in jobs:
        check(network, frames)
    traces = in_worker(jobs, python=python, timeout=timeout)
    for (network, _), trace in zip(jobs, traces, strict=True):
        refuse_overflow(network, trace)
    return traces


def in_worker(
    jobs: Sequence[tuple[IntegerNetwork, np.ndarray]], *, python: str | os.PathLike[str] | None, timeout: float
) -> list[Trace]:
    """The emulator's traces of jobs that `check` admits, states beyond 24 bits included."""
    interpreter = find_interpreter(
        python, name=NAME, variable=PYTHON_VARIABLE, module="brian2_loihi", package="brian2-loihi", install=INSTALL
    )

    def run_worker(folders: list[str], where: Path) -> None:
        code, log = run_child([interpreter, str(WORKER), *folders], where, timeout, name=NAME)
        if code != 0:
            raise BackendError(
                describe_exit(log, interpreter, code, name=NAME, simulator="brian2-loihi", install=INSTALL)
            )

    return run_jobs(jobs, _write_job, run_worker, name=NAME, interpreter=interpreter)


def check(network: IntegerNetwork, frames: np.ndarray) -> None:
    """Raise BackendError for a network or frames that brian2-loihi cannot run, DataError for frames of another kind."""
    for layer in network.layers:
        if layer.bias.any():
            raise BackendError(
                f"layer {layer.name}: it has biases and brian2-loihi's neurons have none; train with model.bias and "
                f"model.batch_norm false, or {OTHER_WAY}"
            )
        for number, group in enumerate(layer.synapses):
            where = f"layer {layer.name}, synapse group {number}"
            *_, weight, delay = group.listed()
            odd = weight[weight % 2 != 0]
            if odd.size:
                raise BackendError(
                    f"{where}: weight {odd[0]} is odd and Loihi's mixed-sign weights are even; "
                    f"export with --target loihi2, or {OTHER_WAY}"
                )
            for worst, low, high in (
                (weight, MIN_WEIGHT, MAX_WEIGHT),
                (weight.astype(np.int64) << group.exponent, -MAX_CHARGE, MAX_CHARGE),
                (delay, 0, MAX_DELAY),
            ):
                beyond = worst[(worst < low) | (worst > high)]
                if beyond.size:
                    what = "delay" if worst is delay else "weight" if worst is weight else "weight with its exponent"
                    raise BackendError(
                        f"{where}: {what} {beyond[0]} is outside brian2-loihi's {low}..{high}; {OTHER_WAY}"
                    )
    largest = int(checked_frames(network.encoding, frames).max(initial=0))
    if largest > 1:
        raise BackendError(
            f"{NAME}: a frame holds {largest} and brian2-loihi's spikes carry no payload, only 0 and 1; "
            f"train with data.values 'binary', or {OTHER_WAY}"
        )


def _write_job(folder: Path, network: IntegerNetwork, frames: np.ndarray) -> None:
    """What the worker reads: one connection for each group and delay value."""
    arrays: dict[str, np.ndarray] = {
        "frames": padded_input(frames, network.n_steps).astype(np.uint8),
        "neurons": np.array([(layer.n_neurons, layer.du, layer.dv, layer.threshold) for layer in network.layers]),
    }
    connections: list[tuple[int, int, int, int]] = []
    for index, layer in enumerate(network.layers):
        for group in layer.synapses:
            target, pre, weight, delay = group.listed()
            for value in np.unique(delay):
                here = delay == value
                number = len(connections)
                arrays |= {f"pre{number}": pre[here], f"target{number}": target[here], f"weight{number}": weight[here]}
                connections.append((group.source, index, int(value), group.exponent))
    arrays["connections"] = np.array(connections, np.int64).reshape(-1, 4)
    np.savez(folder / "job.npz", **arrays)  # type: ignore[arg-type]


def refuse_overflow(network: IntegerNetwork, trace: Trace) -> None:
    """Raise BackendError where u or v left their range, the only place where the emulator differs from the contract.

    A v above the range needs no look: it fires, and is reset, whether it saturates or not.
    """
    for layer, u, v in zip(network.layers, trace.u, trace.v, strict=True):
        for what, values, beyond in (
            ("u", u, (u > STATE_LIMIT) | (u <= -STATE_LIMIT)),
            ("v", v, v < -STATE_LIMIT + 1),
        ):
            if beyond.any():
                sample, step, neuron = (int(place) for place in np.argwhere(beyond)[0])
                raise BackendError(
                    f"layer {layer.name}: {what} reached {values[sample, step, neuron]} (sample {sample}, step {step}, "
                    f"neuron {neuron}), beyond 24 bits, where Loihi {'wraps' if what == 'u' else 'saturates'} and "
                    f"brian2-loihi does not; {OTHER_WAY}"
                )
