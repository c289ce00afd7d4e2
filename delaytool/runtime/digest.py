"""A trace as one number for each sample, layer and kind, to compare whole test sets without keeping their traces.

The digest of an array x (step, neuron) is the sum of x * key(step, neuron) modulo 2^64, with fixed odd pseudo-random
keys (splitmix64). One wrong value always changes it; several escape with a chance of about 2^-64, unless they
were chosen to. The order of summing is free, so any backend can compute it.
"""

from __future__ import annotations

import numpy as np

from delaytool.runtime.trace import Trace


def keys(n_steps: int, n_neurons: int) -> np.ndarray:
    """(step, neuron) uint64, odd."""
    number = np.arange(1, n_steps * n_neurons + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = number * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) | np.uint64(1)).reshape(n_steps, n_neurons)


def digests(trace: Trace) -> np.ndarray:
    """(sample, layer, kind) uint64, the kinds being spikes, u and v, of any backend's full trace."""
    n_samples = trace.n_samples
    result = np.zeros((n_samples, len(trace.spikes), 3), np.uint64)
    for layer, arrays in enumerate(zip(trace.spikes, trace.u, trace.v, strict=True)):
        key = keys(*arrays[0].shape[1:]).ravel()
        for kind, array in enumerate(arrays):
            for sample in range(n_samples):
                # Negative values wrap into 2^64 - |x|, which is what the sum modulo 2^64 wants.
                values = array[sample].reshape(-1).astype(np.int64).view(np.uint64)
                result[sample, layer, kind] = (values * key).sum(dtype=np.uint64)
    return result


def differing(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Samples, ascending, on which two sets of digests differ: those to run again with full traces."""
    return np.flatnonzero((ours != theirs).any(axis=(1, 2)))
