"""The networks and inputs of `benchmarks/engine.py`, as plain arrays that every entrant can read."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from delaytool.contract.network import IntegerNetwork

# name: (populations, input steps, longest delay, connection probability, samples, input rate)
WORKLOADS = {
    "W1": ((140, 256, 256, 20), 100, 24, 1.0, 200, 0.05),
    "W2": ((140, 512, 512, 512, 35), 100, 29, 1.0, 200, 0.05),
    "W3": ((10_000, 10_000), 1000, 62, 0.01, 1, 0.05),
}
KEPT = 20  # of 4096 of the membrane from step to step: tau = 1.005 steps


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


def network_of(work: dict[str, np.ndarray]) -> IntegerNetwork:
    from delaytool.contract.encoding import InputEncoding
    from delaytool.contract.layer import IntegerLayer, Readout
    from delaytool.contract.network import IntegerNetwork
    from delaytool.contract.synapses import SparseSynapses

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


def cut(network: IntegerNetwork, n_steps: int) -> IntegerNetwork:
    """The network with another number of steps."""
    return replace(network, n_steps=n_steps, readout=replace(network.readout, stop=n_steps))
