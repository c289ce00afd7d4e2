# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
"""The same process graph on a Loihi 2 chip. Written against Lava's public API; it has not run on a chip yet.

Spikes enter through `embedded_io`'s PyToNxAdapter and leave through NxToPyAdapter, each some steps late. Currents
and membranes are read between steps, by running one step at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2HwCfg
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.utils import loihi

from delaytool.contract.network import IntegerNetwork
from delaytool.runtime.backends.lava_worker import graph

Run = list[dict[str, np.ndarray]]


def runner(options: dict[str, Any]) -> Callable[[IntegerNetwork, np.ndarray, str], Run]:
    """Connect to the host that the options name, and return what runs a network's samples there.

    Ends the process with a line that the parent recognizes where Intel's extension is missing.
    """
    if not loihi.is_installed():
        sys.exit("delaytool-loihi: missing")
    generation = loihi.ChipGeneration[options["generation"]]
    if options["address"]:
        loihi.use_ethernet_host(host_address=options["address"], loihi_gen=generation)
    else:
        loihi.use_slurm_host(partition=options["partition"], board=options["board"], loihi_gen=generation)

    def run(network: IntegerNetwork, frames: np.ndarray, folder: str) -> Run:
        del folder
        runs = [_run_sample(network, sample, options["input_latency"], options["output_latency"]) for sample in frames]
        return [
            {name: np.concatenate([sample[index][name] for sample in runs]) for name in ("spikes", "u", "v")}
            for index in range(len(network.layers))
        ]

    return run


def _run_sample(network: IntegerNetwork, frames: np.ndarray, input_latency: int, output_latency: int) -> Run:
    """One sample (step, channel), in a fresh graph. Biases start when the input's first frame can arrive."""
    from lava.proc import embedded_io

    n_steps = len(frames)
    total = input_latency + n_steps + output_latency
    bits = graph.PAYLOAD_BITS if network.encoding.max_payload > 1 else 0
    data = np.zeros((frames.shape[1], total), np.int32)
    data[:, :n_steps] = frames.T  # (channel, step), as RingBuffer wants it
    source = Source(data=data)
    entry = embedded_io.spike.PyToNxAdapter(shape=(frames.shape[1],), num_message_bits=bits)
    source.s_out.connect(entry.inp)
    built = graph.build(network)
    for port in built.inputs:
        entry.out.connect(port)
    sinks = []
    for neurons, layer in zip(built.neurons, network.layers, strict=True):
        neurons.bias_mant.init = np.zeros(layer.n_neurons, np.int64)
        leave = embedded_io.spike.NxToPyAdapter(shape=(layer.n_neurons,), num_message_bits=0)
        sinks.append(Sink(shape=(layer.n_neurons,), buffer=total))
        neurons.s_out.connect(leave.inp)
        leave.out.connect(sinks[-1].a_in)

    configuration = Loihi2HwCfg(select_tag="fixed_pt")
    last = built.neurons[-1]
    state: list[list[tuple[np.ndarray, np.ndarray]]] = []
    try:
        if input_latency:
            last.run(condition=RunSteps(num_steps=input_latency), run_cfg=configuration)
            for neurons, layer in zip(built.neurons, network.layers, strict=True):
                neurons.bias_mant.set(layer.bias_mantissa.astype(np.int64))
        for _ in range(n_steps):
            last.run(condition=RunSteps(num_steps=1), run_cfg=configuration)
            state.append([(neurons.u.get(), neurons.v.get()) for neurons in built.neurons])
        if output_latency:
            last.run(condition=RunSteps(num_steps=output_latency), run_cfg=configuration)
        begin = input_latency + output_latency
        spikes = [sink.data.get().T[begin : begin + n_steps] for sink in sinks]
    finally:
        last.stop()
    return [
        {
            "spikes": spikes[index].astype(np.int32),
            "u": np.stack([step[index][0] for step in state]).astype(np.int32),
            "v": np.stack([step[index][1] for step in state]).astype(np.int32),
        }
        for index in range(len(network.layers))
    ]
