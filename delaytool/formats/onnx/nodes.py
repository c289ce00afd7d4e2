"""The contract's arithmetic in ONNX operators: charge from sent values, one step of neurons, scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from delaytool.contract.bounds import DECAY_UNITY, STATE_LIMIT, STATE_SHIFT
from delaytool.contract.layer import IntegerLayer
from delaytool.contract.network import IntegerNetwork
from delaytool.formats.onnx.delayed_weights import PAYLOAD_BITS, DelayedWeights
from delaytool.formats.onnx.graph_writer import GraphWriter

ZERO_POINT = 128


def payload_pieces(writer: GraphWriter, sent: str, max_payload: int) -> list[tuple[str, int]]:
    """A uint8 value as (uint8 value of at most 7 bits, factor), for the sake of processors without VNNI."""
    if max_payload < 1 << PAYLOAD_BITS:
        return [(sent, 1)]
    unit = 1 << PAYLOAD_BITS
    wide = writer.cast(sent, np.int32)
    high = writer.add("Div", wide, writer.constant(np.int32(unit)))
    low = writer.add("Sub", wide, writer.add("Mul", high, writer.constant(np.int32(unit))))
    return [(writer.cast(low, np.uint8), 1), (writer.cast(high, np.uint8), unit)]


def scaled(writer: GraphWriter, value: str, factor: int) -> str:
    """An int32 value times a whole number."""
    return value if factor == 1 else writer.add("Mul", value, writer.constant(np.int32(factor)))


def charge_of_sequence(
    writer: GraphWriter, sent: str, weights: DelayedWeights, max_payload: int, n_steps: int, *, convolution: bool
) -> str:
    """What arrives in every step: sent (batch, step, n_in) uint8 to (batch, step, n_out) int32.

    A value sent at t with delay d arrives at t + 1 + d, so step t takes row t of the input shifted by 1 + d. All
    shifted rows side by side are multiplied by all matrices below each other; or, with `convolution`, delays are
    positions of a ConvInteger's kernel.
    """
    longest = int(weights.delays[-1])
    if convolution:
        return _convolved(writer, sent, weights, max_payload, n_steps, longest)
    padded = writer.add("Pad", sent, writer.integers(0, longest + 1, 0, 0, 0, 0))
    # (step, delay): the row of `padded` that step t reads for delay d
    steps, shifts = np.arange(n_steps)[:, None], (longest - weights.delays)[None, :]
    rows = writer.add("Add", writer.constant(steps), writer.constant(shifts))
    width = len(weights.delays) * weights.n_in
    parts = []
    for piece, payload_factor in payload_pieces(writer, padded, max_payload):
        shifted = writer.add("Gather", piece, rows, axis=1)  # (batch, step, delay, n_in)
        side_by_side = writer.add("Reshape", shifted, writer.integers(0, n_steps, width))
        for weight, factor in weights.pieces:
            matrix = writer.constant(weight.reshape(width, weights.n_out))
            product = writer.add("MatMulInteger", side_by_side, matrix)  # (batch, step, n_out) int32
            parts.append(scaled(writer, product, factor * payload_factor))
    return writer.sum(parts)


def _convolved(
    writer: GraphWriter, sent: str, weights: DelayedWeights, max_payload: int, n_steps: int, longest: int
) -> str:
    channels_first = writer.add("Transpose", sent, perm=[0, 2, 1])
    parts = []
    for piece, payload_factor in payload_pieces(writer, channels_first, max_payload):
        for weight, factor in weights.pieces:
            # uint8 with a zero point: onnxruntime's ConvInteger took no int8 weights for long.
            kernel = np.full((weights.n_out, weights.n_in, longest + 1), ZERO_POINT, np.uint8)
            kernel[:, :, longest - weights.delays] = (weight.transpose(2, 1, 0).astype(np.int16) + ZERO_POINT).astype(
                np.uint8
            )
            product = writer.add(
                "ConvInteger", piece, writer.constant(kernel), writer.constant(np.uint8(0)),
                writer.constant(np.uint8(ZERO_POINT)), pads=[longest + 1, 0],
            )  # fmt: skip
            parts.append(scaled(writer, product, factor * payload_factor))
    # One step more than there are: what the last step sent.
    summed = writer.add("Slice", writer.sum(parts), writer.integers(0), writer.integers(n_steps), writer.integers(2))
    return writer.add("Transpose", summed, perm=[0, 2, 1])


def charge_of_step(writer: GraphWriter, sent: str, weights: DelayedWeights, max_payload: int, n_slots: int) -> str:
    """What one step's values bring to each later step: sent (batch, n_in) uint8 to (batch, n_slots, n_out) int32.

    Slot d is the step 1 + d from now.
    """
    n_delays = len(weights.delays)
    parts = []
    for piece, payload_factor in payload_pieces(writer, sent, max_payload):
        for weight, factor in weights.pieces:
            matrix = weight.transpose(1, 0, 2).reshape(weights.n_in, n_delays * weights.n_out)
            product = writer.add("MatMulInteger", piece, writer.constant(matrix))
            parts.append(scaled(writer, product, factor * payload_factor))
    by_delay = writer.add("Reshape", writer.sum(parts), writer.integers(0, n_delays, weights.n_out))
    if n_delays == n_slots:  # every delay from 0 on occurs
        return by_delay
    # A row of zeros behind the delays that occur stands for those that do not.
    padded = writer.add("Pad", by_delay, writer.integers(0, 0, 0, 0, 1, 0))
    row = np.full(n_slots, n_delays, np.int64)
    row[weights.delays] = np.arange(n_delays)
    return writer.add("Gather", padded, writer.constant(row), axis=1)


def decayed(writer: GraphWriter, state: str, decay: int) -> str | None:
    """trunc0(state * (4096 - decay) / 4096), int64; ONNX divides integers toward zero. None where nothing remains."""
    kept = DECAY_UNITY - decay
    if kept == 0:
        return None
    if kept == DECAY_UNITY:
        return state
    product = writer.add("Mul", state, writer.constant(np.int64(kept)))
    return writer.add("Div", product, writer.constant(np.int64(DECAY_UNITY)))


def neuron_step(writer: GraphWriter, layer: IntegerLayer, u: str, v: str, arriving: str) -> tuple[str, str, str]:
    """(u, v, spikes) from the last u, v (batch, neuron) int64 and the sum that arrives now, int32; spikes are bool."""
    number = lambda value: writer.constant(np.int64(value))  # noqa: E731
    charge = writer.add("Mul", writer.cast(arriving, np.int64), number(1 << STATE_SHIFT))
    remaining = decayed(writer, u, layer.du + 1)
    u = charge if remaining is None else writer.add("Add", remaining, charge)
    # One wrap into (-2^23, 2^23]; a sum further out than one turn stays out.
    turn = number(2 * STATE_LIMIT)
    u = writer.add("Where", writer.add("Greater", u, number(STATE_LIMIT)), writer.add("Sub", u, turn), u)
    u = writer.add("Where", writer.add("LessOrEqual", u, number(-STATE_LIMIT)), writer.add("Add", u, turn), u)
    terms = [u]
    remaining = decayed(writer, v, layer.dv)
    if remaining is not None:
        terms.insert(0, remaining)
    if layer.bias.any():
        terms.append(writer.constant(layer.bias))
    v = writer.add("Clip", writer.sum(terms), number(-STATE_LIMIT + 1), number(STATE_LIMIT - 1))
    spikes = writer.add("Greater", v, number(layer.threshold << STATE_SHIFT))
    return u, writer.add("Where", spikes, number(0), v), spikes


def class_evidence(writer: GraphWriter, network: IntegerNetwork, v: str) -> str:
    """What each step of the readout's membrane, int64 with the classes last, adds to the scores, float64."""
    membrane = writer.cast(v, np.float64)
    if network.readout.method == "sum":
        return membrane
    scaled_down = writer.add("Div", membrane, writer.constant(np.float64(network.readout.scale)))
    return writer.add("Softmax", scaled_down, axis=-1)


def class_of(writer: GraphWriter, scores: str) -> str:
    """(batch, class) scores to (batch,) int64; the lowest class on a tie."""
    return writer.add("ArgMax", scores, axis=-1, keepdims=0)


def split_pending(writer: GraphWriter, pending: str, n_slots: int) -> tuple[str, str | None]:
    """(what arrives now (batch, neuron), the later slots (batch, n_slots - 1, neuron)) of (batch, slot, neuron).

    One Split, not a Gather and a Slice: onnxruntime 1.18 fuses those two into something else, with wrong numbers.
    """
    if n_slots == 1:
        return writer.add("Squeeze", pending, writer.integers(1)), None
    first, rest = writer.add_many("Split", pending, writer.integers(1, n_slots - 1), n_outputs=2, axis=1)
    return writer.add("Squeeze", first, writer.integers(1)), rest


def next_pending(writer: GraphWriter, rest: str | None, brought: Sequence[str]) -> str | None:
    """Pending input of the next step: the later slots one nearer, and what was sent now; None: there is none.

    rest      of `split_pending`
    brought   (batch, slot, neuron), by each population that has synapses into the layer
    """
    nearer = [] if rest is None else [writer.add("Pad", rest, writer.integers(0, 0, 0, 0, 1, 0))]
    return writer.sum([*nearer, *brought]) if nearer or brought else None


def zeros(writer: GraphWriter, batch: str, dtype: type, *shape: int) -> str:
    """Zeros of shape (batch, *shape); `batch` is its size as a vector of one int64."""
    size = writer.add("Concat", batch, writer.integers(*shape), axis=0)
    return writer.add("Expand", writer.constant(np.zeros((), dtype)), size)
