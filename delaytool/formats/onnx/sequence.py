"""The ONNX graph of a whole sample: frames in, scores and class out, and on request every spike, u and v."""

from __future__ import annotations

from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

import numpy as np

from delaytool.contract.network import IntegerNetwork
from delaytool.formats.onnx.delayed_weights import delayed_weights
from delaytool.formats.onnx.graph_writer import DEFAULT_OPSET, GraphWriter
from delaytool.formats.onnx.metadata import metadata
from delaytool.formats.onnx.nodes import (
    charge_of_sequence,
    charge_of_step,
    class_evidence,
    class_of,
    neuron_step,
    next_pending,
    split_pending,
    zeros,
)

if TYPE_CHECKING:
    import onnx


# Scan runs over the first axis: its other axes are optional, and not every runtime has them.
TIME_AND_BATCH = (1, 0, 2)


def sequence_model(
    network: IntegerNetwork, *, trace: bool = False, convolution: bool = False, opset: int = DEFAULT_OPSET
) -> onnx.ModelProto:
    """The network as one graph over all its steps: spikes, u and v bit for bit.

        input    frames (batch, time, channel) uint8; fewer than the network's n_steps are followed by silence, more cut
        outputs  scores (batch, class) float64 and class (batch,) int64, as `runtime.decode` has them, but for the last
                 bits of a 'softmax-sum', whose exp and order of addition are the runtime's;
                 with `trace` for each layer k spikes/k uint8, u/k and v/k int32, all (batch, step, neuron)

    trace        give out every spike, current and membrane too, which takes memory
    convolution  delays as positions of a ConvInteger's kernel, rather than shifted copies and one MatMulInteger: the
                 same bits, less memory, and slower in onnxruntime
    Raises ExportError for a network whose matrices one ONNX file cannot hold, MissingExtraError without onnx.

    Layers that no loop joins come one after the other: the charge of all steps first, as one product, then a Scan over
    the steps of their neurons. Recurrent layers, and layers in a circle, share one Scan, with pending input as state.
    """
    writer = GraphWriter("delaytool", opset)
    frames = writer.input("frames", np.uint8, ("batch", "time", network.encoding.n_channels))
    sent = {0: _whole_run(writer, network, frames)}
    states: dict[int, tuple[str, str]] = {}
    for together in loops_in_order(network):
        outer = {index: _outer_charge(writer, network, index, together, sent, convolution) for index in together}
        for index, (spikes, u, v) in _scan(writer, network, together, outer, sent[0]).items():
            sent[index + 1], states[index] = spikes, (u, v)
    _scores(writer, network, states[len(network.layers) - 1][1])
    if trace:
        for index, layer in enumerate(network.layers):
            shape = ("batch", network.n_steps, layer.n_neurons)
            writer.output(sent[index + 1], f"spikes/{index}", np.uint8, shape)
            for name, value in zip(("u", "v"), states[index], strict=True):
                writer.output(value, f"{name}/{index}", np.int32, shape)
    return writer.model(metadata(network, graph="sequence"))


def loops_in_order(network: IntegerNetwork) -> list[list[int]]:
    """Layers in an order in which each comes after all that it receives from; those in a circle stand together.

    These are the strongly connected components of the graph of layers.
    """
    sources = {
        index: {group.source - 1 for group in layer.synapses if group.source and group.n_synapses}
        for index, layer in enumerate(network.layers)
    }
    reached = {index: _reachable(sources, index) for index in sources}
    component = {
        index: min([index, *(other for other in reached[index] if index in reached[other])]) for index in sources
    }
    members: dict[int, list[int]] = {}
    for index, first in component.items():
        members.setdefault(first, []).append(index)
    before = {
        first: {component[other] for index in indices for other in sources[index]} - {first}
        for first, indices in members.items()
    }
    return [members[first] for first in TopologicalSorter(before).static_order()]


def _reachable(sources: dict[int, set[int]], start: int) -> set[int]:
    found: set[int] = set()
    pending = list(sources[start])
    while pending:
        index = pending.pop()
        if index not in found:
            found.add(index)
            pending.extend(sources[index])
    return found


def _whole_run(writer: GraphWriter, network: IntegerNetwork, frames: str) -> str:
    """Frames followed by silence, or cut, to the network's n_steps."""
    silence = writer.add("Pad", frames, writer.integers(0, 0, 0, 0, network.n_steps, 0))
    first, last, time = writer.integers(0), writer.integers(network.n_steps), writer.integers(1)
    return writer.add("Slice", silence, first, last, time)


def _outer_charge(
    writer: GraphWriter,
    network: IntegerNetwork,
    index: int,
    together: list[int],
    sent: dict[int, str],
    convolution: bool,
) -> str | None:
    """What reaches a layer from outside its loop, (batch, step, neuron) int32; None: nothing does."""
    sources = sorted({group.source for group in network.layers[index].synapses} - {member + 1 for member in together})
    parts = []
    for source in sources:
        # A longer delay ends after the last step.
        weights = delayed_weights(network, index, source, longest=network.n_steps - 2)
        if weights is not None:
            payload = network.max_payload_of(source)
            steps = network.n_steps
            parts.append(charge_of_sequence(writer, sent[source], weights, payload, steps, convolution=convolution))
    return writer.sum(parts) if parts else None


def _scan(
    writer: GraphWriter, network: IntegerNetwork, together: list[int], outer: dict[int, str | None], frames: str
) -> dict[int, tuple[str, str, str]]:
    """Run the neurons of layers in a circle over all steps: (spikes uint8, u int32, v int32) of each."""
    body = writer.body("step")
    batch = writer.add("Slice", writer.add("Shape", frames), writer.integers(0), writer.integers(1))
    inner = {
        index: [
            weights
            for source in sorted({group.source for group in network.layers[index].synapses})
            if source - 1 in together
            for weights in (delayed_weights(network, index, source, longest=network.n_steps - 2),)
            if weights is not None
        ]
        for index in together
    }
    slots = {index: max((int(weights.delays[-1]) + 1 for weights in inner[index]), default=0) for index in together}

    start: list[str] = []  # states before the first step
    u, v, pending = {}, {}, {}
    for index in together:
        n_neurons = network.layers[index].n_neurons
        nothing = zeros(writer, batch, np.int64, n_neurons)
        u[index], v[index] = (body.new_input(np.int64, ("batch", n_neurons)) for _ in range(2))
        start += [nothing, nothing]
    for index in together:
        if slots[index]:
            n_neurons = network.layers[index].n_neurons
            pending[index] = body.new_input(np.int32, ("batch", slots[index], n_neurons))
            start.append(zeros(writer, batch, np.int32, slots[index], n_neurons))
    arriving, scanned = {}, []
    for index in together:
        charge = outer[index]
        if charge is None:
            charge = zeros(writer, batch, np.int32, network.n_steps, network.layers[index].n_neurons)
        arriving[index] = body.new_input(np.int32, ("batch", network.layers[index].n_neurons))
        scanned.append(writer.add("Transpose", charge, perm=TIME_AND_BATCH))

    fired, records, rest = {}, [], {}
    for index in together:
        layer = network.layers[index]
        now = arriving[index]
        if slots[index]:
            first, rest[index] = split_pending(body, pending[index], slots[index])
            now = body.add("Add", now, first)
        u[index], v[index], spikes = neuron_step(body, layer, u[index], v[index], now)
        fired[index] = body.cast(spikes, np.uint8)
        records += [
            (fired[index], np.uint8, layer.n_neurons),
            (body.cast(u[index], np.int32), np.int32, layer.n_neurons),
            (body.cast(v[index], np.int32), np.int32, layer.n_neurons),
        ]
    for index in together:
        for state in (u[index], v[index]):
            body.new_output(state, np.int64, ("batch", network.layers[index].n_neurons))
    for index in together:
        if slots[index]:
            brought = [
                charge_of_step(body, fired[weights.source - 1], weights, 1, slots[index]) for weights in inner[index]
            ]
            later = next_pending(body, rest[index], brought)
            assert later is not None, "what has slots has synapses"
            body.new_output(later, np.int32, ("batch", slots[index], network.layers[index].n_neurons))
    for value, dtype, n_neurons in records:
        body.new_output(value, dtype, ("batch", n_neurons))
    outputs = writer.add_many(
        "Scan", *start, *scanned, n_outputs=len(start) + len(records), body=body.graph(),
        num_scan_inputs=len(scanned),
    )[len(start) :]  # fmt: skip
    outputs = [writer.add("Transpose", output, perm=TIME_AND_BATCH) for output in outputs]
    return {index: tuple(outputs[3 * place : 3 * place + 3]) for place, index in enumerate(together)}  # type: ignore[misc]


def _scores(writer: GraphWriter, network: IntegerNetwork, v: str) -> None:
    """The readout's window, as scores and class."""
    window = network.readout
    first, last = writer.integers(window.start), writer.integers(window.stop)
    evidence = class_evidence(writer, network, writer.add("Slice", v, first, last, writer.integers(1)))
    scores = writer.add("ReduceSum", evidence, writer.integers(1), keepdims=0)
    writer.output(scores, "scores", np.float64, ("batch", network.n_classes))
    writer.output(class_of(writer, scores), "class", np.int64, ("batch",))
