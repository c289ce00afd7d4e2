"""Networks that read recordings and events, of random integers."""

from __future__ import annotations

import numpy as np

from delaytool.contract.encoding import InputEncoding, MelSpectrogram
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses

NAMES = ("no", "one", "seven", "yes")


def network_of(encoding: InputEncoding, seed: int = 0, method: str = "softmax-sum") -> IntegerNetwork:
    """12 hidden neurons with delays to 9, four classes; what comes in decides what comes out."""
    rng = np.random.default_rng(seed)

    def synapses(source: int, n_out: int, n_in: int) -> DenseSynapses:
        return DenseSynapses(source, 2 * rng.integers(-60, 64, (n_out, n_in)), rng.integers(0, 10, (n_out, n_in)))

    n_steps = (encoding.n_steps or 0) + 14
    return IntegerNetwork(
        encoding=encoding,
        layers=(
            IntegerLayer("hidden1", 12, (synapses(0, 12, encoding.n_channels),), dv=1024, threshold=100),
            IntegerLayer("readout", 4, (synapses(1, 4, 12),), dv=1024, threshold=131071),
        ),
        readout=Readout(method, scale=4096.0, start=3, stop=n_steps - 1),
        n_steps=n_steps,
        class_names=NAMES,
    )


def sound_encoding(seconds: float | None = 0.5, n_steps: int = 51) -> InputEncoding:
    mel = MelSpectrogram(8000, window=200, n_fft=256, n_mels=20, f_min=50.0, f_max=4000.0, seconds=seconds)
    return InputEncoding(20, values="graded", input_bits=4, offset=-40.0, scale=4.0, n_steps=n_steps, mel=mel)
