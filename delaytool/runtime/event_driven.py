"""The event-driven engine: a spike scatters its synapses' weights into the steps where they arrive.

Every layer keeps a sliding window of pending input, one row a step: row 0 of what remains is read by this step,
row 1 + d takes the weight of a synapse with delay d. The window is twice as long as the longest delay needs, so
that an address is one addition without a wrap; when its first half is used up, the second half moves down.

A synapse is one word: the address in the window, relative to the row of the next step (delay times neurons, plus
target), above its weight. 32 bits where both fit, else 64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from delaytool.network import DECAY_UNITY, STATE_LIMIT, STATE_SHIFT, IntegerNetwork
from delaytool.runtime.counters import fan_out

LOW, HIGH, TURN = -STATE_LIMIT, STATE_LIMIT, 2 * STATE_LIMIT


class Tables(NamedTuple):
    """An IntegerNetwork as flat arrays. Neurons of all layers are numbered through; P projections join populations.

    neuron_start   (L + 1,) int64: first neuron of each layer
    keep_u, keep_v, threshold   (L,) int64: what is left of u and v of 4096; threshold << 6
    bias           (N,) int64
    rows           (L,) int64: longest delay + 1, half the rows of the layer's window
    window_start   (L + 1,) int64: first entry of each layer's window
    projection_start   (L + 2,) int64: first projection from each population, 0 the input
    projection_layer   (P,) int64: the layer that it reaches
    projection_row     (P,) int64: where its neurons' ranges begin in `first_synapse`
    first_synapse  int64: for each projection and sending neuron, plus one: its range of `synapses`
    synapses       uint32 or uint64: address << weight_bits | weight
    weight_bits    width of the weight in a word
    fan_out        (sending neuron, L) int64, inputs first: synapses from it to there
    pending_type   (0,) int16 or int32: of the type that holds every sum of the windows
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
    weight_bits: int
    fan_out: np.ndarray
    pending_type: np.ndarray
    n_steps: int

    @property
    def bytes_per_synapse(self) -> int:
        return self.synapses.itemsize


class State(NamedTuple):
    """What a sample leaves behind between two steps. `cursor` is the window row that the next step reads."""

    u: np.ndarray
    v: np.ndarray
    pending: np.ndarray
    cursor: np.ndarray


def build(network: IntegerNetwork) -> Tables:
    """Pack a network's synapses and prove the width of its sums."""
    layers = network.layers
    sizes = np.array([layer.n_neurons for layer in layers], np.int64)
    rows = np.array([layer.max_delay + 1 for layer in layers], np.int64)
    starts, targets, firsts, addresses, charges = [0], [], [], [], []
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
    synapses, weight_bits = _packed(_joined(addresses), _joined(charges))
    return Tables(
        neuron_start=np.concatenate([[0], np.cumsum(sizes)]),
        keep_u=np.array([DECAY_UNITY - 1 - layer.du for layer in layers], np.int64),
        keep_v=np.array([DECAY_UNITY - layer.dv for layer in layers], np.int64),
        threshold=np.array([layer.threshold << STATE_SHIFT for layer in layers], np.int64),
        bias=np.concatenate([layer.bias for layer in layers]),
        rows=rows,
        window_start=np.concatenate([[0], np.cumsum(2 * rows * sizes)]),
        projection_start=np.array(starts, np.int64),
        projection_layer=np.array(targets, np.int64),
        projection_row=np.cumsum([0, *map(len, firsts)]).astype(np.int64)[:-1],
        first_synapse=_joined(firsts),
        synapses=synapses,
        weight_bits=weight_bits,
        fan_out=np.concatenate(fan_out(network)),
        pending_type=np.zeros(0, pending_dtype(network)),
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
    """Address above weight in one word: 32 bits where both fit."""
    address_bits = max(1, int(address.max(initial=0)).bit_length())
    weight_bits = 1 + max(int(charge.max(initial=0)).bit_length(), int(-charge.min(initial=0)).bit_length())
    if address_bits + weight_bits <= 32:
        bits, word = 32 - address_bits, np.uint32
    else:
        bits, word = 32, np.uint64
    return (address << bits | charge & ((1 << bits) - 1)).astype(word), bits


def new_state(tables: Tables) -> State:
    """Nothing charged, nothing on its way."""
    n_neurons = int(tables.neuron_start[-1])
    return State(
        u=np.zeros(n_neurons, np.int32),
        v=np.zeros(n_neurons, np.int32),
        pending=np.zeros(int(tables.window_start[-1]), tables.pending_type.dtype),
        cursor=np.zeros(len(tables.rows), np.int64),
    )


@njit(nogil=True, cache=True, inline="always")
def _keep(state, kept):
    """state * kept / 4096, rounded toward zero."""
    product = np.int64(state) * kept
    return (product + ((product >> 63) & 4095)) >> 12


@njit(nogil=True, cache=True)
def _update(keep_u, keep_v, threshold, bias, arriving, u, v, fired):
    """One step of one layer, in place; the arrived input is cleared. Returns the number of spikes."""
    count = 0
    for neuron in range(u.size):
        current = _keep(u[neuron], keep_u) + (np.int64(arriving[neuron]) << 6)
        arriving[neuron] = 0
        current = current - TURN if current > HIGH else current
        current = current + TURN if current <= LOW else current
        membrane = _keep(v[neuron], keep_v) + current + bias[neuron]
        membrane = min(max(membrane, LOW + 1), HIGH - 1)
        spike = membrane > threshold
        fired[neuron] = spike
        count += spike
        u[neuron] = current
        v[neuron] = 0 if spike else membrane
    return count


@njit(nogil=True, cache=True)
def _scatter(synapses, weight_bits, first, last, window, origin, payload):
    """Add the synapses first..last to a layer's window; `origin` is where the next step's row begins."""
    shift = 64 - weight_bits
    for at in range(first, last):
        word = synapses[at]
        weight = (np.int64(word) << shift) >> shift
        window[origin + np.int64(word >> weight_bits)] += weight * payload


@njit(nogil=True, cache=True)
def _send(tables, population, neuron, payload, state, events):
    """One spike, or graded input, on its way to every layer that it reaches."""
    for projection in range(tables.projection_start[population], tables.projection_start[population + 1]):
        layer = tables.projection_layer[projection]
        row = tables.projection_row[projection] + neuron
        size = tables.neuron_start[layer + 1] - tables.neuron_start[layer]
        origin = tables.window_start[layer] + (state.cursor[layer] + 1) * size
        first, last = tables.first_synapse[row], tables.first_synapse[row + 1]
        _scatter(tables.synapses, tables.weight_bits, first, last, state.pending, origin, payload)
        events[layer] += last - first


@njit(nogil=True, cache=True)
def advance(tables, state, frames, n_steps, sample, recording, input_spikes, spikes, events, fired):
    """Run `n_steps` steps of one sample; `frames` (time, channel) is followed by silence, or cut.

    Counts go to row `sample` of the counters, traces to its place in the recording. `fired` (N,) is left with the
    last step's spikes.
    """
    n_layers = tables.keep_u.size
    for step in range(n_steps):
        for layer in range(n_layers):
            first, last = tables.neuron_start[layer], tables.neuron_start[layer + 1]
            size = last - first
            arriving = tables.window_start[layer] + state.cursor[layer] * size
            spikes[sample, layer] += _update(
                tables.keep_u[layer],
                tables.keep_v[layer],
                tables.threshold[layer],
                tables.bias[first:last],
                state.pending[arriving : arriving + size],
                state.u[first:last],
                state.v[first:last],
                fired[first:last],
            )
            offset = (sample * n_steps + step) * size
            if recording.start[0, layer] >= 0:
                at = recording.start[0, layer] + offset
                recording.spikes[at : at + size] = fired[first:last]
            if recording.start[1, layer] >= 0:
                at = recording.start[1, layer] + offset
                recording.u[at : at + size] = state.u[first:last]
            if recording.start[2, layer] >= 0:
                at = recording.start[2, layer] + offset
                recording.v[at : at + size] = state.v[first:last]
        if step < frames.shape[0]:
            for channel in range(frames.shape[1]):
                payload = np.int64(frames[step, channel])
                if payload:
                    input_spikes[sample] += 1
                    _send(tables, 0, channel, payload, state, events[sample])
        for layer in range(n_layers):
            first = tables.neuron_start[layer]
            for neuron in range(first, tables.neuron_start[layer + 1]):
                if fired[neuron]:
                    _send(tables, layer + 1, neuron - first, 1, state, events[sample])
        for layer in range(n_layers):
            state.cursor[layer] += 1
            if state.cursor[layer] == tables.rows[layer]:
                _slide(tables, state, layer)


@njit(nogil=True, cache=True)
def _slide(tables, state, layer):
    """Move the second half of a layer's window onto the first, which has been read and is zero."""
    begin, end = tables.window_start[layer], tables.window_start[layer + 1]
    middle = (begin + end) // 2
    state.pending[begin:middle] = state.pending[middle:end]
    state.pending[middle:end] = 0
    state.cursor[layer] = 0


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
    for sample in range(first, last):
        u[:] = 0
        v[:] = 0
        pending[:] = 0
        cursor[:] = 0
        advance(tables, state, frames[sample], tables.n_steps, sample, recording, input_spikes, spikes, events, fired)
