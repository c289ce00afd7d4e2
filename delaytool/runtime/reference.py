"""The integer contract in code: slow, obvious, and the reference that every other backend must equal.

Read beside `docs/integer-contract.md`. One sample at a time, one step at a time, one layer at a time, in
64-bit integers that cannot overflow; no cleverness that would need a proof of its own.
"""

from __future__ import annotations

import numpy as np

from delaytool.contract.bounds import DECAY_UNITY, STATE_LIMIT, STATE_SHIFT
from delaytool.contract.frames import checked_frames, padded_input
from delaytool.contract.layer import IntegerLayer
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import BackendError
from delaytool.runtime.trace import Trace

# Input sums, spikes, u and v of one sample, 8 bytes each.
MAX_SAMPLE_BYTES = 8 << 30


def decayed(state: np.ndarray, decay: int) -> np.ndarray:
    """trunc0(state * (4096 - decay) / 4096): the product's magnitude is shifted, so it rounds toward zero."""
    product = state * (DECAY_UNITY - decay)
    return np.sign(product) * (np.abs(product) >> 12)


def wrapped(current: np.ndarray) -> np.ndarray:
    """One wrap into (-2^23, 2^23]; a sum further out than one turn stays out, as in Lava."""
    current = np.where(current > STATE_LIMIT, current - 2 * STATE_LIMIT, current)
    return np.where(current <= -STATE_LIMIT, current + 2 * STATE_LIMIT, current)


def neuron_step(
    layer: IntegerLayer, u: np.ndarray, v: np.ndarray, arriving: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One step of a layer: (u, v, spikes) from the last u, v and the input sum that arrives now.

    All arrays are (neuron,) int64, spikes bool. The update is the contract's, in its order.
    """
    u = wrapped(decayed(u, layer.du + 1) + (arriving << STATE_SHIFT))
    v = np.clip(decayed(v, layer.dv) + u + layer.bias, -STATE_LIMIT + 1, STATE_LIMIT - 1)
    spikes = v > (layer.threshold << STATE_SHIFT)
    return u, np.where(spikes, 0, v), spikes


def run_sample(network: IntegerNetwork, frames: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """One sample's frames (n_steps, channel) to (spikes, u, v), each (n_steps, neuron), for every layer."""
    n_steps = network.n_steps
    layers = network.layers
    record = [tuple(np.zeros((n_steps, layer.n_neurons), np.int64) for _ in range(3)) for layer in layers]
    # pending[l][t]: what arrives at layer l in step t. Spikes sent at t arrive at t + 1 + delay.
    pending = [np.zeros((n_steps + network.max_delay + 2, layer.n_neurons), np.int64) for layer in layers]
    synapses = [[(group.source, group.exponent, *group.listed()) for group in layer.synapses] for layer in layers]
    state = [(np.zeros(layer.n_neurons, np.int64), np.zeros(layer.n_neurons, np.int64)) for layer in layers]

    for step in range(n_steps):
        sent = [frames[step].astype(np.int64)]
        for index, layer in enumerate(layers):
            u, v, spikes = neuron_step(layer, *state[index], pending[index][step])
            state[index] = (u, v)
            sent.append(spikes.astype(np.int64))
            for array, value in zip(record[index], (spikes, u, v), strict=True):
                array[step] = value
        for index in range(len(layers)):
            for source, exponent, target, pre, weight, delay in synapses[index]:
                payload = sent[source][pre]
                hit = np.flatnonzero(payload)
                charge = (weight[hit].astype(np.int64) << exponent) * payload[hit]
                np.add.at(pending[index], (step + 1 + delay[hit], target[hit]), charge)
    return [(spikes, u, v) for spikes, u, v in record]


def run(network: IntegerNetwork, frames: np.ndarray) -> Trace:
    """Frames (sample, time, channel), integers, to the full trace of every layer.

    Raises DataError for frames that the network's encoding does not admit, BackendError for a sample whose trace
    takes more memory than MAX_SAMPLE_BYTES.
    """
    frames = checked_frames(network.encoding, frames)
    values = (network.n_steps + network.max_delay) * sum(layer.n_neurons for layer in network.layers)
    if 4 * 8 * values > MAX_SAMPLE_BYTES:
        raise BackendError(
            f"reference: a sample of {network.n_steps} steps takes {4 * 8 * values / 2**30:.1f} GiB, more than "
            f"{MAX_SAMPLE_BYTES >> 30}; run it with the engine, which records less where it is asked to"
        )
    samples = [run_sample(network, sample) for sample in padded_input(frames, network.n_steps)]
    shape = [(0, network.n_steps, layer.n_neurons) for layer in network.layers]

    def stacked(which: int, dtype: type) -> tuple[np.ndarray, ...]:
        return tuple(
            np.stack([sample[index][which] for sample in samples]).astype(dtype) if samples else np.zeros(empty, dtype)
            for index, empty in enumerate(shape)
        )

    return Trace(spikes=stacked(0, np.bool_), u=stacked(1, np.int32), v=stacked(2, np.int32))
