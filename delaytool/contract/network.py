"""IntegerNetwork: the numbers between exporter and runtime, proven to make a network when they are put together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from delaytool.contract import digests, hdf5, reach
from delaytool.contract.bounds import MAX_DELAY, MAX_STEPS, MAX_WEIGHT_EXPONENT
from delaytool.contract.checks import check_array_range, check_range, exact_integer, require, storable_text
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.metadata import as_json, checked_extensions, same_extensions
from delaytool.contract.reach import check_accumulators
from delaytool.contract.values import file_values
from delaytool.errors import NetworkError
from delaytool.printable import html_table


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """What the exporter makes and every backend runs.

    Two networks are equal where all their integers, in the same storage, and all metadata are: target, names, export,
    provenance, extensions; not `signed`. Equal networks have equal hashes: the hash is of `integers_sha256`, so that
    networks which compute the same share it, however they are stored and called.

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
    extensions   what other formats and tests keep beside it: {name: {key: text, or array of integers or floats}}

    Raises NetworkError for anything that the contract does not hold. The limits of `target` are checked when the
    network is saved and loaded, not here: an exporter's pass may still have to make it fit.

    >>> network = IntegerNetwork.load("tests/golden/three-layers.h5")
    >>> [(layer.name, layer.n_neurons) for layer in network.layers]
    [('hidden1', 16), ('hidden2', 16), ('readout', 5)]
    >>> network.n_classes, network.max_delay, network.n_steps
    (5, 62, 120)
    """

    encoding: InputEncoding
    layers: tuple[IntegerLayer, ...]
    readout: Readout
    n_steps: int
    target: str = "ideal"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    export: Mapping[str, Any] = field(default_factory=dict)
    signed: bool = True
    extensions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        object.__setattr__(self, "n_steps", exact_integer("network", "n_steps", self.n_steps))
        object.__setattr__(self, "target", storable_text("network", "target", self.target))
        require(isinstance(self.encoding, InputEncoding), "network: encoding is no InputEncoding")
        for name in ("provenance", "export"):
            object.__setattr__(self, name, as_json(name, getattr(self, name)))
        object.__setattr__(self, "extensions", checked_extensions(self.extensions))
        require(len(self.layers) >= 1, "network: it has no layers")
        require(self.n_steps >= 1, f"network: n_steps {self.n_steps} leaves no time steps; it must be at least 1")
        require(
            self.n_steps <= MAX_STEPS,
            f"network: n_steps {self.n_steps} is more than the {MAX_STEPS} that a run records; "
            "run what has no end as a Stream, of a network with fewer",
        )
        require(
            self.readout.stop <= self.n_steps,
            f"readout: the window ends at step {self.readout.stop}, the run at {self.n_steps}",
        )
        for layer in self.layers:
            self._check_layer(layer)
        self._check_names()

    def _check_names(self) -> None:
        layers = [layer.name for layer in self.layers]
        twice = next((name for name in layers if layers.count(name) > 1), None)
        require(twice is None, f"network: two layers are called {twice!r}; give each a name of its own")
        require(
            not isinstance(self.class_names, str), f"network: class_names {self.class_names!r} is one text, not a list"
        )
        names = tuple(storable_text("network", "class name", name) for name in self.class_names)
        object.__setattr__(self, "class_names", names)
        require(
            len(names) in (0, self.n_classes),
            f"network: {len(names)} class_names for {self.n_classes} classes; give one for each, or none",
        )
        seen: set[str] = set()
        for name in names:
            require(name not in seen, f"network: class name {name!r} stands for several classes; give each its own")
            seen.add(name)

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
        check_accumulators(layer, self.payloads)

    @property
    def payloads(self) -> tuple[int, ...]:
        """Largest value that a spike of each population carries: of the input, then of every layer."""
        return (self.encoding.max_payload, *(1 for _ in self.layers))

    def current_reach(self, layer: IntegerLayer) -> int:
        """No |u| of a layer can be larger, whatever the input; see `reach.current_reach`."""
        return reach.current_reach(layer, self.payloads)

    def input_bounds(self, layer: IntegerLayer) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest sum of one step, (n_neurons,) int64 each; see `reach.input_bounds`."""
        return reach.input_bounds(layer, self.payloads)

    def n_neurons_of(self, source: int) -> int:
        """Size of a population as synapse groups number them: 0 the input, k layer k - 1."""
        return self.encoding.n_channels if source == 0 else self.layers[source - 1].n_neurons

    def max_payload_of(self, source: int) -> int:
        """Largest value that a spike of this population carries."""
        return self.payloads[source]

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

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IntegerNetwork):
            return NotImplemented
        return self is other or (
            all(
                getattr(self, name) == getattr(other, name)
                for name in ("encoding", "layers", "readout", "n_steps", "target", "class_names")
            )
            and digests.canonical_json(self.provenance) == digests.canonical_json(other.provenance)
            and digests.canonical_json(self.export) == digests.canonical_json(other.export)
            and same_extensions(self.extensions, other.extensions)
        )

    def __hash__(self) -> int:
        return hash(self.integers_sha256())

    def __repr__(self) -> str:
        """Shapes, not arrays."""
        sizes = " -> ".join(map(str, (self.encoding.n_channels, *(layer.n_neurons for layer in self.layers))))
        return (
            f"IntegerNetwork({sizes}, {self.n_synapses} synapses, max_delay={self.max_delay}, n_steps={self.n_steps}, "
            f"target={self.target!r})"
        )

    def _repr_html_(self) -> str:
        """For notebooks."""
        rows = (
            (layer.name, layer.n_neurons, layer.n_synapses, layer.max_delay, layer.threshold, layer.du, layer.dv)
            for layer in self.layers
        )
        head = ("layer", "neurons", "synapses", "longest delay", "threshold", "du", "dv")
        names = f"; classes {', '.join(self.class_names)}" if self.class_names else ""
        caption = f"{self.encoding.n_channels} inputs, {self.n_steps} steps, for {self.target}{names}"
        return html_table(caption, head, rows)

    def integers_sha256(self) -> str:
        """SHA-256 of all that decides what the network computes; `digests.integers_sha256` lists it."""
        return self._integers_sha256

    @cached_property
    def _integers_sha256(self) -> str:
        return digests.integers_sha256(self)

    def content_sha256(self) -> str:
        """SHA-256 of all that the file which `save` writes holds, as the file states it.

        `docs/file-formats.md` describes how to compute it from the file.
        """
        return digests.content_sha256(file_values(self))

    def save(self, path: str | os.PathLike[str], *, chip_limits: bool = True) -> None:
        """Write the network as HDF5; the file appears whole or not at all.

        chip_limits   refuse a network that its target's limits do not admit
        Raises NetworkError for that, and for metadata beyond what a file may hold.
        """
        if chip_limits:
            self._check_target()
        hdf5.save(file_values(self), path)

    @staticmethod
    def load(path: str | os.PathLike[str], *, chip_limits: bool = True) -> IntegerNetwork:
        """Read a network file; one of version 1, which has no digests, gives `signed` False.

        chip_limits   refuse a network that its target's limits do not admit; without it hw_configs is not loaded
        Raises NetworkError for a file that is missing, foreign, changed since it was written, or inconsistent.
        """
        network = hdf5.load(path, IntegerNetwork)
        if chip_limits:
            try:
                network._check_target()
            except NetworkError as error:
                raise NetworkError(f"{path}: {error}") from None
        return network

    def _check_target(self) -> None:
        # Only here: Lava's workers have numpy and h5py and need no chip's limits.
        from delaytool.contract.limits import check_target

        check_target(self)
