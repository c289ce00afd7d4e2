"""Hops of placed cores against row-by-row and random placements, on networks of 40 cores and more, five seeds.

    python benchmarks/placement_hops.py

Each seed draws how often every neuron fires (gamma distributed, mean 10 per sample); the sizes are those listed below.
"""

from __future__ import annotations

import time

import numpy as np

from delaytool.hw_configs import load_target
from delaytool.mapping.activity import Activity
from delaytool.mapping.cores import pack
from delaytool.mapping.design import Design
from delaytool.mapping.placement import place, random_placement, row_by_row, traffic_of
from delaytool.mapping.shape import shape_of_design

SIZES = {"3L-2KC, 700-900-700": (700, 900, 700), "4L-2KC, 600 each": (600, 600, 600, 600)}
SEEDS = range(5)


def main() -> None:
    target = load_target("loihi2")
    mesh = target.mesh
    assert mesh is not None
    for name, hidden in SIZES.items():
        shape = shape_of_design(Design(n_channels=140, hidden=hidden, n_classes=35, kernel_count=2), target)
        packing = pack(shape, target)
        to_rows, to_random, seconds = [], [], []
        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            sizes = [140, *(layer.n_neurons for layer in shape.layers)]
            activity = Activity(tuple(rng.gamma(1.0, 10.0, size) for size in sizes), 100, "drawn")
            traffic = traffic_of(shape, packing, activity)
            begun = time.perf_counter()
            hops = place(traffic, mesh).total_hops(traffic)
            seconds.append(time.perf_counter() - begun)
            at_random = [random_placement(packing.count, mesh, other).total_hops(traffic) for other in range(5)]
            to_rows.append(hops / row_by_row(packing.count, mesh).total_hops(traffic))
            to_random.append(hops / np.mean(at_random))
        print(
            f"{name}: {packing.count} cores; hops {np.mean(to_rows):.3f} ({min(to_rows):.3f}-{max(to_rows):.3f}) of "
            f"row by row, {np.mean(to_random):.3f} ({min(to_random):.3f}-{max(to_random):.3f}) of random; "
            f"{np.mean(seconds):.1f} s per placement"
        )


if __name__ == "__main__":
    main()
