"""What a backend recorded: spikes, currents and membranes of every layer at every step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Trace:
    """One array per layer, in the network's order.

    spikes   (sample, step, neuron) bool
    u, v     (sample, step, neuron) int32: after the step's update; v after the reset

    A spike that is sent at step 2 over a synapse of weight 64 and delay 0 is in the current at step 3:

    >>> import delaytool as dt
    >>> network = dt.load("tests/golden/delay-0.h5")
    >>> trace = dt.run(network, [[[0], [0], [1], [0], [0]]])
    >>> trace.u[0][0, :5, 0].tolist()
    [0, 0, 0, 4096, 3072]
    """

    spikes: tuple[np.ndarray, ...]
    u: tuple[np.ndarray, ...]
    v: tuple[np.ndarray, ...]

    def __repr__(self) -> str:
        """Shapes, not arrays."""
        samples, steps = self.n_samples, max(layer.shape[1] for layer in self.spikes)  # some may not be recorded
        neurons = ", ".join(str(layer.shape[2]) for layer in self.spikes)
        return f"{type(self).__name__}({samples} samples, {steps} steps, layers of {neurons} neurons)"

    @property
    def n_samples(self) -> int:
        return self.spikes[0].shape[0]

    @property
    def readout(self) -> np.ndarray:
        """(sample, step, class) int32: the last layer's membrane."""
        return self.v[-1]

    def events(self) -> np.ndarray:
        """(sample, layer) int64: spikes fired."""
        return np.stack([layer.sum(axis=(1, 2), dtype=np.int64) for layer in self.spikes], axis=1)
