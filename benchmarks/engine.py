"""The engine beside its peers: the same networks, the same input, equal spikes, one run.

    python benchmarks/engine.py                                     the engine alone
    python benchmarks/engine.py --peers all --peer-python PYTHON    with NEST, Brian2 and PyTorch, where PYTHON has them

Each entrant runs in its own process, on one thread unless told otherwise; one that is not installed is left out, with
the reason. Synaptic events are counted by the engine and are the same for all, because the spikes are (the last
column says so, or how many differ). What is timed is the simulation: neither building the network nor compiling. On
one thread that is processor time, which on a shared machine says more than the clock; on several it is the clock's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

# name: (populations, input steps, longest delay, connection probability, samples, input rate)
WORKLOADS = {
    "W1": ((140, 256, 256, 20), 100, 24, 1.0, 200, 0.05),
    "W2": ((140, 512, 512, 512, 35), 100, 29, 1.0, 200, 0.05),
    "W3": ((10_000, 10_000), 1000, 62, 0.01, 1, 0.05),
}
KEPT = 20  # of 4096 of the membrane from step to step: tau = 1.005 steps
ENGINE = ("engine-event", "engine-batched")
PEERS = ("brian2", "nest", "torch")


def make_workload(name: str, folder: Path, seed: int = 0) -> None:
    """Write a network and its input as plain arrays, which every entrant reads."""
    sizes, n_frames, max_delay, density, n_samples, rate = WORKLOADS[name]
    rng = np.random.default_rng(seed)
    # After the input the run goes on until nothing can fire, so that a peer can take all samples as one long run.
    silence = 0 if n_samples == 1 else (len(sizes) - 2) * (max_delay + 1) + 5
    arrays: dict[str, np.ndarray] = {
        "sizes": np.array(sizes),
        "n_frames": np.array(n_frames),
        "n_steps": np.array(n_frames + silence),
        "frames": (rng.random((n_samples, n_frames, sizes[0]), dtype=np.float32) < rate).astype(np.uint8),
    }
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        if density == 1.0:
            target, pre = (index.ravel() for index in np.indices((n_out, n_in)))
        else:
            number = int(n_in * n_out * density)
            target, pre = rng.integers(0, n_out, number), rng.integers(0, n_in, number)
        weight = 2 * np.clip(np.rint(rng.normal(0, 40, target.size)), -127, 127).astype(np.int64)
        weight[weight == 0] = 2
        is_readout = layer == len(sizes) - 2 and n_samples > 1
        # About 5 % of the neurons reach 1.6 standard deviations of what arrives.
        threshold = 131071 if is_readout else int(1.6 * 80 * np.sqrt(n_in * density * rate))
        arrays |= {
            f"target{layer}": target,
            f"pre{layer}": pre,
            f"weight{layer}": weight,
            f"delay{layer}": rng.integers(0, max_delay + 1, target.size),
            f"threshold{layer}": np.array(threshold),
        }
    np.savez(folder / f"{name}.npz", **arrays)


def network_of(work: dict[str, np.ndarray]):
    from delaytool.network import InputEncoding, IntegerLayer, IntegerNetwork, Readout, SparseSynapses

    sizes = work["sizes"].tolist()
    layers = tuple(
        IntegerLayer(
            f"layer{k}",
            sizes[k + 1],
            (
                SparseSynapses(
                    k, sizes[k + 1], sizes[k], *(work[f"{name}{k}"] for name in ("target", "pre", "weight", "delay"))
                ),
            ),
            dv=4096 - KEPT,
            threshold=int(work[f"threshold{k}"]),
        )
        for k in range(len(sizes) - 1)
    )
    n_steps = int(work["n_steps"])
    return IntegerNetwork(InputEncoding(sizes[0], values="binary"), layers, Readout("sum", 1.0, 0, n_steps), n_steps)


def spike_codes(population: int, sample: np.ndarray, step: np.ndarray, neuron: np.ndarray) -> np.ndarray:
    """Spikes as sorted numbers, to compare entrants."""
    return np.sort((((population * 100_000 + sample.astype(np.int64)) * 10_000 + step) * 100_000) + neuron)


def run_engine(work: dict[str, np.ndarray], method: str, threads: int) -> dict:
    from delaytool.runtime import engine

    network, frames = network_of(work), work["frames"]
    start = time.perf_counter()
    traced = engine.run(network, frames, method=method, threads=threads, record="spikes")
    first = time.perf_counter() - start

    def again():
        engine.run(network, frames, method=method, threads=threads, record="nothing")

    seconds = min(_timed(again, threads) for _ in range(7))
    codes = [spike_codes(k, *np.nonzero(spikes)[:2], np.nonzero(spikes)[2]) for k, spikes in enumerate(traced.spikes)]
    events = int(traced.counters.synaptic_events.sum())
    return {"seconds": seconds, "start_s": first, "codes": np.concatenate(codes), "events": events}


def run_torch(work: dict[str, np.ndarray], threads: int) -> dict:
    """Delays as one-hot kernels of a convolution; where they would not fit memory, one sparse matrix a delay."""
    import torch

    torch.set_num_threads(threads)
    n_steps, sizes = int(work["n_steps"]), work["sizes"].tolist()
    frames = work["frames"]
    spikes0 = torch.zeros(frames.shape[0], sizes[0], n_steps)
    spikes0[:, :, : frames.shape[1]] = torch.from_numpy(frames.transpose(0, 2, 1).astype(np.float32))
    kernels = []
    for k, (n_in, n_out) in enumerate(pairwise(sizes)):
        target, pre, weight, delay = (
            torch.from_numpy(work[f"{name}{k}"]) for name in ("target", "pre", "weight", "delay")
        )
        length = int(delay.max()) + 1
        if n_in * n_out * length < 1e8:
            kernel = torch.zeros(n_out, n_in, length + 1)
            kernel.index_put_((target, pre, length - 1 - delay), weight.float(), accumulate=True)
            kernels.append(kernel)
        else:
            parts = []
            for d in range(length):
                here = delay == d
                index = torch.stack([target[here], pre[here]])
                parts.append(
                    torch.sparse_coo_tensor(index, weight[here].float(), (n_out, n_in)).coalesce().to_sparse_csr()
                )
            kernels.append(parts)

    def simulate() -> list:
        x, found = spikes0, []
        for k, kernel in enumerate(kernels):
            if isinstance(kernel, list):
                arriving = torch.zeros(1, sizes[k + 1], n_steps)
                for d, part in enumerate(kernel):
                    arriving[0, :, 1 + d :] += part @ x[0, :, : n_steps - 1 - d]
            else:
                length = kernel.shape[2] - 1
                arriving = torch.nn.functional.conv1d(torch.nn.functional.pad(x, (length, 0)), kernel)
            v = torch.zeros(arriving.shape[:2], dtype=torch.float64)
            out = torch.zeros_like(arriving)
            for step in range(n_steps):
                v = torch.trunc(v * (KEPT / 4096)) + arriving[:, :, step].double() * 64
                fired = v > int(work[f"threshold{k}"]) * 64
                v[fired] = 0
                out[:, :, step] = fired
            x = out
            found.append(out)
        return found

    with torch.inference_mode():
        found = simulate()
        seconds = min(_timed(simulate, threads) for _ in range(2))
    codes = []
    for k, out in enumerate(found):
        sample, neuron, step = np.nonzero(out.numpy())
        codes.append(spike_codes(k, sample, step, neuron))
    return {"seconds": seconds, "codes": np.concatenate(codes), "version": torch.__version__}


def run_brian2(work: dict[str, np.ndarray], threads: int) -> dict:
    """C++ standalone, float64, which is exact here; all samples as one long run."""
    import brian2 as b2

    b2.set_device("cpp_standalone", build_on_run=False)
    if threads > 1:
        b2.prefs.devices.cpp_standalone.openmp_threads = threads
    step = 1 * b2.ms
    b2.defaultclock.dt = step
    n_steps, sizes = int(work["n_steps"]), work["sizes"].tolist()
    sample, at, channel = np.nonzero(work["frames"])
    populations = [b2.SpikeGeneratorGroup(sizes[0], channel, (sample * n_steps + at) * step)]
    objects, monitors = [], []
    for k, size in enumerate(sizes[1:]):
        threshold = int(work[f"threshold{k}"]) * 64
        group = b2.NeuronGroup(size, "v : 1\nI : 1", threshold=f"v > {threshold}", reset="v = 0")
        group.run_regularly(f"v = sign(v) * floor(abs(v) * {KEPT} / 4096.0) + 64 * I\nI = 0", dt=step, when="groups")
        synapses = b2.Synapses(populations[-1], group, "w : 1", on_pre="I_post += w")
        synapses.connect(i=work[f"pre{k}"], j=work[f"target{k}"])
        synapses.w = work[f"weight{k}"].astype(float)
        synapses.delay = work[f"delay{k}"] * step
        populations.append(group)
        monitors.append(b2.SpikeMonitor(group))
        objects.append(synapses)
    run = b2.Network(*populations, *objects, *monitors)
    start = time.perf_counter()
    run.run(work["frames"].shape[0] * n_steps * step)
    with tempfile.TemporaryDirectory() as folder:
        b2.device.build(directory=folder, compile=True, run=False)
        total = time.perf_counter() - start
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        b2.device.run(folder, with_output=False, run_args=[])
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        codes = []
        for k, monitor in enumerate(monitors):
            when = np.rint(np.asarray(monitor.t / step)).astype(np.int64)
            codes.append(spike_codes(k, when // n_steps, when % n_steps, np.asarray(monitor.i)))
        # Its own clock leaves out reading and writing files, the processor's time leaves out waiting.
        seconds = float(b2.device._last_run_time)
        seconds = min(seconds, used) if threads == 1 else seconds
    return {"seconds": seconds, "start_s": total, "codes": np.concatenate(codes), "version": b2.__version__}


def run_nest(work: dict[str, np.ndarray], threads: int) -> dict:
    """iaf_psc_delta, whose membrane does not round: its spikes may differ where a sum lies at the threshold."""
    import nest

    nest.set_verbosity("M_ERROR")
    nest.ResetKernel()
    nest.resolution = 1.0
    nest.local_num_threads = threads
    n_steps, sizes = int(work["n_steps"]), work["sizes"].tolist()
    sample, at, channel = np.nonzero(work["frames"])
    when = sample * n_steps + at + 1.0
    # A generator sends to every target by itself; one relay a channel makes it a spike like any other.
    generators = nest.Create("spike_generator", sizes[0])
    order = np.lexsort((when, channel))
    ends = np.searchsorted(channel[order], np.arange(sizes[0]), side="right")
    times = np.split(when[order], ends[:-1])
    generators.set([{"spike_times": list(mine)} for mine in times])
    relays = nest.Create("parrot_neuron", sizes[0])
    nest.Connect(generators, relays, "one_to_one", {"delay": 1.0})
    populations, recorders = [relays], []
    for k, size in enumerate(sizes[1:]):
        neuron = {"E_L": 0.0, "V_reset": 0.0, "V_m": 0.0, "t_ref": 0.0, "tau_m": 1 / np.log(4096 / KEPT)}
        group = nest.Create("iaf_psc_delta", size, neuron | {"V_th": int(work[f"threshold{k}"]) + 0.5 / 64})
        before = np.array(populations[-1].tolist())
        after = np.array(group.tolist())
        synapse = {"weight": work[f"weight{k}"].astype(float), "delay": work[f"delay{k}"] + 1.0}
        nest.Connect(before[work[f"pre{k}"]], after[work[f"target{k}"]], "one_to_one", synapse)
        recorder = nest.Create("spike_recorder")
        nest.Connect(group, recorder)
        populations.append(group)
        recorders.append(recorder)
    nest.Prepare()
    seconds = _timed(lambda: nest.Run(work["frames"].shape[0] * n_steps + 2.0), threads)
    codes = []
    for k, recorder in enumerate(recorders):
        events = recorder.get("events")
        # Two steps late: the stamp is a step's end, and the relay takes one.
        when = np.rint(events["times"]).astype(np.int64) - 2
        codes.append(
            spike_codes(k, when // n_steps, when % n_steps, events["senders"] - populations[k + 1].tolist()[0])
        )
    return {"seconds": seconds, "codes": np.concatenate(codes), "version": nest.__version__}


def _timed(work, threads: int) -> float:
    clock = time.process_time if threads == 1 else time.perf_counter
    start = clock()
    work()
    return clock() - start


def run_entrant(name: str, source: Path, target: Path, threads: int) -> None:
    """In the entrant's own process: run, write times as JSON and spikes as an array."""
    work = dict(np.load(source))
    try:
        if name in ENGINE:
            result = run_engine(work, name.removeprefix("engine-"), threads)
        else:
            result = {"torch": run_torch, "brian2": run_brian2, "nest": run_nest}[name](work, threads)
    except ImportError as error:
        result = {"skipped": str(error)}
    codes = result.pop("codes", None)
    if codes is not None:
        np.save(target.with_suffix(".npy"), codes)
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    if name == "brian2":
        result["peak_mb"] = children  # its program, or the compiler: whichever took more
    target.write_text(json.dumps(result))


def measure(
    name: str, workload: str, folder: Path, python: str, threads: int, timeout: float
) -> tuple[dict, np.ndarray | None]:
    target = folder / f"{workload}-{name}.json"
    command = [
        python,
        __file__,
        "--entrant",
        name,
        "--source",
        str(folder / f"{workload}.npz"),
        "--target",
        str(target),
    ]
    one = str(threads)
    environment = os.environ | {"OMP_NUM_THREADS": one, "MKL_NUM_THREADS": one}
    try:
        done = subprocess.run(
            [*command, "--threads", one], env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return {"skipped": f"took longer than {timeout:.0f} s"}, None
    if done.returncode or not target.exists():
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"skipped": reason}, None
    codes = target.with_suffix(".npy")
    return json.loads(target.read_text()), np.load(codes) if codes.exists() else None


def compare(workload: str, entrants: list[str], options: argparse.Namespace, folder: Path) -> None:
    make_workload(workload, folder)
    n_samples = WORKLOADS[workload][4]
    print(
        f"\n{workload}: {'-'.join(map(str, WORKLOADS[workload][0]))}, {n_samples} samples, {options.threads} thread(s)"
    )
    print(f"{'':16}{'seconds':>10}{'M events/s':>12}{'samples/s':>12}{'ratio':>8}{'start s':>9}{'peak MB':>9}  spikes")
    events, expected, slowest = None, None, None
    for name in entrants:
        python = (
            sys.executable
            if name in ENGINE or (name == "torch" and not options.torch_in_peers)
            else options.peer_python
        )
        result, codes = measure(name, workload, folder, python, options.threads, options.timeout)
        if "skipped" in result:
            print(f"{name:16}skipped: {result['skipped']}")
            continue
        if events is None:
            events, expected, slowest = result["events"], codes, result["seconds"]
        same = (
            "equal"
            if np.array_equal(codes, expected)
            else f"{np.setxor1d(codes, expected).size} of {expected.size} differ"
        )
        label = f"{name} {result['version']}" if "version" in result else name
        print(
            f"{label:16}{result['seconds']:10.4f}{events / result['seconds'] / 1e6:12.1f}"
            f"{n_samples / result['seconds']:12.1f}{slowest / result['seconds']:8.3f}"
            f"{result.get('start_s', float('nan')):9.2f}{result['peak_mb']:9.0f}  {same}",
            flush=True,
        )
    print(f"{events} synaptic events; ratio: speed relative to {entrants[0]}")


def growth() -> None:
    """How the engine's speed depends on the work, on one thread; and on threads."""
    from dataclasses import replace

    from delaytool.runtime import engine

    def speed(network, frames, method: str, threads: int = 1) -> str:
        engine.run(network, frames, method=method, threads=threads, record="nothing")
        found = []

        def again():
            found.append(engine.run(network, frames, method=method, threads=threads, record="nothing").counters)

        seconds = min(_timed(again, threads) for _ in range(5))
        return f"{found[0].synaptic_events.sum() / seconds / 1e9:8.2f}"

    def build(size: int = 256, max_delay: int = 24, rate: float = 0.05, n_samples: int = 256):
        sizes = (140, size, size, 20)
        WORKLOADS["growth"] = (sizes, 100, max_delay, 1.0, n_samples, rate)
        with tempfile.TemporaryDirectory() as folder:
            make_workload("growth", Path(folder))
            work = dict(np.load(Path(folder) / "growth.npz"))
        return replace(network_of(work), n_steps=100, readout=replace(network_of(work).readout, stop=100)), work[
            "frames"
        ]

    print("\nG events/s, 140-n-n-20, 100 steps")
    print(f"{'':28}{'event':>8}{'batched':>8}")
    cases = (
        [(f"n = {size}", {"size": size}) for size in (64, 128, 256, 512, 1024)]
        + [(f"input rate {rate}", {"rate": rate}) for rate in (0.005, 0.02, 0.05, 0.1, 0.3)]
        + [(f"delays 0..{delay}", {"max_delay": delay}) for delay in (0, 8, 24, 62)]
        + [(f"{count} samples", {"n_samples": count}) for count in (1, 8, 32, 128, 512)]
    )
    for label, changes in cases:
        network, frames = build(**changes)
        print(f"{label:28}" + "".join(speed(network, frames, method) for method in ("event", "batched")), flush=True)
    network, frames = build(n_samples=1024)
    for threads in range(1, (os.cpu_count() or 1) + 1):
        row = "".join(speed(network, frames, method, threads) for method in ("event", "batched"))
        print(f"{f'1024 samples, {threads} thread(s)':28}{row}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", default="W1,W2,W3")
    parser.add_argument("--peers", default="none", help=f"'none', 'all', or some of {','.join(PEERS)}")
    parser.add_argument("--peer-python", default=sys.executable, help="a Python that has brian2 and nest")
    parser.add_argument("--torch-in-peers", action="store_true", help="take torch from there too")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=600, help="seconds after which an entrant is left out")
    parser.add_argument("--growth", action="store_true", help="the engine against synapses, activity, delays, threads")
    parser.add_argument("--entrant", help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.entrant:
        run_entrant(options.entrant, options.source, options.target, options.threads)
        return
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    peers = {"none": [], "all": list(PEERS)}.get(options.peers, options.peers.split(","))
    with tempfile.TemporaryDirectory() as folder:
        for workload in filter(None, options.workloads.split(",")):
            compare(workload, [*reversed(ENGINE), *peers], options, Path(folder))
    if options.growth:
        growth()


if __name__ == "__main__":
    main()
