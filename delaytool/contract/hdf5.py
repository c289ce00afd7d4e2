"""The network file: HDF5 behind a block that holds a digest of its bytes. See `docs/file-formats.md`."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from shlex import quote
from typing import Any, TypeVar

import h5py
import numpy as np

from delaytool.contract.checks import shown
from delaytool.contract.digests import content_sha256
from delaytool.contract.hdf5_heaps import HDF5_SIGNATURE
from delaytool.contract.metadata import NAME
from delaytool.contract.parts import NetworkContent
from delaytool.contract.strict_hdf5 import (
    MAX_FILE_BYTES,
    MAX_MEMBERS,
    MAX_NUMBERS,
    MAX_TEXT_BYTES,
    StrictGroup,
    open_strict_image,
    read_whole,
)
from delaytool.contract.values import (
    MAX_GROUPS,
    MAX_LAYERS,
    SCHEMA,
    SCHEMA_VERSION,
    Values,
    file_values,
    network_fields,
)
from delaytool.errors import NetworkError
from delaytool.files import write_bytes_atomically

Network = TypeVar("Network", bound=NetworkContent)

BLOCK_BYTES = 512  # the least that HDF5 admits before its own beginning
DAMAGED = "its bytes are not those that were written: the file was cut, damaged or edited; export it again"
GIVE = "give the network file (.h5) that `delaytool export` wrote"
MAX_OBJECTS = 1 << 18
MAX_DEPTH = 16


def save(values: Values, path: str | os.PathLike[str]) -> None:
    """Write what `values.file_values` lists; the file appears whole or not at all. Raises NetworkError if too large."""
    _check_sizes(values)
    complete: Values = {**values, "@content_sha256": content_sha256(values)}
    content = io.BytesIO()  # in memory first, because the HDF5 library crashes the process on a full disk
    # The layout of HDF5 1.10 spends far less than the older one on small datasets, as sparse networks have.
    with h5py.File(content, "w", libver=("v110", "v110"), userblock_size=BLOCK_BYTES) as file:
        for name, value in complete.items():
            _write(file, name, value)
    with content.getbuffer() as whole:
        if len(whole) > MAX_FILE_BYTES:
            raise NetworkError(f"network: its file has {len(whole)} bytes, more than {MAX_FILE_BYTES}; make it smaller")
        whole[:BLOCK_BYTES] = block_for(whole[BLOCK_BYTES:])
        write_bytes_atomically(path, whole)


def _check_sizes(values: Values) -> None:
    """Nothing is written that `load` would refuse."""
    numbers = sum(value.size for value in values.values() if isinstance(value, np.ndarray))
    if numbers > MAX_NUMBERS:
        raise NetworkError(
            f"network: its arrays hold {numbers} numbers, more than the {MAX_NUMBERS} of a file; "
            "make the network smaller, or sparse"
        )
    for name, value in values.items():
        if isinstance(value, str) and len(value.encode()) > MAX_TEXT_BYTES // (1 if "@" not in name else 1024):
            raise NetworkError(f"network: {name} is a text of {len(value)} characters, too long for a file; shorten it")
    for name, value in values.items():
        most = {"n_layers": MAX_LAYERS, "n_synapse_groups": MAX_GROUPS}.get(name.partition("@")[2])
        if isinstance(value, int) and most is not None and value > most:
            raise NetworkError(f"network: {name} {value} is more than the {most} of a file; make the network smaller")
    _check_members(values)


def _check_members(values: Values) -> None:
    members: dict[str, set[str]] = {}  # of each group, by its path
    for name in values:
        path = name.partition("@")[0]
        parts = path.split("/") if path else []
        deepest = len(parts) - ("@" not in name)
        if deepest > MAX_DEPTH:
            raise NetworkError(
                f"network: {name} stands in {deepest} groups, more than the {MAX_DEPTH} of a file; shorten the key"
            )
        for depth, part in enumerate(parts):
            members.setdefault("/".join(parts[:depth]), set()).add(part)
    objects = sum(map(len, members.values()))
    if objects > MAX_OBJECTS:
        raise NetworkError(
            f"network: its file would hold {objects} groups and datasets, more than {MAX_OBJECTS}; make it smaller"
        )
    for group, inside in members.items():
        if len(inside) > MAX_MEMBERS:
            raise NetworkError(
                f"network: {group} holds {len(inside)} values, more than the {MAX_MEMBERS} of a group; divide it"
            )


def _write(file: h5py.File, name: str, value: Any) -> None:
    group, is_attribute, attribute = name.partition("@")
    if is_attribute:
        file.require_group(group or "/").attrs[attribute] = value
    elif isinstance(value, str):
        data = value.encode()
        # Of a fixed length, so that its size is known before it is read.
        file.create_dataset(name, data=np.array(data, h5py.string_dtype("utf-8", max(1, len(data)))))
    else:
        stored = _narrowed(value) if value.dtype.kind == "i" and not name.startswith("extensions/") else value
        file.create_dataset(name, data=stored, compression="gzip" if value.size and value.ndim else None)


def _narrowed(array: np.ndarray) -> np.ndarray:
    """The smallest signed integer type that holds every value, so that files stay small."""
    for dtype in (np.int8, np.int16):
        limits = np.iinfo(dtype)
        if array.size == 0 or (array.min() >= limits.min and array.max() <= limits.max):
            return array.astype(dtype)
    return array


def block_for(body: bytes | memoryview) -> bytes:
    """The first BLOCK_BYTES of a network file, for the bytes that follow them."""
    text = f"{SCHEMA}\nschema {SCHEMA_VERSION}\nbytes {len(body)}\nsha256 {hashlib.sha256(body).hexdigest()}\n"
    return text.encode().ljust(BLOCK_BYTES, b"\0")


def load(path: str | os.PathLike[str], build: Callable[..., Network]) -> Network:
    """Read a network file and `build` it from its fields.

    The digest of its bytes is checked before the HDF5 library reads any of them, the digest of its content before
    anything is built, the digest of the integers on what was built. Raises NetworkError.
    """
    content = read_whole(path, NetworkError, GIVE)
    try:
        has_block = _check_block(content)
        with open_strict_image(content, path, NetworkError, GIVE) as group:
            found = _flattened(group) if _is_network(group) else None
            other = other_format(group)
        if found is None:
            if other is not None:
                way = f"delaytool import {quote(str(path))} -o OUTPUT"
                raise NetworkError(f"{path}: this is a {other} file; read it with: {way}")
            raise NetworkError(f"this HDF5 file is not a delaytool network; {GIVE}")
        version = _checked_version(found, has_block)
        if version > 1:
            _check_content(found)
        stored = dict(found)
        for name in ("@schema", "@schema_version", "@content_sha256"):
            found.pop(name, None)
        network = build(**network_fields(found, version))
        if version > 1:
            _check_integers(stored, network)
        return network
    except NetworkError as error:
        text = str(error)
        raise NetworkError(text if str(path) in text else f"{path}: {text}") from None
    except (MemoryError, RecursionError, OverflowError) as error:
        raise NetworkError(f"{path}: the network is too large for this machine ({type(error).__name__})") from None


def _check_block(content: bytes) -> bool:
    """Whether the file begins with a block, which then fits its bytes. Without one it begins as HDF5 does."""
    if content.startswith(HDF5_SIGNATURE):
        return False
    block, body = content[:BLOCK_BYTES], memoryview(content)[BLOCK_BYTES:]
    if not block.startswith(SCHEMA.encode() + b"\n"):
        raise NetworkError(f"not a readable HDF5 file, nor a delaytool network; {GIVE}")
    lines = block.rstrip(b"\0").decode("ascii", "replace").split("\n")
    if len(lines) > 1 and lines[1] != f"schema {SCHEMA_VERSION}":
        version = lines[1].removeprefix("schema ")[:20]
        # Version 1 had no such block.
        raise NetworkError(_unknown_version(version) if version != "1" else DAMAGED)
    if block != block_for(body):
        raise NetworkError(DAMAGED)
    return True


def _unknown_version(version: object) -> str:
    return (
        f"network schema version {version} is unknown to this delaytool, which reads versions 1 and {SCHEMA_VERSION}; "
        "export it again with this version, or install the one that wrote it"
    )


def _is_network(group: StrictGroup) -> bool:
    schema = group.attribute("schema") if group.has_attribute("schema") else None
    return isinstance(schema, str) and schema == SCHEMA


def other_format(group: StrictGroup) -> str | None:
    """'NIR' or 'netx', whose files are HDF5 too; None where the file is neither."""
    return "NIR" if "node" in group else "netx" if "layer" in group else None


def _checked_version(found: Values, has_block: bool) -> int:
    version = found.get("@schema_version")
    if type(version) is not int or version not in (1, SCHEMA_VERSION):
        raise NetworkError(_unknown_version("(missing)" if version is None else shown(version)))
    if version > 1 and not has_block:
        raise NetworkError(f"a file of schema {version} begins with a digest of its bytes, and this one does not")
    if version == 1 and has_block:
        raise NetworkError("a file of schema 1 has no digest of its bytes, and this one has; export it again")
    return version


def _check_content(found: Values) -> None:
    stored = found.pop("@content_sha256", None)
    if not isinstance(stored, str) or stored != content_sha256(found):
        raise NetworkError("its content is not that of its digest, content_sha256; export it again")


def _check_integers(stored: Values, network: NetworkContent) -> None:
    if stored["@integers_sha256"] == network.integers_sha256():
        return
    canonical = file_values(network)
    for name in ("@encoding", "@readout"):  # their digest is that of one text for one value
        theirs, ours = str(stored[name]), str(canonical[name])
        if theirs != ours:
            same = next(place for place, pair in enumerate(zip_longest(theirs, ours)) if pair[0] != pair[1])
            begin = max(0, ours.rfind("{", 0, same), ours.rfind(",", 0, same))  # of the value in which they differ
            raise NetworkError(
                f"{name} is not the canonical JSON that integers_sha256 is taken of: it holds {shown(theirs[begin:])} "
                f"where {shown(ours[begin:])} is canonical; write it as docs/file-formats.md describes"
            )
    raise NetworkError("its integers are not those of its digest, integers_sha256; export it again")


@dataclass
class _Count:
    objects: int = 0


def _flattened(root: StrictGroup) -> Values:
    """All values of a file by name, attributes after '@', read strictly."""
    found: Values = {}
    _collect(root, "", 0, _Count(), found)
    return found


def _collect(group: StrictGroup, at: str, depth: int, count: _Count, found: Values) -> None:
    if depth > MAX_DEPTH:
        raise NetworkError(f"{at}: groups stand in groups deeper than {MAX_DEPTH} levels")
    for attribute in group.attribute_names():
        _check_name(at, attribute)
        found[f"{at}@{attribute}"] = group.attribute(attribute)
    for name in group.names():
        _check_name(at, name)
        count.objects += 1
        if count.objects > MAX_OBJECTS:
            raise NetworkError(f"the file holds more than {MAX_OBJECTS} groups and datasets")
        inner = f"{at}/{name}" if at else name
        if group.is_group(name):
            _collect(group.group_at(name), inner, depth + 1, count, found)
        else:
            if group.dataset(name).attrs:
                raise NetworkError(f"{inner}: a dataset of a network file has no attributes; remove them")
            found[inner] = group.value(name)


def _check_name(at: str, name: str) -> None:
    if NAME.fullmatch(name) is None:
        raise NetworkError(f"{at or 'the file'}: it holds {json.dumps(name)[:80]}, which no network file does")
