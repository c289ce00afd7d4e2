"""What one training step costs as time, taps, batch, width and density grow, one at a time.

    python benchmarks/train_scaling.py [--plot scaling.png]

The base is SHD's network with a batch of 64, sigma 1.7, one thread. Each row gives seconds (the best of a few), seconds
relative to the base, the same relation counted in multiplications of the plain form, and the forms that were chosen:
where the second ratio is below the third, the cost grows more slowly than the plain arithmetic.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import pairwise

import torch
from train_step import timed
from training_entrants import SHD, Workload, ours

from delaytool.models.delay_network import DelayNetwork
from delaytool.trainer.processor import keep_freed_memory

BASE = replace(SHD, name="base", batch=64)
AXES = {
    "time steps": [replace(BASE, time=time) for time in (50, 100, 200, 400, 800)],
    "taps per kernel": [replace(BASE, max_delay=taps - 1) for taps in (7, 13, 25, 49, 97)],
    "batch": [replace(BASE, batch=batch) for batch in (16, 32, 64, 128, 256)],
    "hidden neurons": [replace(BASE, hidden=(width, width)) for width in (64, 128, 256, 512)],
    "input density": [replace(BASE, density=density) for density in (0.002, 0.01, 0.05, 0.1, 0.5)],
}
SIGMA = 1.7


def value_of(axis: str, work: Workload) -> float:
    return {
        "time steps": work.time,
        "taps per kernel": work.max_delay + 1,
        "batch": work.batch,
        "hidden neurons": work.hidden[0],
        "input density": work.density,
    }[axis]


def plain_products(work: Workload) -> float:
    """Multiplications of the plain form, forward and to weights and inputs."""
    sizes = (work.n_in, *work.hidden, work.n_classes)
    tail = work.max_delay // 2
    total = 0.0
    for index, (n_in, n_out) in enumerate(pairwise(sizes)):
        passes = 2 if index == 0 else 3
        total += passes * (work.time + (index + 1) * tail) * work.batch * n_in * n_out * (work.max_delay + 1)
    return total


def seconds(work: Workload, rounds: int) -> float:
    step = ours(work, SIGMA, "cpu")
    return min([timed(step, "ours", "cpu") for _ in range(rounds + 1)][1:])


def forms(work: Workload) -> str:
    model = DelayNetwork(work.n_in, work.n_classes, work.config())
    model(work.input()[0], SIGMA).sum().backward()
    return ", ".join(model.forms().values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", help="write a picture there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    seconds(BASE, 1)  # what only the first steps of a process cost
    base = seconds(BASE, options.rounds)
    print(f"base: {base:.3f} s; PyTorch {torch.__version__}, 1 thread")
    measured: dict[str, list[tuple[float, float, float]]] = {}
    for axis, works in AXES.items():
        print(axis)
        for work in works:
            ratio = seconds(work, options.rounds) / base
            plain = plain_products(work) / plain_products(BASE)
            value = value_of(axis, work)
            measured.setdefault(axis, []).append((value, ratio, plain))
            costs = f"{base * ratio:8.3f} s  x {ratio:6.2f}  plain x {plain:6.2f}"
            print(f"  {value:>8g} {costs}   {forms(work)}", flush=True)
    if options.plot:
        draw(measured, options.plot)


def draw(measured: dict[str, list[tuple[float, float, float]]], path: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 2.8), layout="constrained")
    for place, (axis, points) in zip(figure.subplots(1, len(measured), sharey=True), measured.items(), strict=True):
        values, ratios, plain = zip(*points, strict=True)
        place.loglog(values, plain, "--", color="0.6", label="plain arithmetic")
        place.loglog(values, ratios, "o-", label="measured")
        place.set_xlabel(axis)
        place.set_xticks(values, [f"{value:g}" for value in values])
        place.minorticks_off()
        place.grid(True, which="both", alpha=0.2)
    figure.axes[0].set_ylabel("cost of a step\n(base = 1)")
    figure.axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
