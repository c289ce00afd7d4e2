"""A network as the flat list of values that its file holds, and back: {'layers/0@du': 4095, 'layers/0/...': array}.

A name with '@' is an attribute of the group before it, one without is a dataset. The digest of the content is taken
of this list, the file is written from it, and reading a file gives it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from delaytool.contract.checks import built_from, exact_integer, require, storable_text
from delaytool.contract.digests import canonical_json
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.parts import NetworkContent
from delaytool.contract.strict_json import parse_json
from delaytool.contract.synapses import DenseSynapses, SparseSynapses, Synapses
from delaytool.errors import NetworkError

Values = dict[str, int | float | str | np.ndarray]

SCHEMA = "delaytool-network"
SCHEMA_VERSION = 2
LAYER_INTEGERS = ("n_neurons", "du", "dv", "threshold", "bias_exponent")
MAX_LAYERS = 4096
MAX_GROUPS = 4096  # of one layer


def file_values(network: NetworkContent) -> Values:
    """All that the file of a network holds, but `content_sha256`, which is the digest of this."""
    values: Values = {
        "@schema": SCHEMA,
        "@schema_version": SCHEMA_VERSION,
        "@target": network.target,
        "@n_steps": network.n_steps,
        "@n_layers": len(network.layers),
        "@encoding": canonical_json(network.encoding.as_dict()),
        "@readout": canonical_json(asdict(network.readout)),
        "@integers_sha256": network.integers_sha256(),
        "provenance": canonical_json(dict(network.provenance)),
        "class_names": canonical_json(list(network.class_names)),
        "export": canonical_json(dict(network.export)),
    }
    for index, layer in enumerate(network.layers):
        at = f"layers/{index}"
        values[f"{at}@name"] = layer.name
        values.update({f"{at}@{name}": getattr(layer, name) for name in LAYER_INTEGERS})
        values[f"{at}@n_synapse_groups"] = len(layer.synapses)
        values[f"{at}/bias_mantissa"] = layer.bias_mantissa
        for number, group in enumerate(layer.synapses):
            values.update(_synapse_values(f"{at}/synapses/{number}", group))
    for name, extension in network.extensions.items():
        values.update({f"extensions/{name}/{key}": value for key, value in extension.items()})
    return values


def _synapse_values(at: str, group: Synapses) -> Values:
    sparse = isinstance(group, SparseSynapses)
    values: Values = {
        f"{at}@kind": "sparse" if sparse else "dense",
        f"{at}@source": group.source,
        f"{at}@exponent": group.exponent,
        f"{at}@shape": np.array(group.shape, np.int64),
        f"{at}@n_synapses": group.weight.size,
    }
    for name in ("target", "pre", "weight", "delay") if sparse else ("weight", "delay"):
        values[f"{at}/{name}"] = getattr(group, name)
    return values


def network_fields(values: Values, version: int) -> dict[str, Any]:
    """The fields of `IntegerNetwork` from what a file of schema `version` holds. Raises NetworkError."""
    reader = _Reader(dict(values), version)
    n_layers = reader.count("", "n_layers", "layers", MAX_LAYERS)
    fields: dict[str, Any] = {
        "encoding": built_from(InputEncoding, "encoding", reader.json("@encoding")),
        "readout": built_from(Readout, "readout", reader.json("@readout")),
        "n_steps": reader.integer("@n_steps"),
        "target": reader.text("@target"),
        "provenance": reader.json("provenance", constants_as_null=version == 1),
        "layers": tuple(reader.layer(f"layers/{index}") for index in range(n_layers)),
        "signed": version > 1,
    }
    if version == 1:
        _check_against_report(fields["layers"], fields["provenance"])
        return fields
    fields["class_names"] = _names(reader.json("class_names"))
    fields["export"] = reader.json("export")
    fields["extensions"] = reader.extensions()
    reader.text("@integers_sha256")
    left = next(iter(reader.values), None)
    require(left is None, f"{left} is in the file and belongs to no network; other things go under extensions/")
    return fields


def _names(names: Any) -> tuple[str, ...]:
    require(isinstance(names, list), f"class_names: {names!r} is not a list")
    return tuple(storable_text("network", "class name", name) for name in names)


def _check_against_report(layers: tuple[IntegerLayer, ...], provenance: Any) -> None:
    """Version 1 counts nothing, so that a lost layer or group would not be missed; the exporter's report counts."""
    report = provenance.get("layers") if isinstance(provenance, Mapping) else None
    if not isinstance(report, list) or not all(isinstance(entry, Mapping) for entry in report):
        return
    require(
        len(report) == len(layers), f"the file has {len(layers)} layers, its export had {len(report)}; export it again"
    )
    for layer, entry in zip(layers, report, strict=True):
        exported = entry.get("synapses")
        require(
            exported in (None, layer.n_synapses),
            f"layer {layer.name}: the file has {layer.n_synapses} synapses, its export had {exported}; export it again",
        )


class _Reader:
    """Takes values out of a file's list; those that the format does not have are left at the end."""

    def __init__(self, values: Values, version: int) -> None:
        self.values = values
        self.version = version
        self.members: dict[str, set[str]] = {}  # of each group, by its name
        for name in values:
            *groups, last = name.split("/")
            parts = [*groups, last.partition("@")[0]]
            for length in range(1, len(parts)):
                self.members.setdefault("/".join(parts[:length]), set()).add(parts[length])

    def _taken(self, name: str) -> Any:
        if name not in self.values:
            raise NetworkError(f"{name} is missing, so the file is damaged; export it again")
        return self.values.pop(name)

    def integer(self, name: str) -> int:
        return exact_integer("network file", name, self._taken(name))

    def text(self, name: str) -> str:
        return storable_text("network file", name, self._taken(name))

    def array(self, name: str) -> np.ndarray:
        value = self._taken(name)
        given = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        require(isinstance(value, np.ndarray) and value.dtype.kind in "iu", f"{name}: values are {given}, not integers")
        return np.asarray(value)

    def json(self, name: str, *, constants_as_null: bool = False) -> Any:
        text = self.text(name)
        try:
            return parse_json(text, constants_as_null=constants_as_null)
        except ValueError as error:
            raise NetworkError(f"{name}: this is not JSON ({error}); export it again") from None

    def count(self, at: str, attribute: str, members: str, most: int) -> int:
        """Numbered members of a group: as many as the file states; in version 1, which states none, all from 0 on."""
        group = f"{at}/{members}" if at else members
        found = self.members.get(group, set())
        count = len(found) if self.version == 1 else self.integer(f"{at}@{attribute}")
        require(0 <= count <= most, f"{at}@{attribute}: {count} is outside 0..{most}")
        require(
            found == {str(index) for index in range(count)},
            f"{group}: the file has {len(found)} members, not the {count} numbered from 0; export it again",
        )
        return count

    def layer(self, at: str) -> IntegerLayer:
        n_groups = self.count(at, "n_synapse_groups", "synapses", MAX_GROUPS)
        name = self.text(f"{at}@name")
        integers = {key: self.integer(f"{at}@{key}") for key in LAYER_INTEGERS}
        bias = self.array(f"{at}/bias_mantissa")
        require(
            bias.shape == (integers["n_neurons"],),
            f"{at}: bias_mantissa has shape {bias.shape}, not ({integers['n_neurons']},)",
        )
        groups = tuple(self.synapses(f"{at}/synapses/{number}") for number in range(n_groups))
        return IntegerLayer(name=name, synapses=groups, bias_mantissa=bias, **integers)

    def synapses(self, at: str) -> Synapses:
        kind, source, exponent = self.text(f"{at}@kind"), self.integer(f"{at}@source"), self.integer(f"{at}@exponent")
        require(kind in ("dense", "sparse"), f"{at}: kind {kind!r} is unknown; it is 'dense' or 'sparse'")
        shape = self._shape(f"{at}@shape") if self.version > 1 or kind == "sparse" else None
        group: Synapses
        if kind == "sparse":
            assert shape is not None
            target, pre, weight, delay = (self.array(f"{at}/{name}") for name in ("target", "pre", "weight", "delay"))
            group = SparseSynapses(source, *shape, target, pre, weight, delay, exponent)
        else:
            group = DenseSynapses(source, self.array(f"{at}/weight"), self.array(f"{at}/delay"), exponent)
        if self.version > 1:
            require(group.shape == shape, f"{at}: weight has shape {group.shape}, the file states {shape}")
            stored = self.integer(f"{at}@n_synapses")
            require(
                stored == group.weight.size, f"{at}: {group.weight.size} synapses are stored, the file states {stored}"
            )
        return group

    def _shape(self, name: str) -> tuple[int, int]:
        shape = self.array(name)
        require(shape.shape == (2,), f"{name}: {shape.size} sizes, not (n_out, n_in)")
        return int(shape[0]), int(shape[1])

    def extensions(self) -> dict[str, dict[str, str | np.ndarray]]:
        found: dict[str, dict[str, Any]] = {}
        for full in [name for name in self.values if name.startswith("extensions/") and "@" not in name]:
            _, name, *key = full.split("/", 2)
            require(len(key) == 1, f"{full}: an extension is a group of values")
            found.setdefault(name, {})[key[0]] = self._taken(full)
        return found
