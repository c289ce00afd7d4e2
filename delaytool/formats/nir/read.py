"""Reading NIR files: ours give back their integers, after a check that the graph still means the same."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from delaytool.contract.network import IntegerNetwork
from delaytool.errors import NetworkError, first_line
from delaytool.formats.nir.write import NETWORK, STEP, nir_graph, nir_package

if TYPE_CHECKING:
    import nir


def read_graph(path: str | os.PathLike[str]) -> nir.NIRGraph:
    """A NIR file's graph. Raises NetworkError for one that cannot be read, MissingExtraError without nir."""
    nir = nir_package()
    if not Path(path).is_file():
        raise NetworkError(f"{path}: no such file; give a NIR file (.nir)")
    try:
        graph = nir.read(str(path))
    except Exception as error:  # nir lets through whatever h5py, its node classes and its type check raise
        raise NetworkError(f"{path}: not a readable NIR file ({first_line(error)}); write it again") from None
    return graph


def integers_of(graph: nir.NIRGraph, path: str | os.PathLike[str] = "graph") -> IntegerNetwork | None:
    """The integer network that a graph of ours carries, field by field as it was written; None: it carries none.

    Raises NetworkError where the graph is not that of its integers: it was changed after it was written.
    """
    stored = graph.metadata.get(NETWORK)
    if stored is None:
        return None
    with tempfile.TemporaryDirectory(prefix="delaytool-nir-") as folder:
        file = Path(folder) / "network.h5"
        file.write_bytes(np.asarray(stored, np.uint8).tobytes())
        try:
            network = IntegerNetwork.load(file)
        except NetworkError as error:
            raise NetworkError(f"{path}: its integers cannot be read ({first_line(error)}); export it again") from None
    changed = _first_change(nir_graph(network), graph)
    if changed is not None:
        raise NetworkError(
            f"{path}: {changed} does not agree with the integers in its metadata; export it again, or remove the "
            f"metadata {NETWORK!r} to import it as a float network"
        )
    return network


def _first_change(expected: nir.NIRGraph, found: nir.NIRGraph) -> str | None:
    """The first node, edge or step in which two graphs differ; None: nothing that counts does."""
    for name in sorted(set(expected.nodes) | set(found.nodes)):
        if name not in expected.nodes or name not in found.nodes:
            return f"node {name!r}"
        one, other = expected.nodes[name], found.nodes[name]
        if type(one) is not type(other) or not _same(one.to_dict(), other.to_dict()):
            return f"node {name!r}"
    differing = set(expected.edges) ^ set(found.edges)
    if differing:
        return f"edge {min(differing)}"
    return None if np.array_equal(found.metadata.get(STEP), expected.metadata[STEP]) else f"metadata {STEP!r}"


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    keys = (set(one) | set(other)) - {"metadata", "type"}
    return all(key in one and key in other and np.array_equal(one[key], other[key]) for key in keys)
