"""The network file: HDF5, see `docs/file-formats.md`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.synapses import DenseSynapses, SparseSynapses, Synapses
from delaytool.errors import NetworkError, first_line
from delaytool.files import atomic_path

if TYPE_CHECKING:
    from delaytool.contract.network import IntegerNetwork

SCHEMA = "delaytool-network"
SCHEMA_VERSION = 1


def save(network: IntegerNetwork, path: str | os.PathLike[str]) -> None:
    """Write the network as HDF5; the file appears whole or not at all."""
    # The layout of HDF5 1.10 spends far less than the older one on small datasets, as sparse networks have.
    with atomic_path(path) as temporary, h5py.File(temporary, "w", libver=("v110", "v110")) as file:
        file.attrs["schema"] = SCHEMA
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.attrs["target"] = network.target
        file.attrs["n_steps"] = network.n_steps
        file.attrs["encoding"] = json.dumps(network.encoding.as_dict())
        file.attrs["readout"] = json.dumps(asdict(network.readout))
        file["provenance"] = json.dumps(dict(network.provenance))
        file["class_names"] = json.dumps(network.class_names)
        file["export"] = json.dumps(dict(network.export))
        for index, layer in enumerate(network.layers):
            _save_layer(file.create_group(f"layers/{index}"), layer)


def load(path: str | os.PathLike[str], build: Callable[..., IntegerNetwork]) -> IntegerNetwork:
    """Read a network file and `build` it from its fields.

    Raises NetworkError for one that is missing, foreign, truncated or inconsistent.
    """
    try:
        with h5py.File(path, "r") as file:
            return build(**_fields(file, path))
    except NetworkError as error:
        text = str(error)
        raise NetworkError(text if str(path) in text else f"{path}: {text}") from None
    except FileNotFoundError:
        raise NetworkError(f"{path}: no such file; give the network that `delaytool export` wrote") from None
    except IsADirectoryError:
        raise NetworkError(f"{path}: this is a folder; give the network file that `delaytool export` wrote") from None
    except OSError as error:
        raise NetworkError(f"{path}: not a readable HDF5 file ({first_line(error)}); export it again") from None
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise NetworkError(f"{path}: the network file is damaged ({first_line(error)}); export it again") from None


def _save_layer(group: h5py.Group, layer: IntegerLayer) -> None:
    for name in ("name", "n_neurons", "du", "dv", "threshold", "bias_exponent"):
        group.attrs[name] = getattr(layer, name)
    group["bias_mantissa"] = layer.bias_mantissa
    for number, synapses in enumerate(layer.synapses):
        sub = group.create_group(f"synapses/{number}")
        sparse = isinstance(synapses, SparseSynapses)
        sub.attrs["kind"] = "sparse" if sparse else "dense"
        sub.attrs["source"] = synapses.source
        sub.attrs["exponent"] = synapses.exponent
        if sparse:
            sub.attrs["shape"] = synapses.shape
        for name in ("target", "pre", "weight", "delay") if sparse else ("weight", "delay"):
            array = getattr(synapses, name)
            sub.create_dataset(name, data=_narrowed(array), compression="gzip" if array.size else None)


def _fields(file: h5py.File, path: str | os.PathLike[str]) -> dict[str, Any]:
    if file.attrs.get("schema") != SCHEMA:
        raise NetworkError(f"{path}: this HDF5 file is not a delaytool network; give one that `delaytool export` wrote")
    version = int(file.attrs["schema_version"])
    if version != SCHEMA_VERSION:
        raise NetworkError(
            f"{path}: network schema version {version} is unknown to this delaytool, which reads version "
            f"{SCHEMA_VERSION}; export it again with this version, or install the one that wrote it"
        )
    count = len(file["layers"])
    return dict(
        encoding=InputEncoding(**json.loads(file.attrs["encoding"])),
        layers=tuple(_load_layer(file[f"layers/{index}"]) for index in range(count)),
        readout=Readout(**json.loads(file.attrs["readout"])),
        n_steps=int(file.attrs["n_steps"]),
        target=str(file.attrs["target"]),
        provenance=json.loads(file["provenance"][()]),
        class_names=tuple(json.loads(file["class_names"][()])) if "class_names" in file else (),
        export=json.loads(file["export"][()]) if "export" in file else {},
        signed=False,  # until files carry digests
    )


def _load_layer(group: h5py.Group) -> IntegerLayer:
    synapses: list[Synapses] = []
    for number in range(len(group.get("synapses", ()))):
        sub = group[f"synapses/{number}"]
        source, exponent = int(sub.attrs["source"]), int(sub.attrs["exponent"])
        if sub.attrs["kind"] == "sparse":
            n_out, n_in = (int(size) for size in sub.attrs["shape"])
            target, pre, weight, delay = (sub[name][()] for name in ("target", "pre", "weight", "delay"))
            synapses.append(SparseSynapses(source, n_out, n_in, target, pre, weight, delay, exponent))
        else:
            synapses.append(DenseSynapses(source, sub["weight"][()], sub["delay"][()], exponent))
    integers = {name: int(group.attrs[name]) for name in ("n_neurons", "du", "dv", "threshold", "bias_exponent")}
    return IntegerLayer(
        name=str(group.attrs["name"]), synapses=tuple(synapses), bias_mantissa=group["bias_mantissa"][()], **integers
    )


def _narrowed(array: np.ndarray) -> np.ndarray:
    """The smallest signed integer type that holds every value, so that files stay small."""
    for dtype in (np.int8, np.int16):
        limits = np.iinfo(dtype)
        if array.size == 0 or (array.min() >= limits.min and array.max() <= limits.max):
            return array.astype(dtype)
    return array
