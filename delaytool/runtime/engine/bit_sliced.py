"""The batched engine: 1024 lanes of one-bit spikes in a word, summed by full adders.

A population's spikes lie in memory as one row of bits per neuron, step after step, and in each step one bit for each of
G samples. So the spikes that a synapse with delay d delivers in a block of 1024 / G steps are one 1024-bit word, which
begins 1 + d steps earlier in the row of its sender: the delay is an address.

A row is a window: the block that runs and the steps before it that the longest delay reaches. After each block it moves
on, so an address is the same number in every block, and the spikes of a word stay in the cache.

The input of a neuron is then a sum of words, each with a power of two from the synapse's weight (in signed digits:
+1, 0 and -1 at each power, which are few). Full adders reduce three words at one power to one there and a carry at
the next, 1024 lanes at a time, until one word per power is left: the sum in two's complement, modulo the power that
holds every sum that can occur. A digit of -1 adds the complement of its word, and the missing constant is in the word
that the adders begin with. Graded input is one row for each binary digit of the value.

The sums are spread to integers once for each neuron and block, and the neurons' own arithmetic runs in 32 lanes.

A block may be longer than one step because populations run in the order in which spikes pass through them. Where
they feed back, a block is at most as long as the shortest way round: one step if there is a delay of 0.

All kernels are in this file: numba's cache notices a change of a kernel's own file only.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from delaytool.runtime.engine import lanes
from delaytool.runtime.engine.bit_sliced_tables import build, rows_bytes, samples_per_word
from delaytool.runtime.engine.lanes import N_LANES, WORD_BITS, WORD_BYTES

__all__ = ["build", "rows_bytes", "run_samples", "samples_per_word"]


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
def _word(rows, place, digits, at):
    base, shift = place
    return lanes.word_load(rows, base + (lanes.offset_at(digits, at) << shift))


@njit(nogil=True, cache=True, forceinline=True)
def _push(heap, waiting, size, power, word):
    """Leave a carry at a power, to be added when its turn comes."""
    lanes.word_store(word, heap, (power * size + waiting[power]) * WORD_BYTES)
    waiting[power] += 1


@njit(nogil=True, cache=True, forceinline=True)
def _add_digits(rows, place, digits, span, ones, twos, fours, heap, waiting, level):
    """Add the words of digits first..last, an even number, at one power.

    span    (first, last, whether the words' complements are added)
    level   (size, power) of the heap, as in `_sum_words`
    """
    first, last, inverted = span
    size, power = level
    at = first
    while at + 8 <= last:
        ones, twos, fours, carry = _eight(
            ones,
            twos,
            fours,
            inverted,
            _word(rows, place, digits, at),
            _word(rows, place, digits, at + 1),
            _word(rows, place, digits, at + 2),
            _word(rows, place, digits, at + 3),
            _word(rows, place, digits, at + 4),
            _word(rows, place, digits, at + 5),
            _word(rows, place, digits, at + 6),
            _word(rows, place, digits, at + 7),
        )
        _push(heap, waiting, size, power + 3, carry)
        at += 8
    while at < last:
        a = _word(rows, place, digits, at)
        b = _word(rows, place, digits, at + 1)
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
def _sum_words(rows, place, digits, first_digit, segment, constant, width, heap, size, waiting, planes):
    """One neuron's input over a block, as `width` words of two's complement in `planes`.

    place     what a digit's number is relative to, and how far it is shifted
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
        level = (size, power)
        span = (first, middle, False)
        ones, twos, fours = _add_digits(rows, place, digits, span, ones, twos, fours, heap, waiting, level)
        span = (middle, last, True)
        ones, twos, fours = _add_digits(rows, place, digits, span, ones, twos, fours, heap, waiting, level)
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
def _update(constants, block, place, sums, u, v, counted, rows):
    """Run one neuron over a block, for 32 of the samples of a word; returns whether it fired.

    constants   (keep_u, keep_v, threshold, bias)
    block       (n_block, samples, traced): steps of the block, samples of a word, and whether u and v of each step take
                the place of the sums, u in the first half of `sums` and v in the second
    place       (first_sum, at, row): places of the neuron's first sums in `sums`, of its state in `u`, `v` and
                `counted`, and of the byte in `rows` to which its spikes go
    """
    keep_u, keep_v, threshold, bias = constants
    n_block, samples, traced = block
    first_sum, at, row = place
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
def _pack_input(tables, frames, first, last, first_step, n_block, rows, counted):
    """Write a block of the samples' frames as bits and count the values above zero; returns whether there are any."""
    samples, n_channels, stride = tables.samples, tables.n_channels, tables.stride
    step_bytes = samples // 8
    begin = tables.input_row * stride + tables.lead
    for row in range(tables.n_planes * n_channels):
        lanes.word_store(lanes.word_fill(0), rows, begin + row * stride)
    any_spike = False
    flat = frames.reshape(frames.size)
    for sample in range(first, last):
        lane = sample - first
        bit = np.uint8(1 << (lane & 7))
        for step in range(first_step, min(first_step + n_block, frames.shape[1])):
            at = begin + (step - first_step) * step_bytes + (lane >> 3)
            here = (sample * frames.shape[1] + step) * n_channels
            channel = 0
            while channel < n_channels:
                if channel + 8 <= n_channels and lanes.eight_bytes(flat, here + channel) == 0:
                    channel += 8  # most of the input is silence
                    continue
                for sender in range(channel, min(channel + 8, n_channels)):
                    value = flat[here + sender]
                    if value:
                        counted[lane * n_channels + sender] += 1
                        any_spike = True
                        for plane in range(tables.n_planes):
                            if value >> plane & 1:
                                rows[at + (plane * n_channels + sender) * stride] |= bit
                channel += 8
    return any_spike


@njit(nogil=True, cache=True)
def _move_on(rows, n_rows, stride, lead):
    """Make a block's end the beginning of every row's window."""
    for row in range(n_rows):
        for at in range(row * stride, row * stride + lead, WORD_BYTES):
            lanes.word_store(lanes.word_load(rows, at + WORD_BYTES), rows, at)


@njit(nogil=True, cache=True)
def _run_word(tables, frames, first, last, recording, input_spikes, spikes, events):
    """Run samples first..last, at most as many as a word holds."""
    samples, n_steps = tables.samples, tables.n_steps
    block_steps = WORD_BITS // samples
    n_neurons = tables.row_of.size
    n_inputs = tables.n_channels
    rows = np.zeros(tables.n_rows * tables.stride, np.uint8)
    u = np.zeros(n_neurons * samples, np.int32)
    v = np.zeros(n_neurons * samples, np.int32)
    counted = np.zeros(n_neurons * samples, np.int32)
    counted_input = np.zeros((last - first) * n_inputs, np.int32)
    heap = np.zeros((tables.powers + 3) * tables.heap * WORD_BYTES, np.uint8)
    waiting = np.zeros(tables.powers + 3, np.int64)
    planes = np.zeros(tables.powers * WORD_BYTES, np.uint8)
    sums = np.zeros(2 * WORD_BITS, np.int32)
    active = np.zeros((tables.keep_u.size + 1, -(-n_steps // block_steps)), np.bool_)
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
    base_of, shift = tables.base, tables.shift
    for first_step in range(0, n_steps, block_steps):
        n_block = min(block_steps, n_steps - first_step)
        if first_step:
            _move_on(rows, tables.n_rows, stride, lead)
        active[0, first_step // block_steps] = _pack_input(
            tables, frames, first, last, first_step, n_block, rows, counted_input
        )
        for layer in tables.order:
            width, place = tables.sum_bits[layer], (base_of[layer], shift)
            recorded = kept_of[0, layer] >= 0 or kept_of[1, layer] >= 0 or kept_of[2, layer] >= 0
            traced = recorded or keys.size > 0
            block = (n_block, samples, traced)
            begin, end = neuron_start[layer], neuron_start[layer + 1]
            quiet = _is_quiet(reach, active, layer, first_step, block_steps)
            fires = False
            for neuron in range(begin, end):
                if not quiet:
                    segment = neuron * 2 * powers
                    _sum_words(
                        rows, place, digits, first_digit, segment, constant[neuron], width, heap, size, waiting, planes
                    )
                    _spread(planes, width, sums)
                else:
                    for lane in range(WORD_BITS):
                        sums[lane] = 0
                row = row_of[neuron] * stride + lead
                constants = (keep_u[layer], keep_v[layer], threshold[layer], bias[neuron])
                for lane in range(0, min(samples, last - first), N_LANES):
                    at = (lane, neuron * samples + lane, row + lane // 8)
                    fires |= _update(constants, block, at, sums, u, v, counted, rows)
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
    for sample in range(first, last):
        for channel in range(n_inputs):
            count = counted_input[(sample - first) * n_inputs + channel]
            if count:
                input_spikes[sample] += count
                for target in range(tables.keep_u.size):
                    events[sample, target] += count * tables.fan_out[channel, target]
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
