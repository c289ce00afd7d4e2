"""IntegerNetwork: the numbers between exporter and runtime, proven to make a network when they are put together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from delaytool.contract import digests, hdf5
from delaytool.contract.bounds import (
    ACCUMULATOR_LIMIT,
    DECAY_UNITY,
    MAX_DELAY,
    MAX_WEIGHT_EXPONENT,
    STATE_LIMIT,
    STATE_SHIFT,
)
from delaytool.contract.checks import check_array_range, check_range, require
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout


@dataclass(frozen=True)
class IntegerNetwork:
    """What the exporter makes and every backend runs.

    encoding     how events become frames (sample, time, channel)
    layers       in order; the last one is the readout
    readout      how the last layer's membrane becomes a class
    n_steps      chip steps of a sample: the input's frames, then silence until the last delay has passed
    target       the chip that it is made for, or 'ideal'
    class_names  empty, or one name per class
    export       how the exporter made it, to make it again (JSON values): `checkpoint` ('best' or 'last'),
                 `clip_delays`, `scales` (per layer), `calibration_samples`; empty for what was not exported
    signed       False where it was loaded from a file that carries no digests, so that nothing vouches for its numbers
    provenance   where it came from: recipe and checkpoint hashes, tool version, recorded accuracies (JSON values)
    """

    encoding: InputEncoding
    layers: tuple[IntegerLayer, ...]
    readout: Readout
    n_steps: int
    target: str = "ideal"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    export: Mapping[str, Any] = field(default_factory=dict)
    signed: bool = field(default=True, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        require(len(self.layers) >= 1, "network: it has no layers")
        require(self.n_steps >= 1, f"network: n_steps {self.n_steps} leaves no time steps; it must be at least 1")
        require(
            self.readout.stop <= self.n_steps,
            f"readout: the window ends at step {self.readout.stop}, the run at {self.n_steps}",
        )
        for layer in self.layers:
            self._check_layer(layer)
        self._check_class_names()

    def _check_class_names(self) -> None:
        names = tuple(self.class_names)
        object.__setattr__(self, "class_names", names)
        require(all(isinstance(name, str) for name in names), f"network: class_names {names!r} are not all texts")
        require(
            len(names) in (0, self.n_classes),
            f"network: {len(names)} class_names for {self.n_classes} classes; give one for each, or none",
        )
        twice = next((name for name in names if names.count(name) > 1), None)
        require(twice is None, f"network: class name {twice!r} stands for several classes; give each its own")

    def _check_layer(self, layer: IntegerLayer) -> None:
        where = f"layer {layer.name}"
        for number, group in enumerate(layer.synapses):
            at = f"{where}, synapse group {number}"
            check_range(at, "source", group.source, 0, len(self.layers))
            expected = (layer.n_neurons, self.n_neurons_of(group.source))
            require(
                group.shape == expected,
                f"{at}: its shape is {group.shape}, the populations that it joins need {expected}",
            )
            check_range(at, "exponent", group.exponent, 0, MAX_WEIGHT_EXPONENT)
            check_array_range(at, "delay", group.delay, 0, MAX_DELAY)
        low, high = self.input_bounds(layer)
        largest = int(max(high.max(), -low.min()))
        charge = largest << STATE_SHIFT
        # A sum of at most 2^24 wraps back into 24 bits. Beyond it what one wrap leaves over can pile up, but no
        # further than this geometric series.
        excess = max(0, charge - 2 * STATE_LIMIT)
        current = max(STATE_LIMIT, excess * DECAY_UNITY // (layer.du + 1))
        require(
            charge + current + 2 * STATE_LIMIT <= ACCUMULATOR_LIMIT,
            f"{where}: one step's input can reach {largest}, beyond what 32-bit accumulators hold; "
            "export with smaller weight exponents or a smaller max_count",
        )

    def input_bounds(self, layer: IntegerLayer) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest sum that one step can bring to each neuron of a layer, before the shift.

        Exact bounds, (n_neurons,) int64 each: a synapse delivers at most once a step, with at most the largest
        payload of its source, and which synapses do is free.
        """
        low = np.zeros(layer.n_neurons, np.int64)
        high = np.zeros(layer.n_neurons, np.int64)
        for group in layer.synapses:
            target, _, weight, _ = group.listed()
            charge = (weight.astype(np.int64) << group.exponent) * self.max_payload_of(group.source)
            np.add.at(low, target, np.minimum(charge, 0))
            np.add.at(high, target, np.maximum(charge, 0))
        return low, high

    def n_neurons_of(self, source: int) -> int:
        """Size of a population as synapse groups number them: 0 the input, k layer k - 1."""
        return self.encoding.n_channels if source == 0 else self.layers[source - 1].n_neurons

    def max_payload_of(self, source: int) -> int:
        """Largest value that a spike of this population carries."""
        return self.encoding.max_payload if source == 0 else 1

    def name_of(self, source: int) -> str:
        return "input" if source == 0 else self.layers[source - 1].name

    @property
    def n_classes(self) -> int:
        return self.layers[-1].n_neurons

    @property
    def max_delay(self) -> int:
        return max(layer.max_delay for layer in self.layers)

    @property
    def n_synapses(self) -> int:
        return sum(layer.n_synapses for layer in self.layers)

    def integers_sha256(self) -> str:
        """SHA-256 of all that decides what the network computes; `digests.integers_sha256` lists it."""
        return self._integers_sha256

    @cached_property
    def _integers_sha256(self) -> str:
        return digests.integers_sha256(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network as HDF5; the file appears whole or not at all."""
        hdf5.save(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> IntegerNetwork:
        """Read a network file. Raises NetworkError for one that is missing, foreign, truncated or inconsistent."""
        return hdf5.load(path, IntegerNetwork)
