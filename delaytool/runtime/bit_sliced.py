"""The batched engine: 1024 lanes of one-bit spikes in a word, summed by full adders.

A population's spikes lie in memory as one row of bits a neuron, step after step, and in each step one bit for each of
G samples. So the spikes that a synapse with delay d delivers in a block of 1024 / G steps are one 1024-bit word, which
begins 1 + d steps earlier in the row of its sender: the delay is an address.

The input of a neuron is then a sum of words, each with a power of two from the synapse's weight (in signed digits:
+1, 0 and -1 at each power, which are few). Full adders reduce three words at one power to one there and a carry at
the next, 1024 lanes at a time, until one word a power is left: the sum in two's complement, modulo the power that
holds every sum that can occur. A digit of -1 adds the complement of its word, and the missing constant is in the word
that the adders begin with. Graded input is one row for each binary digit of the value.

The sums are spread to integers once for each neuron and block, and the neurons' own arithmetic runs in 32 lanes.

A block may be longer than one step because populations run in the order in which spikes pass through them. Where
they feed back, a block is at most as long as the shortest way round: one step if there is a delay of 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from delaytool.network import DECAY_UNITY, STATE_SHIFT, IntegerLayer, IntegerNetwork
from delaytool.runtime import lanes
from delaytool.runtime.counters import fan_out
from delaytool.runtime.lanes import N_LANES, WORD_BITS, WORD_BYTES

CACHE_LINE = 64
FILLED_FROM = 16


class Tables(NamedTuple):
    """An IntegerNetwork as sums of spike words, for G samples a word. Neurons are numbered through all layers.

    order          (L,) int64: layers in the order in which they run within a block
    neuron_start   (L + 1,) int64
    keep_u, keep_v, threshold   (L,) int64: what is left of u and v of 4096; threshold << 6
    sum_bits       (L,) int64: width of the layer's sums in two's complement
    bias           (N,) int64
    constant       (N,) int64: what the complements lack, modulo 2^sum_bits
    digits         int32: byte offsets of words, to which a block adds its own
    first_digit    (N * 2 * powers + 1,) int64: range of `digits` for each neuron, power and sign; of even length
    powers         the largest of sum_bits
    fan_out        (sending neuron, L) int64, inputs first
    n_channels, n_planes   input rows are plane after plane
    row_of         (N,) int64: the neuron's row; one that nobody reads shares the last row with others
    samples, n_steps, lead, stride, n_rows   the layout of rows: G, steps that run, bytes of silence before step 0,
                   bytes from row to row, number of rows; row 0 is silent
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
    heap: int
    reach: np.ndarray


@dataclass(frozen=True)
class _Digits:
    """Nonzero signed binary digits of a layer's synapses: neuron, power, sign (0: +1, 1: -1) and word offset."""

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
    """Bytes of silence before step 0 of a row, and bytes from row to row."""
    lead = min(network.max_delay + 1, network.n_steps) * (samples // 8)
    n_blocks = -(-network.n_steps // (WORD_BITS // samples))
    # An odd number of cache lines, so that the same step of all rows is spread over the cache's sets.
    n_lines = -(-lead // CACHE_LINE) + n_blocks * (WORD_BYTES // CACHE_LINE) | 1
    return lead, n_lines * CACHE_LINE


def rows_bytes(network: IntegerNetwork, samples: int, n_planes: int) -> int:
    """Memory for the spikes of one word's samples."""
    n_rows = 2 + n_planes * network.encoding.n_channels + sum(layer.n_neurons for layer in network.layers)
    return n_rows * row_layout(network, samples)[1]


def build(network: IntegerNetwork, samples: int, n_planes: int) -> Tables:
    """Turn a network's synapses into digits, for `samples` samples a word and input values below 2^n_planes."""
    layers = network.layers
    n_steps = network.n_steps
    step_bytes = samples // 8
    lead, stride = row_layout(network, samples)
    starts = np.concatenate([[0], np.cumsum([layer.n_neurons for layer in layers])]).astype(np.int64)
    n_neurons = int(starts[-1])
    senders = {group.source - 1 for layer in layers for group in layer.synapses if group.n_synapses}
    n_channels = network.encoding.n_channels
    n_rows = 1 + n_planes * n_channels
    row_of = np.zeros(n_neurons, np.int64)
    for index, layer in enumerate(layers):
        if index in senders:
            row_of[starts[index] : starts[index + 1]] = np.arange(n_rows, n_rows + layer.n_neurons)
            n_rows += layer.n_neurons
    for index in range(len(layers)):
        if index not in senders:
            row_of[starts[index] : starts[index + 1]] = n_rows

    widths = np.array([sum_bits(network, layer) for layer in layers], np.int64)
    powers = int(widths.max())
    parts = []
    for index, layer in enumerate(layers):
        for group in layer.synapses:
            target, pre, weight, delay = group.listed()
            lands = delay <= n_steps - 2
            target, pre, delay = target[lands] + starts[index], pre[lands].astype(np.int64), delay[lands]
            charge = weight[lands].astype(np.int64) << group.exponent
            first_row = (
                np.arange(n_planes) * n_channels + 1 if group.source == 0 else [row_of[starts[group.source - 1]]]
            )
            back = lead - (1 + delay.astype(np.int64)) * step_bytes
            for power, digit in enumerate(signed_digits(charge)):
                (there,) = np.nonzero(digit)
                for plane, row in enumerate(first_row):
                    if power + plane < widths[index]:
                        offset = (row + pre[there]) * stride + back[there]
                        at = np.full(there.size, power + plane)
                        parts.append(_Digits(target[there], at, digit[there] < 0, offset))
    digits, first_digit, constant = _by_neuron(parts, n_neurons, powers, lead)
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
        first_digit=first_digit,
        powers=powers,
        fan_out=np.concatenate(fan_out(network)),
        n_channels=n_channels,
        n_planes=n_planes,
        row_of=row_of,
        samples=samples,
        n_steps=n_steps,
        lead=lead,
        stride=stride,
        n_rows=n_rows + 1,
        heap=int(np.diff(first_digit[:: 2 * powers]).max(initial=0)) // 2 + 16,
        reach=reach,
    )


def _by_neuron(
    parts: list[_Digits], n_neurons: int, powers: int, silent: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Word offsets sorted by neuron, power and sign, each range filled up to an even length with a silent word.

    Also the ranges' beginnings, and for each neuron the constant that its complemented words (fillers too) lack: the
    complement of x at power b adds 2^b - 1 - x in each lane's place value, modulo the width, hence minus 2^b a word.
    """
    counts = np.zeros(n_neurons * 2 * powers, np.int64)
    for part in parts:
        counts += np.bincount((part.target * powers + part.power) * 2 + part.sign, minlength=counts.size)
    # The adders take eight words at a time, then two; where eights are many, a remainder costs more (a branch that the
    # processor cannot foresee) than silent words that fill it up.
    unit = np.where(counts >= FILLED_FROM, 8, 2)
    counts += -counts % unit
    first = np.concatenate([[0], np.cumsum(counts)])
    digits = np.full(int(first[-1]), silent, np.int32)
    cursor = first[:-1].copy()
    for part in parts:
        _place((part.target * powers + part.power) * 2 + part.sign, part.offset, cursor, digits)
    negative = counts.reshape(n_neurons, powers, 2)[:, :, 1]
    return digits, first, -(negative << np.arange(powers)).sum(axis=1)


@njit(nogil=True, cache=True)
def _place(keys, values, cursor, out):
    for at in range(keys.size):
        key = keys[at]
        out[cursor[key]] = values[at]
        cursor[key] += 1


@njit(nogil=True, cache=True, forceinline=True)
def _two(ones, a, b, inverted):
    """Add two words, or their complements, to the counter of ones: the sum and the carry."""
    if inverted:
        return lanes.sum_bit(ones, a, b), lanes.carry_bit_of_complements(ones, a, b)
    return lanes.sum_bit(ones, a, b), lanes.carry_bit(ones, a, b)


@njit(nogil=True, cache=True, forceinline=True)
def _eight(ones, twos, fours, inverted, a, b, c, d, e, f, g, h):
    """Add eight words to the counters of ones, twos and fours; the last carry is worth eight."""
    ones, first = _two(ones, a, b, inverted)
    ones, second = _two(ones, c, d, inverted)
    twos, low = _two(twos, first, second, False)
    ones, first = _two(ones, e, f, inverted)
    ones, second = _two(ones, g, h, inverted)
    twos, high = _two(twos, first, second, False)
    fours, carry = _two(fours, low, high, False)
    return ones, twos, fours, carry


@njit(nogil=True, cache=True, forceinline=True)
def _word(rows, block, digits, at):
    return lanes.word_load(rows, block + lanes.offset_at(digits, at))


@njit(nogil=True, cache=True, forceinline=True)
def _push(heap, waiting, size, power, word):
    """Leave a carry at a power, to be added when its turn comes."""
    lanes.word_store(word, heap, (power * size + waiting[power]) * WORD_BYTES)
    waiting[power] += 1


@njit(nogil=True, cache=True, forceinline=True)
def _add_digits(rows, block, digits, first, last, inverted, ones, twos, fours, heap, waiting, size, power):
    """Add the words of digits first..last, an even number, at one power."""
    at = first
    while at + 8 <= last:
        ones, twos, fours, carry = _eight(
            ones,
            twos,
            fours,
            inverted,
            _word(rows, block, digits, at),
            _word(rows, block, digits, at + 1),
            _word(rows, block, digits, at + 2),
            _word(rows, block, digits, at + 3),
            _word(rows, block, digits, at + 4),
            _word(rows, block, digits, at + 5),
            _word(rows, block, digits, at + 6),
            _word(rows, block, digits, at + 7),
        )
        _push(heap, waiting, size, power + 3, carry)
        at += 8
    while at < last:
        a = _word(rows, block, digits, at)
        b = _word(rows, block, digits, at + 1)
        ones, carry = _two(ones, a, b, inverted)
        _push(heap, waiting, size, power + 1, carry)
        at += 2
    return ones, twos, fours


@njit(nogil=True, cache=True, forceinline=True)
def _add_carries(ones, twos, fours, heap, waiting, size, power):
    """Add the carries that wait at one power."""
    count = waiting[power]
    base = power * size * WORD_BYTES
    at = 0
    while at + 8 <= count:
        here = base + at * WORD_BYTES
        ones, twos, fours, carry = _eight(
            ones,
            twos,
            fours,
            False,
            lanes.word_load(heap, here),
            lanes.word_load(heap, here + WORD_BYTES),
            lanes.word_load(heap, here + 2 * WORD_BYTES),
            lanes.word_load(heap, here + 3 * WORD_BYTES),
            lanes.word_load(heap, here + 4 * WORD_BYTES),
            lanes.word_load(heap, here + 5 * WORD_BYTES),
            lanes.word_load(heap, here + 6 * WORD_BYTES),
            lanes.word_load(heap, here + 7 * WORD_BYTES),
        )
        _push(heap, waiting, size, power + 3, carry)
        at += 8
    while at < count:
        a = lanes.word_load(heap, base + at * WORD_BYTES)
        b = lanes.word_fill(0)
        if at + 1 < count:
            b = lanes.word_load(heap, base + (at + 1) * WORD_BYTES)
        ones, carry = _two(ones, a, b, False)
        _push(heap, waiting, size, power + 1, carry)
        at += 2
    return ones, twos, fours


@njit(nogil=True, cache=True)
def _sum_words(rows, block, digits, first_digit, segment, constant, width, heap, size, waiting, planes):
    """One neuron's input over a block, as `width` words of two's complement in `planes`.

    segment   where the neuron's ranges of digits begin in `first_digit`
    size      room for carries at each power of the heap
    """
    for power in range(waiting.size):
        waiting[power] = 0
    for power in range(width):
        ones = lanes.word_fill(constant >> power & 1)
        twos = lanes.word_fill(0)
        fours = lanes.word_fill(0)
        first = first_digit[segment]
        middle = first_digit[segment + 1]
        last = first_digit[segment + 2]
        segment += 2
        ones, twos, fours = _add_digits(
            rows, block, digits, first, middle, False, ones, twos, fours, heap, waiting, size, power
        )
        ones, twos, fours = _add_digits(
            rows, block, digits, middle, last, True, ones, twos, fours, heap, waiting, size, power
        )
        several = middle - first >= 8 or last - middle >= 8 or waiting[power] >= 8
        ones, twos, fours = _add_carries(ones, twos, fours, heap, waiting, size, power)
        if several:
            _push(heap, waiting, size, power + 1, twos)
            _push(heap, waiting, size, power + 2, fours)
        lanes.word_store(ones, planes, power * WORD_BYTES)


@njit(nogil=True, cache=True)
def _spread(planes, width, sums):
    """The lanes' integers from their words of two's complement; the top word counts negative."""
    top = width - 1
    if width <= 16:
        for part in range(WORD_BITS // N_LANES):
            total = lanes.sums_zero()
            for power in range(top):
                total = lanes.sums_add_plane(total, planes, power * WORD_BYTES + part * (N_LANES // 8), 1 << power)
            total = lanes.sums_add_plane(total, planes, top * WORD_BYTES + part * (N_LANES // 8), -(1 << top))
            lanes.sums_store(total, sums, part * N_LANES)
    else:
        for part in range(WORD_BITS // N_LANES):
            total = lanes.lanes_zero()
            for power in range(top):
                total = lanes.lanes_add_plane(total, planes, power * WORD_BYTES + part * (N_LANES // 8), 1 << power)
            total = lanes.lanes_add_plane(total, planes, top * WORD_BYTES + part * (N_LANES // 8), -(1 << top))
            lanes.lanes_store(total, sums, part * N_LANES)


@njit(nogil=True, cache=True)
def _update(kept, threshold, bias, sums, first_sum, n_block, samples, u, v, counted, at, rows, row, traced):
    """Run one neuron over a block of `n_block` steps, for 32 of the `samples` samples of a word.

    Its state and spike counts are at `at`, its first sums at `first_sum`; its spikes go to byte `row` of the rows. If
    `traced`, u and v of each step take the place of its sums: u in the first half of `sums`, v in the second. Returns
    whether it fired.
    """
    keep_u, keep_v = kept
    current, membrane = lanes.lanes_load(u, at), lanes.lanes_load(v, at)
    count = lanes.lanes_load(counted, at)
    any_fired = np.uint32(0)
    for _ in range(n_block):
        arriving = lanes.lanes_times_64(lanes.lanes_load(sums, first_sum))
        if keep_u:
            arriving = lanes.lanes_add(lanes.lanes_decayed(current, keep_u), arriving)
        current = lanes.lanes_wrapped(arriving)
        if keep_v < 512:
            membrane = lanes.lanes_decayed_small(membrane, keep_v)
        else:
            membrane = lanes.lanes_decayed(membrane, keep_v)
        membrane = lanes.lanes_add_scalar(lanes.lanes_add(membrane, current), bias)
        membrane = lanes.lanes_clipped(membrane)
        fired = lanes.lanes_above(membrane, threshold)
        membrane = lanes.lanes_cleared(membrane, fired)
        count = lanes.lanes_counted(count, fired)
        lanes.store_bits(fired, rows, row)
        any_fired |= fired
        if traced:
            lanes.lanes_store(current, sums, first_sum)
            lanes.lanes_store(membrane, sums, first_sum + WORD_BITS)
        first_sum += samples
        row += samples // 8
    lanes.lanes_store(current, u, at)
    lanes.lanes_store(membrane, v, at)
    lanes.lanes_store(count, counted, at)
    return any_fired != 0


@njit(nogil=True, cache=True)
def _is_quiet(reach, active, layer, first_step, block_steps):
    """Whether nothing arrives at a layer in the block that begins at `first_step`, for any sample of the word."""
    block = first_step // block_steps
    for population in range(reach.shape[0]):
        if reach[population, layer] >= 0:
            earliest = max(0, first_step - 1 - reach[population, layer]) // block_steps
            for earlier in range(earliest, block + 1):
                if active[population, earlier]:
                    return False
    return True


@njit(nogil=True, cache=True)
def _keep_traces(recording, where, sums, rows):
    """Copy one neuron's block to the recording: u and v from `sums` (see `_update`), spikes from its row."""
    layer, first_sample, last_sample, n_steps, first_step, n_block, neuron, size, row, samples = where
    start_spikes, start_u, start_v = recording.start[0, layer], recording.start[1, layer], recording.start[2, layer]
    spikes, u, v = recording.spikes, recording.u, recording.v
    for lane in range(last_sample - first_sample):
        to = ((first_sample + lane) * n_steps + first_step) * size + neuron
        if start_spikes >= 0:
            for step in range(n_block):
                bit = rows[row + step * (samples // 8) + (lane >> 3)] >> (lane & 7) & 1
                spikes[start_spikes + to + step * size] = bit
        if start_u >= 0:
            for step in range(n_block):
                u[start_u + to + step * size] = sums[step * samples + lane]
        if start_v >= 0:
            for step in range(n_block):
                v[start_v + to + step * size] = sums[step * samples + lane + WORD_BITS]


@njit(nogil=True, cache=True)
def _digest(digests, layer, first_sample, last_sample, n_block, keys, key, size, sums, rows, row, samples):
    """Add one neuron's block to its layer's digests (`runtime.digest`); its traces are where `_update` left them."""
    for step in range(n_block):
        mine = keys[key + step * size]
        for sample in range(first_sample, last_sample):
            lane = sample - first_sample
            at = step * samples + lane
            bit = rows[row + step * (samples // 8) + (lane >> 3)] >> (lane & 7) & 1
            digests[sample, layer, 0] += mine * np.uint64(bit)
            digests[sample, layer, 1] += mine * np.uint64(np.int64(sums[at]))
            digests[sample, layer, 2] += mine * np.uint64(np.int64(sums[at + WORD_BITS]))


@njit(nogil=True, cache=True)
def _pack_input(tables, frames, first, last, rows, active, input_spikes, events):
    """Write the samples' frames as bits and count what they send."""
    step_bytes = tables.samples // 8
    block_steps = WORD_BITS // tables.samples
    n_channels = tables.n_channels
    counted = np.zeros(n_channels, np.int64)
    flat = frames.reshape(frames.size)
    for sample in range(first, last):
        counted[:] = 0
        lane = sample - first
        bit = np.uint8(1 << (lane & 7))
        for step in range(min(tables.n_steps, frames.shape[1])):
            at = tables.stride + tables.lead + step * step_bytes + (lane >> 3)
            here = (sample * frames.shape[1] + step) * n_channels
            channel = 0
            while channel < n_channels:
                if channel + 8 <= n_channels and lanes.eight_bytes(flat, here + channel) == 0:
                    channel += 8  # most of the input is silence
                    continue
                for sender in range(channel, min(channel + 8, n_channels)):
                    value = flat[here + sender]
                    if value:
                        counted[sender] += 1
                        active[0, step // block_steps] = True
                        for plane in range(tables.n_planes):
                            if value >> plane & 1:
                                rows[at + (plane * n_channels + sender) * tables.stride] |= bit
                channel += 8
        for channel in range(n_channels):
            input_spikes[sample] += counted[channel]
            for layer in range(tables.keep_u.size):
                events[sample, layer] += counted[channel] * tables.fan_out[channel, layer]


@njit(nogil=True, cache=True)
def _run_word(tables, frames, first, last, recording, input_spikes, spikes, events):
    """Run samples first..last, at most as many as a word holds."""
    samples, n_steps = tables.samples, tables.n_steps
    step_bytes, block_steps = samples // 8, WORD_BITS // samples
    n_neurons = tables.row_of.size
    rows = np.zeros(tables.n_rows * tables.stride + WORD_BYTES, np.uint8)
    u = np.zeros(n_neurons * samples, np.int32)
    v = np.zeros(n_neurons * samples, np.int32)
    counted = np.zeros(n_neurons * samples, np.int32)
    heap = np.zeros((tables.powers + 3) * tables.heap * WORD_BYTES, np.uint8)
    waiting = np.zeros(tables.powers + 3, np.int64)
    planes = np.zeros(tables.powers * WORD_BYTES, np.uint8)
    sums = np.zeros(2 * WORD_BITS, np.int32)
    active = np.zeros((tables.keep_u.size + 1, -(-n_steps // block_steps)), np.bool_)
    _pack_input(tables, frames, first, last, rows, active, input_spikes, events)
    # Taken out here, once: numba counts references whenever it takes an array from a tuple.
    digits, first_digit, constant, bias, row_of = (
        tables.digits,
        tables.first_digit,
        tables.constant,
        tables.bias,
        tables.row_of,
    )
    neuron_start, keep_u, keep_v, threshold = tables.neuron_start, tables.keep_u, tables.keep_v, tables.threshold
    kept_of, digests, keys = recording.start, recording.digests, recording.keys
    reach = tables.reach
    size, powers, stride, lead = tables.heap, tables.powers, tables.stride, tables.lead
    for first_step in range(0, n_steps, block_steps):
        block = first_step * step_bytes
        n_block = min(block_steps, n_steps - first_step)
        for layer in tables.order:
            width = tables.sum_bits[layer]
            kept, bound = (keep_u[layer], keep_v[layer]), threshold[layer]
            recorded = kept_of[0, layer] >= 0 or kept_of[1, layer] >= 0 or kept_of[2, layer] >= 0
            traced = recorded or keys.size > 0
            begin, end = neuron_start[layer], neuron_start[layer + 1]
            quiet = _is_quiet(reach, active, layer, first_step, block_steps)
            fires = False
            for neuron in range(begin, end):
                if not quiet:
                    segment = neuron * 2 * powers
                    _sum_words(
                        rows, block, digits, first_digit, segment, constant[neuron], width, heap, size, waiting, planes
                    )
                    _spread(planes, width, sums)
                else:
                    for lane in range(WORD_BITS):
                        sums[lane] = 0
                row = row_of[neuron] * stride + lead + block
                for lane in range(0, min(samples, last - first), N_LANES):
                    at = neuron * samples + lane
                    to = row + lane // 8
                    fires |= _update(
                        kept, bound, bias[neuron], sums, lane, n_block, samples, u, v, counted, at, rows, to, traced
                    )
                if keys.size:
                    key = begin * n_steps + first_step * (end - begin) + neuron - begin
                    _digest(digests, layer, first, last, n_block, keys, key, end - begin, sums, rows, row, samples)
                if recorded:
                    where = (
                        layer,
                        first,
                        last,
                        n_steps,
                        first_step,
                        n_block,
                        neuron - begin,
                        end - begin,
                        row,
                        samples,
                    )
                    _keep_traces(recording, where, sums, rows)
            active[layer + 1, first_step // block_steps] = fires
    n_inputs = tables.n_channels
    for layer in range(tables.keep_u.size):
        for neuron in range(tables.neuron_start[layer], tables.neuron_start[layer + 1]):
            for sample in range(first, last):
                count = counted[neuron * samples + sample - first]
                if count:
                    spikes[sample, layer] += count
                    for target in range(tables.keep_u.size):
                        events[sample, target] += count * tables.fan_out[n_inputs + neuron, target]


@njit(nogil=True, cache=True)
def run_samples(tables, frames, first, last, recording, input_spikes, spikes, events):
    """Run samples first..last, as many at a time as a word holds."""
    for begin in range(first, last, tables.samples):
        end = min(last, begin + tables.samples)
        _run_word(tables, frames, begin, end, recording, input_spikes, spikes, events)
