"""One training step, forward and backward, of delaytool, its plain form and the reference formulation, in one run.

    python benchmarks/train_step.py                          SHD size, four widths of the taps, one thread
    python benchmarks/train_step.py --sizes SHD SSC --rounds 3
    python benchmarks/train_step.py --device cuda            on a GPU, where there is one

The reference needs dcls 0.1.1 and spikingjelly 2.0.0 (requirements-oracles.txt). Entrants take turns, every round in
another order, so that a machine that slows down slows all of them; seconds are medians over the rounds. 'reference'
runs as its code does; 'reference, no denormals' with the processor flushing them to zero, as delaytool has it. Memory
is the peak of a process of its own above what it held before it built the network. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from training_entrants import ENTRANTS, WORKLOADS, Step, Workload, ours

from delaytool.models import delayed_linear
from delaytool.models.convolution import events, transform
from delaytool.models.interpolation import _Taps
from delaytool.models.neurons import integrate_and_fire
from delaytool.trainer.processor import keep_freed_memory

USUAL = ("ours", "ours, bf16", "plain", "reference", "reference, no denormals")
SIGMAS = {"start": None, "middle": 1.7, "0.5": 0.5, "end": 0.23}


def widths(work: Workload) -> dict[str, float]:
    return {name: float(work.max_delay // 2) if sigma is None else sigma for name, sigma in SIGMAS.items()}


def timed(step: Step, entrant: str, device: str) -> float:
    ENTRANTS[entrant].set_up()
    begin = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def interleaved(steps: dict[str, Step], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds a round of each entrant, after one round that is not counted."""
    order = list(steps)
    seconds = defaultdict(list)
    shuffle = random.Random(0)
    for turn in range(rounds + 1):
        shuffle.shuffle(order)
        for name in order:
            taken = timed(steps[name], name, device)
            if turn:
                seconds[name].append(taken)
    return seconds


def peak_memory(work: Workload, sigma: float, name: str, device: str) -> float:
    """MiB above the process's own before the network was built."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step = ENTRANTS[name].make(work, sigma, device)
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    command = [sys.executable, __file__, "--memory-of", name, work.name, str(sigma), work.convolution]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def report_own_memory(name: str, size: str, sigma: str, convolution: str) -> None:
    torch.set_num_threads(1)
    entrant = ENTRANTS[name]
    entrant.set_up()
    if name.startswith("ours"):
        keep_freed_memory()
    entrant.make(WORKLOADS["small"], 2.0, "cpu")()  # what only the first call of a process costs
    before = peak_so_far()
    step = entrant.make(replace(WORKLOADS[size], convolution=convolution), float(sigma), "cpu")
    for _ in range(2):
        step()
    print(peak_so_far() - before)


def peak_so_far() -> float:
    """MiB of this process, at most. (getrusage would count what the parent held when it forked.)"""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


@contextmanager
def parts_timed() -> Iterator[dict[str, float]]:
    """Seconds in each part of delaytool's step while this is open, forward and backward."""
    seconds: dict[str, float] = defaultdict(float)
    neurons = [kind for kind in vars(integrate_and_fire).values() if _is_function(kind)]
    parts: list[tuple[Any, str, str]] = [
        (transform._Convolution, "forward", "convolution"),
        (transform._Convolution, "backward", "convolution"),
        (events._EventConvolution, "forward", "convolution"),
        (events._EventConvolution, "backward", "convolution"),
        (_Taps, "forward", "kernels"),
        (_Taps, "backward", "kernels"),
        *((function, which, "neurons") for function in neurons for which in ("forward", "backward")),
        (torch.nn.BatchNorm1d, "forward", "batch norm, forward"),
        (delayed_linear, "density", "counting spikes"),
    ]
    kept = [(owner, name, vars(owner).get(name, getattr(owner, name))) for owner, name, _ in parts]

    def clocked(function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            begin = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                seconds[part] += time.perf_counter() - begin

        return run

    for (owner, name, original), (_, _, part) in zip(kept, parts, strict=True):
        static = isinstance(original, staticmethod)
        wrapped = clocked(original.__func__ if static else original, part)
        setattr(owner, name, staticmethod(wrapped) if static else wrapped)
    try:
        yield seconds
    finally:
        for owner, name, original in kept:
            setattr(owner, name, original)


def _is_function(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, torch.autograd.Function)


def print_shares(work: Workload, sigma: float) -> None:
    ENTRANTS["ours"].set_up()
    step = ours(work, sigma, "cpu")
    step()
    with parts_timed() as seconds:
        begin = time.perf_counter()
        step()
        total = time.perf_counter() - begin
    rest = total - sum(seconds.values())
    shares = {**seconds, "rest (batch norm backward, loss, copies)": rest}
    for part, taken in sorted(shares.items(), key=lambda item: -item[1]):
        print(f"    {part:<42} {taken * 1e3:8.1f} ms {100 * taken / total:5.1f} %")


def counted(work: Workload) -> tuple[float, float, float]:
    """(multiplications of the plain form, of the transform, bytes that the transform must move) of a step."""
    sizes = (work.n_in, *work.hidden, work.n_classes)
    tail, size = work.max_delay // 2, work.max_delay + 1
    plain = products = moved = 0.0
    for index, (n_in, n_out) in enumerate(pairwise(sizes)):
        steps, n_steps = work.time + index * tail, work.time + (index + 1) * tail
        passes = 2 + (index > 0)
        plain += passes * n_steps * work.batch * n_in * n_out * size
        length = transform.block_length(steps, size, work.batch, n_in, n_out)
        rows, blocks = transform.n_rows(length, size), -(-steps // length)
        into = blocks * work.batch * length * n_in  # a block's transform, once, and back where the input needs it
        back = blocks * work.batch * (length + size - 1) * n_out
        products += rows * (passes * blocks * work.batch * n_in * n_out)
        products += rows * ((passes - 1) * into + 2 * back + passes * size * n_in * n_out)
        # Each transformed value is written once and read by each product that takes it.
        of_input, of_output, of_kernel = blocks * work.batch * n_in, blocks * work.batch * n_out, n_in * n_out
        moved += 4 * rows * ((2 * passes - 1) * of_input + 2 * passes * of_output + 2 * passes * of_kernel)
    return plain, products, moved


def print_floor(work: Workload) -> None:
    """What the arithmetic and the memory traffic of the convolutions would take at this machine's measured peaks."""
    one, two, out = torch.randn(2048, 2048), torch.randn(2048, 2048), torch.empty(2048, 2048)
    multiplying = min(_seconds(lambda: torch.mm(one, two, out=out)) for _ in range(5)) / 2048**3
    source, target = torch.zeros(2**26), torch.zeros(2**26)
    moving = min(_seconds(lambda: target.copy_(source)) for _ in range(5)) / (8 * 2**26)
    plain, products, moved = counted(work)
    print(f"  measured peaks: {1e-9 / multiplying:.0f} G multiplications/s, {1e-9 / moving:.1f} GB/s of copying")
    print(f"  plain form      {plain / 1e9:6.1f} G multiplications, {plain * multiplying:.2f} s at the peak")
    print(f"  transform       {products / 1e9:6.1f} G multiplications, {products * multiplying:.2f} s at the peak")
    print(f"                  {moved / 1e9:6.2f} GB to and from memory, {moved * moving:.2f} s at the peak")


def _seconds(run: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def compare(work: Workload, options: argparse.Namespace) -> None:
    sizes = "-".join(map(str, (work.n_in, *work.hidden, work.n_classes)))
    print(f"\n{work.name}: {sizes}, batch {work.batch}, {work.time} steps, {work.max_delay + 1} taps per kernel")
    if options.floor:
        print_floor(work)
    for label, sigma in widths(work).items():
        if label not in options.sigmas:
            continue
        steps = {name: ENTRANTS[name].make(work, sigma, options.device) for name in options.entrants}
        seconds = interleaved(steps, options.rounds, options.device)
        own = statistics.median(seconds["ours"])
        print(f"  sigma {label} ({sigma:g})")
        for name in options.entrants:
            median = statistics.median(seconds[name])
            line = f"    {name:<24} {median:8.3f} s   ours is {median / own:5.2f} times as fast"
            if options.memory:
                line += f"   peak {peak_memory(work, sigma, name, options.device):7.0f} MiB"
            print(line, flush=True)
        if options.shares and options.device == "cpu":
            print_shares(work, sigma)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["SHD"], choices=list(WORKLOADS))
    parser.add_argument("--sigmas", nargs="+", default=list(SIGMAS), choices=list(SIGMAS))
    parser.add_argument("--entrants", nargs="+", default=list(USUAL), choices=list(ENTRANTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-memory", dest="memory", action="store_false")
    parser.add_argument("--no-shares", dest="shares", action="store_false")
    parser.add_argument("--floor", action="store_true", help="count the arithmetic and measure the machine's peaks")
    parser.add_argument("--memory-of", nargs=4, metavar=("ENTRANT", "SIZE", "SIGMA", "FORM"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        report_own_memory(*options.memory_of)
        return
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    name = torch.cuda.get_device_name() if options.device == "cuda" else platform.processor() or platform.machine()
    print(f"PyTorch {torch.__version__}, {name}, {options.threads} thread(s), median of {options.rounds} rounds")
    for size in options.sizes:
        compare(WORKLOADS[size], options)


if __name__ == "__main__":
    main()
