"""SHA-256 digests of integers and texts that do not depend on how a file or a machine stores them.

A digest is SHA-256 over records. A record is a line and a value after it:

    NAME KIND SHAPE\\n      ASCII; KIND is 'int', 'float' or 'text'; SHAPE is the sizes joined by commas
    value                   int: 64-bit two's complement; float: 64-bit IEEE 754; text: UTF-8
                            numbers in little-endian byte order, the last index running fastest

A single number has an empty SHAPE, a text has its number of bytes. `docs/file-formats.md` says which records make
which digest, and how to compute one without delaytool.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from delaytool.contract.synapses import Synapses

if TYPE_CHECKING:
    from delaytool.contract.network import IntegerNetwork


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: one text for one value. Raises ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def record(name: str, value: str | int | float | np.ndarray) -> bytes:
    """One record of a digest."""
    if isinstance(value, str):
        data = value.encode()
        return f"{name} text {len(data)}\n".encode() + data
    array = np.asarray(value)
    kind, stored = ("float", "<f8") if array.dtype.kind == "f" else ("int", "<i8")
    shape = ",".join(map(str, array.shape))
    return f"{name} {kind} {shape}\n".encode() + array.astype(stored).tobytes(order="C")


def sha256_of_records(records: Iterable[bytes]) -> str:
    """Hexadecimal SHA-256 of records, one after the other."""
    digest = hashlib.sha256()
    for one in records:
        digest.update(one)
    return digest.hexdigest()


def integers_sha256(network: IntegerNetwork) -> str:
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
    return sha256_of_records(_integer_records(network))


def _integer_records(network: IntegerNetwork) -> Iterable[bytes]:
    yield record("encoding", canonical_json(network.encoding.as_dict()))
    yield record("readout", canonical_json(asdict(network.readout)))
    yield record("n_steps", network.n_steps)
    yield record("n_layers", len(network.layers))
    for index, layer in enumerate(network.layers):
        at = f"layers/{index}"
        for name in ("n_neurons", "du", "dv", "threshold", "bias_exponent", "bias_mantissa"):
            yield record(f"{at}/{name}", getattr(layer, name))
        yield record(f"{at}/n_synapse_groups", len(layer.synapses))
        for number, group in enumerate(layer.synapses):
            yield from _synapse_records(f"{at}/synapses/{number}", group)


def _synapse_records(at: str, group: Synapses) -> Iterable[bytes]:
    yield record(f"{at}/source", group.source)
    yield record(f"{at}/exponent", group.exponent)
    target, pre, weight, delay = group.listed()
    order = np.lexsort((weight, delay, pre, target))
    for name, array in (("target", target), ("pre", pre), ("weight", weight), ("delay", delay)):
        yield record(f"{at}/{name}", array[order])
