"""SHA-256 digests of integers and texts that do not depend on how a file or a machine stores them.

A digest is SHA-256 over records. A record is a line and a value after it:

    NAME KIND SHAPE\\n      ASCII; KIND is 'int', 'float' or 'text'; SHAPE is the sizes joined by commas
    value                   int: 64-bit two's complement; float: 64-bit IEEE 754; text: UTF-8
                            numbers in little-endian byte order, the last index running fastest

A single number has an empty SHAPE, a text has its number of bytes. `docs/file-formats.md` lists the records that make
which digest, and how to compute one without delaytool.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from delaytool.contract.parts import NetworkNumbers
from delaytool.contract.synapses import SparseSynapses, Synapses

PIECE = 1 << 20  # numbers


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: one text for one value. Raises ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def record(name: str, value: str | int | float | np.ndarray) -> Iterator[bytes]:
    """One record of a digest, in pieces: large arrays are not copied as a whole."""
    if isinstance(value, str):
        data = value.encode()
        yield f"{name} text {len(data)}\n".encode() + data
        return
    array = np.asarray(value)
    kind, stored = ("float", "<f8") if array.dtype.kind == "f" else ("int", "<i8")
    shape = ",".join(map(str, array.shape))
    yield f"{name} {kind} {shape}\n".encode()
    flat = np.ravel(array)
    for start in range(0, flat.size, PIECE):
        yield flat[start : start + PIECE].astype(stored).tobytes()


def sha256_of(pieces: Iterable[bytes]) -> str:
    """Hexadecimal SHA-256 of pieces, one after the other."""
    digest = hashlib.sha256()
    for one in pieces:
        digest.update(one)
    return digest.hexdigest()


def content_sha256(values: Mapping[str, str | int | float | np.ndarray]) -> str:
    """SHA-256 of values by name, as records sorted by name (by code point)."""
    return sha256_of(piece for name in sorted(values) for piece in record(name, values[name]))


def integers_sha256(network: NetworkNumbers) -> str:
    """SHA-256 of all that decides what a network computes: encoding, layers, synapses, readout, n_steps.

    Names, target and provenance do not count, nor whether synapses are stored as matrices or one by one, nor
    synapses of weight 0: equal digests mean equal spikes, currents, membranes and classes for every input.
    The records, in this order, where i and j count from 0:

        encoding, readout                        canonical JSON (see `canonical_json`)
        n_steps, n_layers                        int
        layers/i/n_neurons, du, dv, threshold, bias_exponent    int, each under layers/i/
        layers/i/bias_mantissa                   int (n_neurons,)
        layers/i/n_synapse_groups                int
        layers/i/synapses/j/source, exponent     int, each under layers/i/synapses/j/
        layers/i/synapses/j/target, pre, weight, delay    int (n_synapses,): the synapses whose weight is not 0,
                                                 sorted by target, then pre, delay, weight
    """
    return sha256_of(_integer_records(network))


def _integer_records(network: NetworkNumbers) -> Iterator[bytes]:
    yield from record("encoding", canonical_json(network.encoding.as_dict()))
    yield from record("readout", canonical_json(asdict(network.readout)))
    yield from record("n_steps", network.n_steps)
    yield from record("n_layers", len(network.layers))
    for index, layer in enumerate(network.layers):
        at = f"layers/{index}"
        for name in ("n_neurons", "du", "dv", "threshold", "bias_exponent", "bias_mantissa"):
            yield from record(f"{at}/{name}", getattr(layer, name))
        yield from record(f"{at}/n_synapse_groups", len(layer.synapses))
        for number, group in enumerate(layer.synapses):
            yield from _synapse_records(f"{at}/synapses/{number}", group)


def _synapse_records(at: str, group: Synapses) -> Iterator[bytes]:
    yield from record(f"{at}/source", group.source)
    yield from record(f"{at}/exponent", group.exponent)
    target, pre, weight, delay = group.listed()
    if isinstance(group, SparseSynapses):  # a matrix lists its synapses in this order
        order = np.lexsort((weight, delay, pre, target))
        target, pre, weight, delay = (array[order] for array in (target, pre, weight, delay))
    for name, array in (("target", target), ("pre", pre), ("weight", weight), ("delay", delay)):
        yield from record(f"{at}/{name}", array)
