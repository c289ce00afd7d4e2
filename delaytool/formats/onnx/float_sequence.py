"""The ONNX graph of a float network with whole delays: close to PyTorch's numbers, not equal to their last bit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.formats.onnx.graph_writer import GraphWriter
from delaytool.formats.onnx.metadata import PREFIX
from delaytool.formats.onnx.nodes import class_of, next_pending, split_pending, zeros

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class FloatSynapses:
    """weight, delay (n_out, n_in, taps): weights, and the whole steps that each tap waits."""

    weight: np.ndarray
    delay: np.ndarray

    @property
    def longest(self) -> int:
        return int(self.delay.max(initial=0))

    def kernel(self) -> np.ndarray:
        """(n_out, n_in, longest + 1) float32: what a spike adds so many steps later."""
        n_out, n_in, _ = self.weight.shape
        kernel = np.zeros((n_out, n_in, self.longest + 1), np.float32)
        target, pre = np.indices((n_out, n_in))
        for tap in range(self.weight.shape[2]):
            np.add.at(kernel, (target, pre, self.delay[..., tap].astype(np.int64)), self.weight[..., tap])
        return kernel


@dataclass(frozen=True)
class FloatStage:
    """A layer of a float network, batch norm folded.

    synapses     from the layer before
    bias         (n_out,)
    tau, current_tau   time constants of membrane and current in steps; current_tau 1: no current filter
    threshold    a spike where the membrane reaches it; None for the readout, which never fires
    recurrent    from the layer to itself; a spike takes one step besides its delay
    n_steps      steps that it runs
    late         steps that its input takes besides the delays: 1 in chip time, else 0
    """

    name: str
    synapses: FloatSynapses
    bias: np.ndarray
    tau: float
    threshold: float | None
    n_steps: int
    current_tau: float = 1.0
    recurrent: FloatSynapses | None = None
    late: int = 0

    @property
    def n_neurons(self) -> int:
        return int(self.synapses.weight.shape[0])


def float_model(
    encoding: InputEncoding,
    stages: Sequence[FloatStage],
    classes: Sequence[str] | None = None,
    *,
    trace: bool = False,
) -> onnx.ModelProto:
    """The float network as one graph over all its steps; the last stage is the readout.

        input    frames (batch, time, channel) uint8, followed by silence or cut to the encoding's n_steps
        outputs  scores (batch, class) float32: the sum over time of the softmax of the readout's membrane;
                 class (batch,); with `trace` spikes/k (batch, step, neuron) uint8 of each hidden layer, and v/k float32
                 of each layer: the membrane before its reset

    Per stage v <- v (1 - 1/tau) + I + bias, with I <- I (1 - 1/current_tau) + input; a spike where v >= threshold,
    then v is 0.
    Raises ExportError where the weights do not fit one file, MissingExtraError without onnx.
    """
    writer = GraphWriter("delaytool float")
    frames = writer.input("frames", np.uint8, ("batch", "time", encoding.n_channels))
    given_steps = encoding.n_steps or 1
    padded = writer.add("Pad", frames, writer.integers(0, 0, 0, 0, given_steps, 0))
    kept = writer.add("Slice", padded, writer.integers(0), writer.integers(given_steps), writer.integers(1))
    batch = writer.add("Slice", writer.add("Shape", frames), writer.integers(0), writer.integers(1))
    x, n_given = writer.cast(kept, np.float32), given_steps
    for index, stage in enumerate(stages):
        current = _current(writer, stage, x, n_given)
        spikes, v = _run(writer, stage, current, batch)
        if trace:
            shape = ("batch", stage.n_steps, stage.n_neurons)
            writer.output(v, f"v/{index}", np.float32, shape)
            if stage.threshold is not None:
                writer.output(writer.cast(spikes, np.uint8), f"spikes/{index}", np.uint8, shape)
        x, n_given = spikes, stage.n_steps
    scores = writer.add("ReduceSum", writer.add("Softmax", v, axis=-1), writer.integers(1), keepdims=0)
    n_classes = stages[-1].n_neurons
    writer.output(scores, "scores", np.float32, ("batch", n_classes))
    writer.output(class_of(writer, scores), "class", np.int64, ("batch",))
    about = {
        "encoding": encoding.as_dict(),
        "classes": list(classes or map(str, range(n_classes))),
        "layers": [stage.name for stage in stages],
        "graph": "float sequence",
    }
    return writer.model({PREFIX + name: json.dumps(value) for name, value in about.items()})


def _current(writer: GraphWriter, stage: FloatStage, x: str, n_given: int) -> str:
    """The synapses' sum at every step: x (batch, n_given, n_in) float32 to (step, batch, n_out)."""
    late, longest = stage.late, stage.synapses.longest
    n_read = max(1, min(n_given, stage.n_steps - late))
    read = writer.add("Slice", x, writer.integers(0), writer.integers(n_read), writer.integers(1))
    kernel = np.ascontiguousarray(stage.synapses.kernel()[..., ::-1])  # ONNX's Conv is a correlation
    channels_first = writer.add("Transpose", read, perm=[0, 2, 1])
    pads = [longest + late, max(0, stage.n_steps - n_read - late)]
    summed = writer.add("Conv", channels_first, writer.constant(kernel), pads=pads)
    return writer.add("Transpose", summed, perm=[2, 0, 1])


def _run(writer: GraphWriter, stage: FloatStage, current: str, batch: str) -> tuple[str, str]:
    """Neurons over time: (spikes, membrane before its reset), (batch, step, neuron) float32."""
    body = writer.body("step")
    n_neurons = stage.n_neurons
    shape = ("batch", n_neurons)
    number = lambda value: writer.constant(np.float32(value))  # noqa: E731
    leak, current_leak = (np.float32(1.0 - 1.0 / tau) for tau in (stage.tau, stage.current_tau))
    start: list[str] = []
    after: list[tuple[str, tuple[int, ...]]] = []

    def state(*dimensions: int) -> str:
        start.append(zeros(writer, batch, np.float32, *dimensions))
        return body.new_input(np.float32, ("batch", *dimensions))

    def leaky(value: str, kept: np.float32, arriving: str) -> str:
        return arriving if kept == 0 else body.add("Add", body.add("Mul", value, number(kept)), arriving)

    v, filtered = state(n_neurons), state(n_neurons)
    within = stage.recurrent
    if within is not None:
        own, pending = state(n_neurons), state(within.longest + 1, n_neurons)
    arriving = body.new_input(np.float32, shape)

    filtered = leaky(filtered, current_leak, arriving)
    total = body.add("Add", filtered, writer.constant(stage.bias.astype(np.float32)))
    if within is not None:
        first, rest = split_pending(body, pending, within.longest + 1)
        own = leaky(own, current_leak, first)
        total = body.add("Add", total, own)
    v = leaky(v, leak, total)
    if stage.threshold is None:
        fired, spikes = v, body.add("Mul", v, number(0))
    else:
        reached = body.add("GreaterOrEqual", v, number(stage.threshold))
        fired, spikes = body.add("Where", reached, number(0), v), body.cast(reached, np.float32)
    after += [(fired, (n_neurons,)), (filtered, (n_neurons,))]
    if within is not None:
        later = next_pending(body, rest, [_brought(body, within, spikes)])
        assert later is not None, "the layer is recurrent"
        after += [(own, (n_neurons,)), (later, (within.longest + 1, n_neurons))]
    for value, dimensions in after:
        body.new_output(value, np.float32, ("batch", *dimensions))
    for value in (spikes, v):
        body.new_output(value, np.float32, shape)
    outputs = writer.add_many("Scan", *start, current, n_outputs=len(start) + 2, body=body.graph(), num_scan_inputs=1)
    first, second = (writer.add("Transpose", output, perm=[1, 0, 2]) for output in outputs[-2:])
    return first, second


def _brought(body: GraphWriter, within: FloatSynapses, spikes: str) -> str:
    """What the spikes of a step bring, (batch, slot, n_out): K[j] acts j + 1 steps after a spike."""
    kernel = within.kernel()
    n_out, n_in, n_slots = kernel.shape
    matrix = np.ascontiguousarray(kernel.transpose(1, 2, 0).reshape(n_in, n_slots * n_out))
    product = body.add("MatMul", spikes, body.constant(matrix))
    return body.add("Reshape", product, body.integers(0, n_slots, n_out))
