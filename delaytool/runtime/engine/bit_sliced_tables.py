"""The tables of the batched engine (`bit_sliced.py`): synapses as signed digits, and the words they read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from delaytool.contract.bounds import DECAY_UNITY, STATE_SHIFT
from delaytool.contract.layer import IntegerLayer
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import BackendError
from delaytool.runtime.counters import fan_out
from delaytool.runtime.engine.lanes import N_LANES, WORD_BITS, WORD_BYTES

CACHE_LINE = 64
FILLED_FROM = 16


class Tables(NamedTuple):
    """An IntegerNetwork as sums of spike words, for G samples per word. Neurons are numbered through all layers.

    order          (L,) int64: layers in the order in which they run within a block
    neuron_start   (L + 1,) int64
    keep_u, keep_v, threshold   (L,) int64: what is left of u and v of 4096; threshold << 6
    sum_bits       (L,) int64: width of the layer's sums in two's complement
    bias           (N,) int64
    constant       (N,) int64: what the complements lack, modulo 2^sum_bits
    digits         uint16, or int32 where that is too narrow: words, as numbers of 2^shift bytes from the layer's base
    base           (L,) int64: byte offset of the first row that the layer reads
    shift          see `digits`
    first_digit    (N * 2 * powers + 1,) int32: range of `digits` for each neuron, power and sign; of even length
    powers         the largest of sum_bits
    fan_out        (sending neuron, L) int64, inputs first
    n_channels, n_planes   input rows are plane after plane
    row_of         (N,) int64: the neuron's row; one that no synapse reads shares the last row with others
    samples, n_steps, lead, stride, n_rows   the layout of rows: G, steps that run, bytes before the block that runs,
                   bytes from row to row, number of rows
    input_row      first row of the input; before it, and before each layer's rows, lies one that is always silent
    heap           most carries that can wait at one power
    reach          (L + 1, L) int64: longest delay from a population, 0 the input, to a layer; -1 without synapses
    """

    order: np.ndarray
    neuron_start: np.ndarray
    keep_u: np.ndarray
    keep_v: np.ndarray
    threshold: np.ndarray
    sum_bits: np.ndarray
    bias: np.ndarray
    constant: np.ndarray
    digits: np.ndarray
    base: np.ndarray
    shift: int
    first_digit: np.ndarray
    powers: int
    fan_out: np.ndarray
    n_channels: int
    n_planes: int
    row_of: np.ndarray
    samples: int
    n_steps: int
    lead: int
    stride: int
    n_rows: int
    input_row: int
    heap: int
    reach: np.ndarray


@dataclass(frozen=True)
class _Digits:
    """Nonzero signed binary digits of a layer's synapses: neuron, power, sign (0: +1, 1: -1) and word."""

    target: np.ndarray
    power: np.ndarray
    sign: np.ndarray
    offset: np.ndarray


def signed_digits(values: np.ndarray) -> list[np.ndarray]:
    """The non-adjacent form: for each power of two from 0 the digit, -1, 0 or 1, of every value."""
    rest = values.astype(np.int64)
    digits = []
    while rest.any():
        digit = np.where(rest & 1, 2 - (rest & 3), 0)
        digits.append(digit)
        rest = (rest - digit) >> 1
    return digits


def sum_bits(network: IntegerNetwork, layer: IntegerLayer) -> int:
    """Width in which two's complement holds every sum that one step can bring to a neuron of the layer."""
    low, high = network.input_bounds(layer)
    return 1 + max(int(high.max()).bit_length(), int(-low.min() - 1).bit_length() if low.min() < 0 else 0)


def run_order(network: IntegerNetwork) -> tuple[list[int], int | None]:
    """Layers, senders first, and the most steps that a block may have: None without feedback.

    Layers that feed back on each other stay in the network's order; a spike takes 1 + delay steps, so a block no longer
    than the shortest synapse among them never needs what it has not computed.
    """
    n_layers = len(network.layers)
    reaches = np.zeros((n_layers, n_layers), bool)
    for index, layer in enumerate(network.layers):
        for group in layer.synapses:
            if group.source > 0 and group.n_synapses:
                reaches[group.source - 1, index] = True
    for middle in range(n_layers):
        reaches |= reaches[:, middle : middle + 1] & reaches[middle : middle + 1]
    # A layer that reaches another which does not reach back has fewer layers before it.
    order = sorted(range(n_layers), key=lambda index: (int((reaches[:, index] & ~reaches[index]).sum()), index))
    shortest = [
        1 + int(group.listed()[3].min())
        for index, layer in enumerate(network.layers)
        for group in layer.synapses
        if group.source > 0 and group.n_synapses and reaches[index, group.source - 1]
    ]
    return order, min(shortest, default=None)


def samples_per_word(network: IntegerNetwork, n_samples: int) -> int:
    """A power of two, 32 to 1024: what leaves fewest lanes unused, and the fewest samples at a tie, for short rows."""
    _, longest = run_order(network)
    fewest = N_LANES
    while longest is not None and WORD_BITS // fewest > longest:
        fewest *= 2

    def lanes_used(samples: int) -> int:
        return -(-n_samples // samples) * -(-network.n_steps // (WORD_BITS // samples))

    choices = [samples for samples in (32, 64, 128, 256, 512, 1024) if samples >= fewest]
    return min(choices, key=lanes_used)


def row_layout(network: IntegerNetwork, samples: int) -> tuple[int, int]:
    """Bytes of a row before the block that runs, and bytes from row to row."""
    lead = min(network.max_delay + 1, network.n_steps) * (samples // 8)
    # Rows move on by whole words. An odd number of cache lines spreads the same step of all rows over the cache's sets.
    n_words = 1 + -(-lead // WORD_BYTES)
    return lead, (n_words * (WORD_BYTES // CACHE_LINE) | 1) * CACHE_LINE


def rows_bytes(network: IntegerNetwork, samples: int, n_planes: int) -> int:
    """Memory for the spikes of one word's samples."""
    populations = [n_planes * network.encoding.n_channels, *(layer.n_neurons for layer in network.layers)]
    return sum(1 + rows for rows in populations) * row_layout(network, samples)[1]


def build(network: IntegerNetwork, samples: int, n_planes: int) -> Tables:
    """Turn a network's synapses into digits, for `samples` samples per word and input values below 2^n_planes."""
    layers = network.layers
    step_bytes = samples // 8
    lead, stride = row_layout(network, samples)
    starts = np.concatenate([[0], np.cumsum([layer.n_neurons for layer in layers])]).astype(np.int64)
    n_neurons = int(starts[-1])
    silent_row, n_rows = _rows_of_populations(network, n_planes)
    row_of = np.full(n_neurons, n_rows, np.int64)
    for index, layer in enumerate(layers):
        if index + 1 in silent_row:
            row_of[starts[index] : starts[index + 1]] = silent_row[index + 1] + 1 + np.arange(layer.n_neurons)

    shift = min(step_bytes, CACHE_LINE).bit_length() - 1  # every offset is a multiple of that
    widths = np.array([sum_bits(network, layer) for layer in layers], np.int64)
    powers = int(widths.max())
    base = np.zeros(len(layers), np.int64)
    parts = []
    for index, layer in enumerate(layers):
        groups = [group for group in layer.synapses if group.n_synapses]
        base[index] = min((silent_row[group.source] for group in groups), default=0) * stride
        for group in groups:
            target, pre, weight, delay = group.listed()
            lands = delay <= network.n_steps - 2
            target, pre, delay = target[lands] + starts[index], pre[lands].astype(np.int64), delay[lands]
            charge = weight[lands].astype(np.int64) << group.exponent
            back = lead - (1 + delay.astype(np.int64)) * step_bytes - base[index]
            for power, digit in enumerate(signed_digits(charge)):
                (there,) = np.nonzero(digit)
                for plane in range(n_planes if group.source == 0 else 1):
                    if power + plane < widths[index]:
                        first_row = silent_row[group.source] + 1 + plane * network.encoding.n_channels
                        offset = (first_row + pre[there]) * stride + back[there]
                        at = np.full(there.size, power + plane)
                        parts.append(_Digits(target[there], at, digit[there] < 0, offset >> shift))
    digits, first_digit, constant = _by_neuron(parts, n_neurons, powers, lead >> shift)
    for index in range(len(layers)):
        constant[starts[index] : starts[index + 1]] &= (1 << int(widths[index])) - 1
    reach = np.full((len(layers) + 1, len(layers)), -1, np.int64)
    for index, layer in enumerate(layers):
        for group in layer.synapses:
            longest = int(group.listed()[3].max(initial=-1))
            reach[group.source, index] = max(reach[group.source, index], longest)
    return Tables(
        order=np.array(run_order(network)[0], np.int64),
        neuron_start=starts,
        keep_u=np.array([DECAY_UNITY - 1 - layer.du for layer in layers], np.int64),
        keep_v=np.array([DECAY_UNITY - layer.dv for layer in layers], np.int64),
        threshold=np.array([layer.threshold << STATE_SHIFT for layer in layers], np.int64),
        sum_bits=widths,
        bias=np.concatenate([layer.bias for layer in layers]),
        constant=constant,
        digits=digits,
        base=base,
        shift=shift,
        first_digit=first_digit,
        powers=powers,
        fan_out=np.concatenate(fan_out(network)),
        n_channels=network.encoding.n_channels,
        n_planes=n_planes,
        row_of=row_of,
        samples=samples,
        n_steps=network.n_steps,
        lead=lead,
        stride=stride,
        n_rows=n_rows + 1,
        input_row=silent_row[0] + 1,
        heap=int(np.diff(first_digit[:: 2 * powers]).max(initial=0)) // 2 + 16,
        reach=reach,
    )


def _rows_of_populations(network: IntegerNetwork, n_planes: int) -> tuple[dict[int, int], int]:
    """The silent row before the rows of each population that sends (0: the input, always), and the number of rows."""
    senders = {group.source for layer in network.layers for group in layer.synapses if group.n_synapses}
    silent_row, n_rows = {}, 0
    for population in sorted({0} | senders):
        silent_row[population] = n_rows
        n_rows += 1 + (n_planes if population == 0 else 1) * network.n_neurons_of(population)
    return silent_row, n_rows


def _by_neuron(
    parts: list[_Digits], n_neurons: int, powers: int, silent: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Word numbers sorted by neuron, power and sign, each range filled up to an even length with a silent word.

    Also the ranges' beginnings, and for each neuron the constant that its complemented words (fillers too) lack: the
    complement of x at power b adds 2^b - 1 - x in each lane's place value, modulo the width, hence minus 2^b per word.
    """
    counts = np.zeros(n_neurons * 2 * powers, np.int64)
    for part in parts:
        counts += np.bincount((part.target * powers + part.power) * 2 + part.sign, minlength=counts.size)
    # The adders take eight words at a time, then two; where eights are many, a remainder costs more (a branch that the
    # processor cannot foresee) than silent words that fill it up.
    unit = np.where(counts >= FILLED_FROM, 8, 2)
    counts += -counts % unit
    first = np.concatenate([[0], np.cumsum(counts)])
    if first[-1] > np.iinfo(np.int32).max:
        raise BackendError(
            f"engine: {first[-1]} digits of weights exceed what the batched method addresses; use 'event'"
        )
    largest = max((int(part.offset.max(initial=0)) for part in parts), default=0)
    digits = np.full(int(first[-1]), silent, np.uint16 if largest <= np.iinfo(np.uint16).max else np.int32)
    cursor = first[:-1].copy()
    for part in parts:
        _place((part.target * powers + part.power) * 2 + part.sign, part.offset, cursor, digits)
    negative = counts.reshape(n_neurons, powers, 2)[:, :, 1]
    return digits, first.astype(np.int32), -(negative << np.arange(powers)).sum(axis=1)


@njit(nogil=True, cache=True)
def _place(keys, values, cursor, out):
    for at in range(keys.size):
        key = keys[at]
        out[cursor[key]] = values[at]
        cursor[key] += 1
