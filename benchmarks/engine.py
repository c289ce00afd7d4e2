"""The engine beside its peers: the same networks, the same input, equal spikes, one run.

    python benchmarks/engine.py                                     the engine alone
    python benchmarks/engine.py --peers all --peer-python PYTHON    with NEST, Brian2, PyTorch and stock Lava, where
                                --lava-python PYTHON                these Pythons have them
    python benchmarks/engine.py --workloads "" --growth --floor --shd --first-call    the engine by itself

Each entrant runs in its own process, on one thread unless set otherwise; one that is not installed is left out, with
the reason. Synaptic events are counted by the engine and are the same for all, because the spikes are (the last
column states it, or how many differ). What is timed is the simulation: neither building the network nor compiling. On
one thread that is processor time, more reliable than the clock on a shared machine; on several it is the clock's.
Lava, with a process for every population, is timed by the clock, on a few steps of one sample.
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
from engine_workloads import KEPT, WORKLOADS, cut, make_workload, network_of

ENGINE = ("engine-event", "engine-batched")
PEERS = ("brian2", "nest", "torch", "lava")
LAVA_STEPS = (10, 110)  # Lava is asked for the first steps of one sample, and timed from the one to the other


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


def run_lava(work: dict[str, np.ndarray], python: str | None) -> dict:
    """Stock Lava, the first steps of one sample; what starting takes is the time of a shorter run."""
    from delaytool.errors import BackendError
    from delaytool.runtime import engine
    from delaytool.runtime.backends import lava

    network, frames = network_of(work), work["frames"][:1]
    seconds, events = [], []
    for n_steps in LAVA_STEPS:
        short = cut(network, n_steps)
        found = []
        for _ in range(2):  # the least of two: starting its processes takes seconds that vary
            start = time.perf_counter()
            try:
                trace = lava.run(short, frames[:, :n_steps], variant="stock", python=python)
            except BackendError as error:
                return {"skipped": str(error)}
            found.append(time.perf_counter() - start)
        seconds.append(min(found))
        counted = engine.run(short, frames[:, :n_steps], method="event", threads=1, record="nothing").counters
        events.append(int(counted.synaptic_events.sum()))
    codes = [spike_codes(k, *np.nonzero(spikes)) for k, spikes in enumerate(trace.spikes)]
    return {
        "seconds": seconds[1] - seconds[0],
        "start_s": seconds[0],
        "codes": np.concatenate(codes),
        "version": f"stock, {LAVA_STEPS[1] - LAVA_STEPS[0]} steps",
        "part_events": events[1] - events[0],
    }


def _timed(work, threads: int) -> float:
    clock = time.process_time if threads == 1 else time.perf_counter
    start = clock()
    work()
    return clock() - start


def run_entrant(name: str, source: Path, target: Path, threads: int, lava_python: str | None) -> None:
    """In the entrant's own process: run, write times as JSON and spikes as an array."""
    work = dict(np.load(source))
    try:
        if name in ENGINE:
            result = run_engine(work, name.removeprefix("engine-"), threads)
        elif name == "lava":
            result = run_lava(work, lava_python)
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
    name: str, workload: str, folder: Path, python: str, options: argparse.Namespace
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
    if options.lava_python:
        command += ["--lava-python", options.lava_python]
    one, timeout = str(options.threads), options.timeout
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


def _is_of_first_sample(codes: np.ndarray, n_steps: int) -> np.ndarray:
    sample, step = codes // 100_000 // 10_000 % 100_000, codes // 100_000 % 10_000
    return (sample == 0) & (step < n_steps)


def compare(workload: str, entrants: list[str], options: argparse.Namespace, folder: Path) -> None:
    make_workload(workload, folder)
    n_samples = WORKLOADS[workload][4]
    print(
        f"\n{workload}: {'-'.join(map(str, WORKLOADS[workload][0]))}, {n_samples} samples, {options.threads} thread(s)"
    )
    print(f"{'':24}{'seconds':>10}{'M events/s':>12}{'samples/s':>12}{'ratio':>8}{'start s':>9}{'peak MB':>9}  spikes")
    events, expected, slowest = None, None, None
    for name in entrants:
        python = (
            sys.executable
            if name in (*ENGINE, "lava") or (name == "torch" and not options.torch_in_peers)
            else options.peer_python
        )
        result, codes = measure(name, workload, folder, python, options)
        if "skipped" in result:
            print(f"{name:24}skipped: {result['skipped']}")
            continue
        if events is None:
            events, expected, slowest = result["events"], codes, result["seconds"]
        part = result.get("part_events")
        # A part is the first steps of the first sample.
        mine = expected if part is None else expected[_is_of_first_sample(expected, LAVA_STEPS[1])]
        same = "equal" if np.array_equal(codes, mine) else f"{np.setxor1d(codes, mine).size} of {mine.size} differ"
        if part is not None:
            # What it would need for all events at that speed.
            result["seconds"] *= events / part
        label = f"{name} {result['version']}" if "version" in result else name
        print(
            f"{label:24}{result['seconds']:10.4f}{events / result['seconds'] / 1e6:12.1f}"
            f"{n_samples / result['seconds']:12.1f}{slowest / result['seconds']:8.3f}"
            f"{result.get('start_s', float('nan')):9.2f}{result['peak_mb']:9.0f}  {same}",
            flush=True,
        )
    print(f"{events} synaptic events; ratio: speed relative to {entrants[0]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", default="W1,W2,W3")
    parser.add_argument("--peers", default="none", help=f"'none', 'all', or some of {','.join(PEERS)}")
    parser.add_argument("--peer-python", default=sys.executable, help="a Python that has brian2 and nest")
    parser.add_argument("--torch-in-peers", action="store_true", help="take torch from there too")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=600, help="seconds after which an entrant is left out")
    parser.add_argument("--lava-python", help="an interpreter that has lava-nc, for the entrant lava")
    parser.add_argument("--growth", action="store_true", help="the engine against synapses, activity, delays, threads")
    parser.add_argument(
        "--plot", type=Path, help="where --growth draws its figure, e.g. docs/pictures/engine_growth.png"
    )
    parser.add_argument("--floor", action="store_true", help="what bandwidth and peak allow, beside the engine")
    parser.add_argument("--shd", action="store_true", help="2,264 samples of SHD's size")
    parser.add_argument("--first-call", action="store_true", help="how long compiling takes")
    parser.add_argument("--entrant", help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.entrant:
        run_entrant(options.entrant, options.source, options.target, options.threads, options.lava_python)
        return
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    peers = {"none": [], "all": list(PEERS)}.get(options.peers, options.peers.split(","))
    with tempfile.TemporaryDirectory() as folder:
        for workload in filter(None, options.workloads.split(",")):
            compare(workload, [*reversed(ENGINE), *peers], options, Path(folder))
    if options.growth or options.floor or options.shd or options.first_call:
        import engine_alone  # only here: the peers' Pythons have no delaytool

        if options.shd:
            engine_alone.shd()
        if options.first_call:
            engine_alone.first_call()
        if options.floor:
            engine_alone.floor(["W1", "W2", "W3"])
        if options.growth:
            engine_alone.growth(options.plot)


if __name__ == "__main__":
    main()
