"""The ONNX graph of one step, its state explicit: for streams, which have no end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from delaytool.contract.network import IntegerNetwork
from delaytool.formats.onnx.delayed_weights import delayed_weights
from delaytool.formats.onnx.graph_writer import DEFAULT_OPSET, GraphWriter
from delaytool.formats.onnx.metadata import metadata
from delaytool.formats.onnx.nodes import (
    charge_of_step,
    class_evidence,
    class_of,
    neuron_step,
    next_pending,
    split_pending,
)

if TYPE_CHECKING:
    import onnx

NEXT = "next_"


def step_model(network: IntegerNetwork, *, opset: int = DEFAULT_OPSET) -> onnx.ModelProto:
    """The network as a graph of one step: a frame and the state in, spikes, scores and the next state out.

        input    frame (batch, channel) uint8
        state    for each layer k u/k and v/k (batch, neuron) int32, and pending/k (batch, slot, neuron) int32: what
                 slot steps from now will arrive; step (1,) int64, and scores (batch, class) float64: what the
                 readout's window has added up so far. All zeros at first. Each comes out again as next_<name>, to be
                 the next step's state
        outputs  for each layer k spikes/k (batch, neuron) uint8; class (batch,) int64: the best score so far

    Fed with a sample's frames and then silence for the network's n_steps, it ends with the scores and class of
    `sequence_model`; it may go on after that. The metadata's `state` lists the state's names and shapes.
    """
    writer = GraphWriter("delaytool", opset)
    frame = writer.input("frame", np.uint8, ("batch", network.encoding.n_channels))
    step = writer.input("step", np.int64, (1,))
    scores = writer.input("scores", np.float64, ("batch", network.n_classes))
    shapes = state_shapes(network)
    state = {
        name: writer.input(name, np.int32, ("batch", *shape)) for name, shape in shapes.items() if name != "scores"
    }
    sent = {0: frame}
    after: dict[str, str] = {}
    rest: dict[int, str | None] = {}
    evidence = ""
    for index, layer in enumerate(network.layers):
        u, v = (writer.cast(state[f"{name}/{index}"], np.int64) for name in ("u", "v"))
        pending = f"pending/{index}"
        now, rest[index] = split_pending(writer, state[pending], shapes[pending][0])
        u, v, spikes = neuron_step(writer, layer, u, v, now)
        sent[index + 1] = writer.cast(spikes, np.uint8)
        after[f"u/{index}"], after[f"v/{index}"] = writer.cast(u, np.int32), writer.cast(v, np.int32)
        evidence = class_evidence(writer, network, v)
    for index, layer in enumerate(network.layers):
        pending = f"pending/{index}"
        brought = [
            charge_of_step(writer, sent[source], weights, network.max_payload_of(source), shapes[pending][0])
            for source in sorted({group.source for group in layer.synapses})
            for weights in (delayed_weights(network, index, source),)
            if weights is not None
        ]
        later = next_pending(writer, rest[index], brought)
        nothing = writer.constant(np.int32(0))
        after[pending] = writer.add("Mul", state[pending], nothing) if later is None else later
    for index, layer in enumerate(network.layers):
        writer.output(sent[index + 1], f"spikes/{index}", np.uint8, ("batch", layer.n_neurons))
    for name, value in after.items():
        writer.output(value, NEXT + name, np.int32, ("batch", *shapes[name]))
    started = writer.add("GreaterOrEqual", step, writer.integers(network.readout.start))
    ended = writer.add("GreaterOrEqual", step, writer.integers(network.readout.stop))
    counts = writer.cast(writer.add("And", started, writer.add("Not", ended)), np.float64)
    total = writer.add("Add", scores, writer.add("Mul", evidence, counts))
    writer.output(writer.add("Add", step, writer.integers(1)), NEXT + "step", np.int64, (1,))
    writer.output(total, NEXT + "scores", np.float64, ("batch", network.n_classes))
    writer.output(class_of(writer, total), "class", np.int64, ("batch",))
    return writer.model(
        metadata(network, graph="step", state={name: ["batch", *shape] for name, shape in shapes.items()})
    )


def state_shapes(network: IntegerNetwork) -> dict[str, tuple[int, ...]]:
    """Shapes of the state besides `step`, without the batch's dimension."""
    shapes: dict[str, tuple[int, ...]] = {}
    for index, layer in enumerate(network.layers):
        shapes[f"u/{index}"] = shapes[f"v/{index}"] = (layer.n_neurons,)
        longest = max((int(group.listed()[3].max(initial=0)) for group in layer.synapses), default=0)
        shapes[f"pending/{index}"] = (longest + 1, layer.n_neurons)
    return {**shapes, "scores": (network.n_classes,)}
