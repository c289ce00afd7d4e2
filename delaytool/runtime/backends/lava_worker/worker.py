# pyright: reportMissingImports=false
"""Run jobs in Lava. A job is a folder with network.h5 and frames.npy; the worker adds trace.npz to it.

Usage: worker.main([VARIANT, JOB_FOLDER, ...]), VARIANT being "stock", "cached" or "loihi2 {options as JSON}".
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from delaytool.contract.frames import padded_input
from delaytool.contract.network import IntegerNetwork
from delaytool.runtime.backends.lava_worker import shim

if TYPE_CHECKING:
    from delaytool.runtime.backends.lava_worker import graph

Runner = Callable[[IntegerNetwork, np.ndarray, str], list[dict[str, np.ndarray]]]
RUN_SAMPLES = 100  # samples of one cached run: bounds the memory of its recorders


def main(arguments: list[str]) -> None:
    variant, *folders = arguments
    shim.apply()
    if variant in RUNNERS:
        runner = RUNNERS[variant]
    else:
        from delaytool.runtime.backends.lava_worker import chip

        runner = chip.runner(json.loads(variant.removeprefix("loihi2 ")))
    for folder in folders:
        network = IntegerNetwork.load(os.path.join(folder, "network.h5"), chip_limits=False)
        frames = padded_input(np.load(os.path.join(folder, "frames.npy")), network.n_steps)
        samples = runner(network, frames, folder)
        trace: dict[str, Any] = {
            f"{name}{index}": layer[name].reshape(len(frames), network.n_steps, -1)
            for index, layer in enumerate(samples)
            for name in ("spikes", "u", "v")
        }
        np.savez(os.path.join(folder, "trace.npz"), **trace)


def run_stock(network: IntegerNetwork, frames: np.ndarray, folder: str) -> list[dict[str, np.ndarray]]:
    """Lava's models untouched. Each sample gets a fresh graph: nothing in Lava clears delayed charge in flight."""
    from delaytool.runtime.backends.lava_worker import graph, processes

    runs = []
    for sample in frames:
        paths = record_paths(network, folder)
        built = graph.build(network)
        for neurons, path, layer in zip(built.neurons, paths, network.layers, strict=True):
            recorder = processes.Recorder(layer.n_neurons, len(sample), path)
            neurons.s_out.connect(recorder.spikes)
            recorder.u.connect_var(neurons.u)
            recorder.v.connect_var(neurons.v)
        run_graph(built, sample, {})
        runs.append([dict(np.load(path)) for path in paths])
    return joined(runs)


def run_cached(network: IntegerNetwork, frames: np.ndarray, folder: str) -> list[dict[str, np.ndarray]]:
    """Our cached connection models, many samples in one run."""
    from delaytool.runtime.backends.lava_worker import graph, processes

    runs = []
    for start in range(0, len(frames), RUN_SAMPLES):
        steps = frames[start : start + RUN_SAMPLES].reshape(-1, frames.shape[-1])
        paths = record_paths(network, folder)
        run_graph(graph.build(network, graph.Series(len(steps), paths)), steps, processes.CACHED_MODELS)
        runs.append([dict(np.load(path)) for path in paths])
    return joined(runs)


def record_paths(network: IntegerNetwork, folder: str) -> list[str]:
    return [os.path.join(folder, f"layer{index}.npz") for index in range(len(network.layers))]


def joined(runs: list[list[dict[str, np.ndarray]]]) -> list[dict[str, np.ndarray]]:
    """Successive runs, each with one dictionary per layer, joined into one such list."""
    return [{name: np.concatenate([run[i][name] for run in runs]) for name in runs[0][i]} for i in range(len(runs[0]))]


def run_graph(built: graph.Graph, frames: np.ndarray, models: dict) -> None:
    """Run frames (step, channel) through one graph, from the first step to the last."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    from delaytool.runtime.backends.lava_worker import processes

    source = processes.Frames(frames)
    for port in built.inputs:
        source.s_out.connect(port)
    last = built.neurons[-1]
    try:
        configuration = Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=models)
        last.run(condition=RunSteps(num_steps=len(frames)), run_cfg=configuration)
    finally:
        last.stop()


RUNNERS: dict[str, Runner] = {"stock": run_stock, "cached": run_cached}
