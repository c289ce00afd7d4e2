"""Samples per second of the engine, the reference and Lava on one network, in one run; their traces are compared.

    python benchmarks/lava.py                                 a random 140-256-256-20 network, delays 0..25
    python benchmarks/lava.py --network NET.h5 --frames F.npy  a network file, frames (sample, time, channel)

Lava needs an interpreter that has it: this one, $DELAYTOOL_LAVA_PYTHON, or --lava-python. Times are wall clock for
the whole call; Lava's include starting its processes (once for the cached variant, once per sample for the stock one),
the engine's do not include compiling. Nothing is asserted but that all traces are equal.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from delaytool.contract.bounds import MAX_THRESHOLD
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.runtime.backends import lava
from delaytool.runtime.trace import Trace


def random_network(n_steps: int = 150, seed: int = 0) -> IntegerNetwork:
    """The shape of a keyword network: 140 channels, two hidden layers of 256, 20 classes, sparse activity."""
    rng = np.random.default_rng(seed)
    layers = []
    for index, (n_in, n_out) in enumerate(pairwise((140, 256, 256, 20))):
        weight = np.clip(rng.normal(0, 15, (n_out, n_in)).round(), -128, 127).astype(int) * 2
        layers.append(
            IntegerLayer(
                name=f"layer{index + 1}",
                n_neurons=n_out,
                synapses=(DenseSynapses(index, weight, rng.integers(0, 26, weight.shape)),),
                dv=409,
                threshold=350 if index < 2 else MAX_THRESHOLD,
                bias_mantissa=rng.integers(-10, 10, n_out),
                bias_exponent=6,
            )
        )
    encoding = InputEncoding(140, max_count=7, n_steps=100)
    return IntegerNetwork(encoding, tuple(layers), Readout("softmax-sum", 1024.0, 0, n_steps), n_steps)


def random_frames(network: IntegerNetwork, n_samples: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (n_samples, 100, network.encoding.n_channels)
    return (rng.integers(1, 3, shape) * (rng.random(shape) < 0.03)).astype(np.uint8)


def timed(name: str, run: Callable[[np.ndarray], Trace], frames: np.ndarray) -> tuple[Trace, float]:
    begin = time.perf_counter()
    trace = run(frames)
    rate = len(frames) / (time.perf_counter() - begin)
    print(f"{name:<13} {len(frames):>7} samples {rate:>10.2f} samples/s", flush=True)
    return trace, rate


def differing(first: Trace, second: Trace) -> int:
    """Values of u, v and spikes that differ, over the samples that both have."""
    count = min(first.n_samples, second.n_samples)
    return sum(
        int((one[:count] != other[:count]).sum())
        for name in ("spikes", "u", "v")
        for one, other in zip(getattr(first, name), getattr(second, name), strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", help="a network file; default: a random 140-256-256-20 network")
    parser.add_argument("--frames", help="an .npy file of frames (sample, time, channel); default: random")
    parser.add_argument("--samples", type=int, default=200, help="for engine and cached Lava (default 200)")
    parser.add_argument("--stock-samples", type=int, default=20, help="for reference and stock Lava (default 20)")
    parser.add_argument("--lava-python", help="an interpreter that has lava-nc 0.10.0")
    arguments = parser.parse_args()

    network = IntegerNetwork.load(arguments.network) if arguments.network else random_network()
    frames = np.load(arguments.frames) if arguments.frames else random_frames(network, arguments.samples)
    many, few = frames[: arguments.samples], frames[: arguments.stock_samples]
    sizes = "-".join(
        str(size) for size in (network.encoding.n_channels, *(layer.n_neurons for layer in network.layers))
    )
    print(f"{sizes}, {network.n_steps} steps, delays to {network.max_delay}; {platform.machine()}, {platform.system()}")

    def in_lava(variant: str) -> Callable[[np.ndarray], Trace]:
        return lambda given: lava.run(network, given, variant=variant, python=arguments.lava_python, timeout=3600)

    expected, reference_rate = timed("reference", lambda given: reference.run(network, given), few)
    rates, wrong = {"reference": reference_rate}, {}
    entrants: dict[str, tuple[Callable[[np.ndarray], Trace], np.ndarray]] = {}
    try:
        from delaytool.runtime import engine
    except ImportError as error:
        print(f"engine        left out: {error}")
    else:
        engine.run(network, many[:1])  # compiles
        entrants["engine"] = (lambda given: engine.run(network, given), many)
    entrants["cached lava"] = (in_lava("cached"), many)
    entrants["stock lava"] = (in_lava("stock"), few)
    reference = expected
    for name, (run, given) in entrants.items():
        trace, rates[name] = timed(name, run, given)
        wrong[name] = differing(reference, trace)
        reference = (
            trace if trace.n_samples > reference.n_samples else reference
        )  # the engine's, once it agrees with the reference
    events = expected.events().mean(axis=0).round().astype(int).tolist()
    print(f"spikes per sample and layer: {events}; values that differ: {wrong}")
    for name in rates:
        if name != "stock lava":
            print(f"{name} is {rates[name] / rates['stock lava']:.1f} times stock lava")
    if any(wrong.values()):
        raise SystemExit("the traces differ")


if __name__ == "__main__":
    main()
