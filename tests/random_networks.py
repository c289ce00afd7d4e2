"""Random integer networks that go to the edges of the contract, for tests of every backend.

Numpy only and seeded, so that hypothesis (which draws the seed) and a plain loop use the same generator.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from delaytool.contract.bounds import MAX_THRESHOLD
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, SparseSynapses, Synapses
from delaytool.errors import NetworkError


def random_network(
    rng: np.random.Generator,
    *,
    n_layers: int | None = None,
    max_neurons: int = 8,
    max_steps: int = 90,
    n_samples: int | None = None,
    max_delay: int = 62,
    even_weights: bool = True,
    sparse: bool = True,
    graded: bool = True,
    biases: bool = True,
    other_sources: bool = True,
) -> tuple[IntegerNetwork, np.ndarray]:
    """A valid network and frames (sample, time, channel) uint8 for it.

    1 to 3 layers; dense and sparse groups, repeated pairs (several taps per synapse); exponents 0..7; delays
    0..max_delay; biases with exponents; decays over the full range; large sums, so that u wraps and v clips;
    counts up to 255; recurrent and skip sources. The keywords switch these off. Frames are sometimes shorter
    or longer than the network's n_steps.
    """
    n_layers = int(rng.integers(1, 4)) if n_layers is None else n_layers
    n_samples = int(rng.integers(1, 4)) if n_samples is None else n_samples
    n_steps = int(rng.integers(1, max_steps + 1))
    max_count = int(rng.choice([2, 7, 255])) if graded and rng.random() < 0.6 else 1
    encoding = InputEncoding(
        n_units=int(rng.integers(1, max_neurons + 1)),
        values="count" if max_count > 1 else "binary",
        max_count=max_count if max_count > 1 else None,
        n_steps=n_steps,
    )
    sizes = [encoding.n_channels, *(int(rng.integers(1, max_neurons + 1)) for _ in range(n_layers))]
    layers: list[IntegerLayer] = []
    for index in range(n_layers):
        sources = [index]
        if other_sources and rng.random() < 0.5:
            sources += list(rng.choice(n_layers + 1, size=int(rng.integers(1, 3))))
        groups = tuple(
            _random_group(rng, int(source), sizes[index + 1], sizes[source], max_delay, even_weights, sparse)
            for source in sources
        )
        layers.append(
            IntegerLayer(
                name="readout" if index == n_layers - 1 else f"hidden{index}",
                n_neurons=sizes[index + 1],
                synapses=groups,
                du=_edge_or_any(rng, (0, 1, 4095, 4095, 4094), 4095),
                dv=_edge_or_any(rng, (0, 1, 4095, 409, 1024), 4095),
                threshold=int(rng.choice([0, 1, 100, 1000, 20000, MAX_THRESHOLD])),
                bias_mantissa=_random_bias(rng, sizes[index + 1]) if biases else np.zeros(0, np.int32),
                bias_exponent=int(rng.integers(0, 8)),
            )
        )
    start = int(rng.integers(0, n_steps))
    readout = Readout("softmax-sum", scale=1024.0, start=start, stop=int(rng.integers(start + 1, n_steps + 1)))
    network = _admitted(encoding, layers, readout, n_steps)
    return network, _random_frames(rng, network.encoding, n_samples, n_steps)


def _random_group(
    rng: np.random.Generator, source: int, n_out: int, n_in: int, max_delay: int, even_weights: bool, sparse: bool
) -> Synapses:
    is_sparse = sparse and rng.random() < 0.4
    # Sparse groups draw pairs with replacement, so some pairs have several taps; the group may be empty.
    shape = (int(rng.integers(0, 2 * n_out * n_in + 1)),) if is_sparse else (n_out, n_in)
    weight = rng.integers(-128, 128, shape) * 2 + (0 if even_weights else rng.integers(0, 2, shape))
    small = rng.random() < 0.3
    weight = np.where(rng.random(shape) < 0.15, 0, weight // 16 * 2 if small else weight)
    edge = rng.random(shape)
    weight = np.where(edge < 0.05, -256, np.where(edge > 0.95, 254, weight))
    limit = int(rng.choice([0, max_delay, int(rng.integers(0, max_delay + 1))]))
    delay = rng.integers(0, limit + 1, shape)
    delay = np.where(rng.random(shape) < 0.1, limit, delay)
    exponent = int(rng.choice([0, 0, 7, int(rng.integers(0, 8))]))
    if not is_sparse:
        return DenseSynapses(source=source, weight=weight, delay=delay, exponent=exponent)
    target, pre = rng.integers(0, n_out, shape), rng.integers(0, n_in, shape)
    return SparseSynapses(source, n_out, n_in, target, pre, weight, delay, exponent)


def _random_bias(rng: np.random.Generator, n_neurons: int) -> np.ndarray:
    bias = rng.integers(-4096, 4096, n_neurons) // int(rng.choice([1, 1, 64]))
    edge = rng.random(n_neurons)
    return np.where(edge < 0.1, -4096, np.where(edge > 0.9, 4095, np.where(edge < 0.4, 0, bias)))


def _edge_or_any(rng: np.random.Generator, edges: tuple[int, ...], high: int) -> int:
    return int(rng.choice(edges)) if rng.random() < 0.6 else int(rng.integers(0, high + 1))


def _random_frames(rng: np.random.Generator, encoding: InputEncoding, n_samples: int, n_steps: int) -> np.ndarray:
    n_frames = max(1, n_steps + int(rng.choice([0, 0, -5, 5])))
    shape = (n_samples, n_frames, encoding.n_channels)
    rate = float(rng.choice([0.05, 0.3, 1.0]))
    frames = rng.integers(1, encoding.max_payload + 1, shape) * (rng.random(shape) < rate)
    return frames.astype(np.uint8)


def _admitted(encoding: InputEncoding, layers: list[IntegerLayer], readout: Readout, n_steps: int) -> IntegerNetwork:
    """The network, with exponents lowered (and, where that is not enough, du raised) until its sums fit 32 bits."""
    while True:
        try:
            return IntegerNetwork(encoding, tuple(layers), readout, n_steps, provenance={"made by": "random_network"})
        except NetworkError as error:
            if "accumulators" not in str(error):
                raise
            index = next(i for i, layer in enumerate(layers) if f"layer {layer.name}:" in str(error))
        largest = max(group.exponent for group in layers[index].synapses)
        if largest == 0:
            layers[index] = replace(layers[index], du=4095)
            encoding = replace(encoding, max_count=min(encoding.max_payload, 255) // 2 or 1)
        lowered = tuple(
            replace(group, exponent=group.exponent - 1) if 0 < group.exponent == largest else group
            for group in layers[index].synapses
        )
        layers[index] = replace(layers[index], synapses=lowered)
