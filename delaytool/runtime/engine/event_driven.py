"""The event-driven engine: a spike scatters its synapses' weights into the steps where they arrive.

Every layer keeps a sliding window of pending input, one row per step: row 0 of what remains is read by this step,
row 1 + d takes the weight of a synapse with delay d. The window is twice as long as the longest delay needs, so
that an address is one addition without a wrap; when its first half is used up, the second half moves down.

A synapse is one word: its weight above the address in the window, relative to the row of the next step (delay times
neurons, plus target). 32 bits where both fit, else 64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from delaytool.contract.bounds import DECAY_UNITY, STATE_LIMIT, STATE_SHIFT
from delaytool.contract.network import IntegerNetwork
from delaytool.runtime.counters import fan_out
from delaytool.runtime.engine import lanes
from delaytool.runtime.engine.lanes import N_LANES

LOW, HIGH, TURN = -STATE_LIMIT, STATE_LIMIT, 2 * STATE_LIMIT


class Tables(NamedTuple):
    """An IntegerNetwork as flat arrays. Neurons of all layers are numbered through; P projections join populations.

    neuron_start   (L + 1,) int64: first neuron of each layer
    keep_u, keep_v, threshold   (L,) int64: what is left of u and v of 4096; threshold << 6
    bias           (N,) int32
    rows           (L,) int64: longest delay + 1, half the rows of the layer's window
    window_start   (L + 1,) int64: first entry of each layer's window
    projection_start   (L + 2,) int64: first projection from each population, 0 the input
    projection_layer   (P,) int64: the layer that it reaches
    projection_row     (P,) int64: where its neurons' ranges begin in `first_synapse`
    first_synapse  int64: for each projection and sending neuron, plus one: its range of `synapses`
    synapses       int32 or int64: weight << address_bits | address
    address_bits   width of the address in a word
    fan_out        (sending neuron, L) int64, inputs first: synapses from it to there
    pending_type   (0,) int16 or int32: of the type that holds every sum of the windows
    n_channels     size of the input
    n_steps        steps of a sample
    """

    neuron_start: np.ndarray
    keep_u: np.ndarray
    keep_v: np.ndarray
    threshold: np.ndarray
    bias: np.ndarray
    rows: np.ndarray
    window_start: np.ndarray
    projection_start: np.ndarray
    projection_layer: np.ndarray
    projection_row: np.ndarray
    first_synapse: np.ndarray
    synapses: np.ndarray
    address_bits: int
    fan_out: np.ndarray
    pending_type: np.ndarray
    n_channels: int
    n_steps: int


class State(NamedTuple):
    """A sample's state between two steps. `cursor` is the window row that the next step reads."""

    u: np.ndarray
    v: np.ndarray
    pending: np.ndarray
    cursor: np.ndarray


def build(network: IntegerNetwork) -> Tables:
    """Pack a network's synapses and prove the width of its sums."""
    layers = network.layers
    sizes = np.array([layer.n_neurons for layer in layers], np.int64)
    rows = np.array([layer.max_delay + 1 for layer in layers], np.int64)
    starts: list[int] = [0]
    targets: list[int] = []
    firsts: list[np.ndarray] = []
    addresses: list[np.ndarray] = []
    charges: list[np.ndarray] = []
    for source in range(len(layers) + 1):
        for index, layer in enumerate(layers):
            groups = [group for group in layer.synapses if group.source == source]
            if not groups:
                continue
            listed = [(*group.listed(), group.exponent) for group in groups]
            target, pre, delay = (np.concatenate([entry[i] for entry in listed]).astype(np.int64) for i in (0, 1, 3))
            charge = np.concatenate([weight.astype(np.int64) << exponent for _, _, weight, _, exponent in listed])
            address = delay * layer.n_neurons + target
            order = np.lexsort((address, pre))
            counts = np.bincount(pre, minlength=network.n_neurons_of(source))
            targets.append(index)
            firsts.append(np.concatenate([[0], np.cumsum(counts)]) + sum(map(len, addresses)))
            addresses.append(address[order])
            charges.append(charge[order])
        starts.append(len(targets))
    synapses, address_bits = _packed(_joined(addresses), _joined(charges))
    return Tables(
        neuron_start=np.concatenate([[0], np.cumsum(sizes)]),
        keep_u=np.array([DECAY_UNITY - 1 - layer.du for layer in layers], np.int64),
        keep_v=np.array([DECAY_UNITY - layer.dv for layer in layers], np.int64),
        threshold=np.array([layer.threshold << STATE_SHIFT for layer in layers], np.int64),
        bias=np.concatenate([layer.bias for layer in layers]).astype(np.int32),
        rows=rows,
        window_start=np.concatenate([[0], np.cumsum(2 * rows * sizes)]),
        projection_start=np.array(starts, np.int64),
        projection_layer=np.array(targets, np.int64),
        projection_row=np.cumsum([0, *map(len, firsts)]).astype(np.int64)[:-1],
        first_synapse=_joined(firsts),
        synapses=synapses,
        address_bits=address_bits,
        fan_out=np.concatenate(fan_out(network)),
        pending_type=np.zeros(0, pending_dtype(network)),
        n_channels=network.encoding.n_channels,
        n_steps=network.n_steps,
    )


def pending_dtype(network: IntegerNetwork) -> type:
    """int16 where no step's sum can leave it, else int32, which the network's own validation has proven."""
    limits = np.iinfo(np.int16)
    for layer in network.layers:
        low, high = network.input_bounds(layer)
        if low.min() < limits.min or high.max() > limits.max:
            return np.int32
    return np.int16


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays).astype(np.int64) if arrays else np.zeros(0, np.int64)


def _packed(address: np.ndarray, charge: np.ndarray) -> tuple[np.ndarray, int]:
    """Weight above address in one word: 32 bits where both fit."""
    bits = max(1, int(address.max(initial=0)).bit_length())
    weight_bits = 1 + max(int(charge.max(initial=0)).bit_length(), int(-charge.min(initial=0)).bit_length())
    return (charge << bits | address).astype(np.int32 if bits + weight_bits <= 32 else np.int64), bits


def new_state(tables: Tables) -> State:
    """Nothing charged, nothing on its way."""
    n_neurons = int(tables.neuron_start[-1])
    return State(
        u=np.zeros(n_neurons, np.int32),
        v=np.zeros(n_neurons, np.int32),
        pending=np.zeros(int(tables.window_start[-1]), tables.pending_type.dtype),
        cursor=np.zeros(len(tables.rows), np.int64),
    )


@njit(nogil=True, cache=True, forceinline=True)
def _keep(state, kept):
    """state * kept / 4096, rounded toward zero."""
    product = np.int64(state) * kept
    return (product + ((product >> 63) & 4095)) >> 12


# The kernels take arrays one by one and offsets into them: numba counts references whenever it hands on a tuple's array
# or a slice, and did so for longer than the neurons took.


@njit(nogil=True, cache=True)
def _update(kept, threshold, size, bias, u, v, fired, first, pending, arriving):
    """One step of the `size` neurons from `first` on, in place; what arrived, at pending[arriving], is cleared.

    32 neurons at a time, then what is left one by one.
    """
    keep_u, keep_v = kept
    whole = size - size % N_LANES
    for at in range(first, first + whole, N_LANES):
        current = lanes.lanes_times_64(lanes.lanes_load(pending, arriving + at - first))
        if keep_u:
            current = lanes.lanes_add(lanes.lanes_decayed(lanes.lanes_load(u, at), keep_u), current)
        current = lanes.lanes_wrapped(current)
        membrane = lanes.lanes_decayed(lanes.lanes_load(v, at), keep_v)
        membrane = lanes.lanes_add(lanes.lanes_add(membrane, current), lanes.lanes_load(bias, at))
        membrane = lanes.lanes_clipped(membrane)
        above = lanes.lanes_above(membrane, threshold)
        lanes.lanes_store(current, u, at)
        lanes.lanes_store(lanes.lanes_cleared(membrane, above), v, at)
        lanes.store_flags(above, fired, at)
    for at in range(first + whole, first + size):
        current = _keep(u[at], keep_u) + (np.int64(pending[arriving + at - first]) << 6)
        current = current - TURN if current > HIGH else current
        current = current + TURN if current <= LOW else current
        membrane = _keep(v[at], keep_v) + current + bias[at]
        membrane = min(max(membrane, LOW + 1), HIGH - 1)
        spike = membrane > threshold
        fired[at] = spike
        u[at] = current
        v[at] = 0 if spike else membrane
    for at in range(np.uint64(arriving), np.uint64(arriving + size)):
        pending[at] = 0


@njit(nogil=True, cache=True, forceinline=True)
def _scatter(synapses, address_bits, first, last, pending, origin, payload):
    """Add the synapses first..last to a layer's window, whose next row begins at `origin`."""
    mask = (np.int64(1) << address_bits) - 1
    origin = np.uint64(origin)
    # Unsigned indices spare numpy's wrap of negative ones.
    if payload == 1:
        for at in range(np.uint64(first), np.uint64(last)):
            word = synapses[at]
            pending[origin + np.uint64(word & mask)] += word >> address_bits
    else:
        for at in range(np.uint64(first), np.uint64(last)):
            word = synapses[at]
            pending[origin + np.uint64(word & mask)] += (np.int64(word) >> address_bits) * payload


@njit(nogil=True, cache=True)
def _send(values, begin, end, projections, projection_layer, starts, synapses, bits, pending, origins, events, row):
    """Put the values begin..end, which a population sends, on their way to every layer that it reaches.

    projections   the population's: (first, last); starts: (their rows in `first_synapse`, first_synapse)
    origins       (L,) where each layer's next row begins

    Counts go to row `row` of events. Returns the number of values above zero.
    """
    rows, first_synapse = starts
    count = 0
    at = begin
    while at < end:
        if at + 8 <= end and lanes.eight_bytes(values, at) == 0:
            at += 8  # most are silent
            continue
        for sender in range(at, min(at + 8, end)):
            payload = np.int64(values[sender])
            if payload == 0:
                continue
            count += 1
            for projection in range(projections[0], projections[1]):
                layer = projection_layer[projection]
                entry = rows[projection] + sender - begin
                first, last = first_synapse[entry], first_synapse[entry + 1]
                _scatter(synapses, bits, first, last, pending, origins[layer], payload)
                events[row, layer] += last - first
        at += 8
    return count


@njit(nogil=True, cache=True)
def _keep_trace(start, layer, to, from_, size, source, target):
    """Copy one layer's step to a flat output, if it is kept."""
    if start[layer] >= 0:
        for at in range(size):
            target[start[layer] + to + at] = source[from_ + at]


@njit(nogil=True, cache=True)
def _digest(digests, sample, layer, keys, key, size, fired, u, v, first):
    """Add one layer's step to its digests (see `runtime.digest`)."""
    of_spikes, of_u, of_v = np.uint64(0), np.uint64(0), np.uint64(0)
    for neuron in range(size):
        mine = keys[key + neuron]
        of_spikes += mine * np.uint64(fired[first + neuron])
        of_u += mine * np.uint64(np.int64(u[first + neuron]))
        of_v += mine * np.uint64(np.int64(v[first + neuron]))
    digests[sample, layer, 0] += of_spikes
    digests[sample, layer, 1] += of_u
    digests[sample, layer, 2] += of_v


@njit(nogil=True, cache=True)
def advance(tables, state, frames, begin, n_frames, n_steps, sample, recording, input_spikes, spikes, events, fired):
    """Run `n_steps` steps of one sample.

    Its frames are the `n_frames` rows of channels that begin at frames[begin] (flat); silence follows, or they are
    cut. Counts go to row `sample` of the counters, traces to its place in the recording. `fired` (N,) is left with
    the last step's spikes.
    """
    neuron_start, keep_u, keep_v, threshold = tables.neuron_start, tables.keep_u, tables.keep_v, tables.threshold
    bias, rows, window_start = tables.bias, tables.rows, tables.window_start
    projection_start, targets = tables.projection_start, tables.projection_layer
    starts = (tables.projection_row, tables.first_synapse)
    synapses, bits = tables.synapses, tables.address_bits
    u, v, pending, cursor = state.u, state.v, state.pending, state.cursor
    start_spikes, start_u, start_v = recording.start[0], recording.start[1], recording.start[2]
    kept_spikes, kept_u, kept_v = recording.spikes, recording.u, recording.v
    digests, keys = recording.digests, recording.keys
    n_layers = keep_u.size
    n_channels = tables.n_channels
    origins = np.zeros(n_layers, np.int64)
    for step in range(n_steps):
        for layer in range(n_layers):
            first = neuron_start[layer]
            size = neuron_start[layer + 1] - first
            arriving = window_start[layer] + cursor[layer] * size
            origins[layer] = arriving + size
            kept, bound = (keep_u[layer], keep_v[layer]), threshold[layer]
            _update(kept, bound, size, bias, u, v, fired, first, pending, arriving)
            to = (sample * n_steps + step) * size
            _keep_trace(start_spikes, layer, to, first, size, fired, kept_spikes)
            _keep_trace(start_u, layer, to, first, size, u, kept_u)
            _keep_trace(start_v, layer, to, first, size, v, kept_v)
            if keys.size:
                _digest(digests, sample, layer, keys, first * n_steps + step * size, size, fired, u, v, first)
        if step < n_frames:
            first = begin + step * n_channels
            last, reached = first + n_channels, (projection_start[0], projection_start[1])
            input_spikes[sample] += _send(
                frames, first, last, reached, targets, starts, synapses, bits, pending, origins, events, sample
            )
        for layer in range(n_layers):
            first, last = neuron_start[layer], neuron_start[layer + 1]
            reached = (projection_start[layer + 1], projection_start[layer + 2])
            spikes[sample, layer] += _send(
                fired, first, last, reached, targets, starts, synapses, bits, pending, origins, events, sample
            )
        for layer in range(n_layers):
            cursor[layer] += 1
            if cursor[layer] == rows[layer]:
                # Move the second half of the window onto the first, which has been read and is zero.
                low, high = window_start[layer], window_start[layer + 1]
                half = np.uint64((high - low) // 2)
                for at in range(np.uint64(low), np.uint64(low) + half):
                    pending[at] = pending[at + half]
                for at in range(np.uint64(low) + half, np.uint64(high)):
                    pending[at] = 0
                cursor[layer] = 0


@njit(nogil=True, cache=True)
def run_samples(tables, frames, first, last, recording, input_spikes, spikes, events):
    """Run samples first..last, one after another, in one state's memory."""
    n_neurons = tables.neuron_start[-1]
    u = np.zeros(n_neurons, np.int32)
    v = np.zeros(n_neurons, np.int32)
    pending = np.zeros(tables.window_start[-1], tables.pending_type.dtype)
    cursor = np.zeros(tables.rows.size, np.int64)
    state = State(u, v, pending, cursor)
    fired = np.zeros(n_neurons, np.uint8)
    flat = frames.reshape(frames.size)
    n_frames, n_channels, n_steps = frames.shape[1], tables.n_channels, tables.n_steps
    for sample in range(first, last):
        u[:] = 0
        v[:] = 0
        pending[:] = 0
        cursor[:] = 0
        begin = sample * n_frames * n_channels
        advance(tables, state, flat, begin, n_frames, n_steps, sample, recording, input_spikes, spikes, events, fired)
