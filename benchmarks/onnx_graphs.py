"""The ONNX graphs in onnxruntime beside the engine: one network, one input, equal spikes, one run.

    python benchmarks/onnx_graphs.py                                  a random 140-256-256-20 network, delays 0..25
    python benchmarks/onnx_graphs.py --network NET.h5 --frames F.npy  a network file, frames (sample, time, channel)

Entrants take turns, several rounds, and each one's least processor time counts, on one thread. What is timed is
running: neither making the graph, opening the session, nor compiling. The graphs give out scores and class, the engine
records nothing. All classes are compared, and the traces of all forms.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

import numpy as np
import onnxruntime
from lava import random_frames, random_network

from delaytool.contract.network import IntegerNetwork
from delaytool.formats.onnx.sequence import sequence_model
from delaytool.formats.onnx.step import step_model
from delaytool.runtime.backends.onnx import OnnxBackend, open_session, run_steps
from delaytool.runtime.decode import decode


def entrants(network: IntegerNetwork, frames: np.ndarray) -> dict[str, Callable[[], np.ndarray | None]]:
    """Functions that run all frames; those that give classes return them."""
    from delaytool.runtime import engine

    sessions = {
        name: open_session(sequence_model(network, convolution=convolution).SerializeToString(), 1)
        for name, convolution in (("onnx", False), ("onnx, ConvInteger", True))
    }
    step = open_session(step_model(network).SerializeToString(), 1)
    return {
        "engine": lambda: engine.run(network, frames, threads=1, record="nothing") and None,
        **{
            name: lambda session=session: session.run(["class"], {"frames": frames})[0]
            for name, session in sessions.items()
        },
        "onnx, step by step": lambda: decode(network, run_steps(step, network, frames).readout)[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", help="a network file; default: a random network")
    parser.add_argument("--frames", help="a .npy file (sample, time, channel) for it")
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 64], help="samples at once")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    network = IntegerNetwork.load(arguments.network) if arguments.network else random_network()
    most = max(arguments.samples)
    given = np.load(arguments.frames)[:most] if arguments.frames else random_frames(network, most)
    versions = f"Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}"
    print(f"{platform.machine()}, {versions}, one thread")
    _compare(network, given[: min(16, most)])
    for n_samples in arguments.samples:
        frames = given[:n_samples]
        runs = entrants(network, frames)
        classes = [found for run in runs.values() if (found := run()) is not None]
        assert all(np.array_equal(classes[0], other) for other in classes), "classes differ"
        least = dict.fromkeys(runs, float("inf"))
        for _ in range(arguments.rounds):
            for name, run in runs.items():
                begin = time.process_time()
                run()
                least[name] = min(least[name], time.process_time() - begin)
        print(f"{n_samples} samples at once, {network.n_steps} steps")
        for name, seconds in least.items():
            ratio = seconds / least["engine"]
            print(f"  {name:<20} {1e3 * seconds / n_samples:>9.2f} ms per sample {ratio:>7.1f} times the engine's")


def _compare(network: IntegerNetwork, frames: np.ndarray) -> None:
    """Raise where a form's trace is not the engine's."""
    from delaytool.runtime import engine

    expected = engine.run(network, frames)
    for form in ("sequence", "convolution", "step"):
        got = OnnxBackend(form, 1)(network, frames)
        for name in ("spikes", "u", "v"):
            for one, other in zip(getattr(expected, name), getattr(got, name), strict=True):
                assert np.array_equal(one, other), f"{form}: {name} differ"
    print(f"traces of {len(frames)} samples: equal in all forms")


if __name__ == "__main__":
    main()
