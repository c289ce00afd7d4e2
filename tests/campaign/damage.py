"""Damage to files: of bytes, whatever they mean, and of what a format means by them.

Each function takes a random.Random and the path of a copy, changes the copy in place, and says in a few words what it
did. Structured damage ends in a well-formed file that says something else, which no checksum of a container notices.
"""

from __future__ import annotations

import io
import json
import random
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Damage = Callable[[random.Random, Path], str]

# What a reader may not expect in the place of a number, a text, a list.
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 7, 255, 256, 65536, 2**31 - 1, 2**31, 2**32, 2**62, 2**63, 2**64, -(2**63), 10**400,
    0.0, -0.0, 0.5, 1.5, 1e-320, 1e308, float("inf"), float("-inf"), float("nan"),
    "", " ", "0", "x", "\x00", "\x1b[31m", "[/red]", "[bold]", "$\\frac$", "../../x", "/", "é\u202e", "a" * 5000,
    [], [0], [[]], [1, 2], {}, {"a": 1}, [None] * 3,
)  # fmt: skip
ODD_ARRAYS: tuple[Callable[[], Any], ...] = (
    lambda: np.float64(1.5),
    lambda: np.float64("nan"),
    lambda: np.bool_(True),
    lambda: np.int64(-1),
    lambda: np.int64(2**62),
    lambda: np.uint64(2**64 - 1),
    lambda: np.zeros(0, np.int32),
    lambda: np.zeros((0, 3), np.int8),
    lambda: np.zeros((2, 2, 2), np.int16),
    lambda: np.full((3, 4), 0.5, np.float16),
    lambda: np.full(5, np.nan),
    lambda: np.full((4, 4), 2**40),
    lambda: np.array([1 + 2j]),
    lambda: np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
    lambda: np.array(b"bytes"),
    lambda: "text",
    lambda: "9" * 5000,
    lambda: "[" * 100_000,
    lambda: "{",
    lambda: h5py.Empty("i4"),
    lambda: h5py.Empty("S1"),
)


def damage_bytes(draw: random.Random, path: Path) -> str:
    """Flip, overwrite, cut, double, insert, exchange."""
    data = bytearray(path.read_bytes())
    size = len(data)
    at = draw.randrange(max(1, size))
    length = draw.choice([1, 2, 4, 8, draw.randint(1, 64), draw.randint(1, max(1, size // 4))])
    kind = draw.choice(
        ["flip", "flip", "flip", "set", "number", "zero", "cut", "remove", "double", "insert", "exchange"]
    )
    if kind == "flip":
        for _ in range(draw.choice([1, 1, 1, 2, 5])):
            bit = draw.randrange(max(1, 8 * size))
            if data:
                data[bit // 8] ^= 1 << bit % 8
    elif kind == "set":
        data[at : at + 1] = bytes([draw.choice([0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)])])
    elif kind == "number":
        data[at : at + 8] = struct.pack("<Q", draw.choice([0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1]))
    elif kind == "zero":
        data[at : at + length] = bytes(min(length, size - at))
    elif kind == "cut":
        del data[draw.choice([0, at, size - 1]) :]
    elif kind == "remove":
        del data[at : at + length]
    elif kind == "double":
        data[at:at] = data[at : at + length]
    elif kind == "insert":
        data[at:at] = draw.randbytes(length)
    else:
        other = draw.randrange(max(1, size))
        data[at : at + length], data[other : other + length] = data[other : other + length], data[at : at + length]
    path.write_bytes(data)
    return f"bytes: {kind} at {at}"


def damage_hdf5(draw: random.Random, path: Path) -> str:
    """Change one object of an HDF5 file: an attribute, a dataset, a group, a link."""
    with h5py.File(path, "r+") as file:
        names = ["/"]
        file.visit(names.append)
        name = draw.choice(sorted(names))
        place = file[name]
        if len(place.attrs) and draw.random() < 0.5:
            return f"{name}: {_damage_attribute(draw, place)}"
        datasets = sorted(name for name in names if isinstance(file[name], h5py.Dataset))
        if datasets and draw.random() < 0.75:
            name = draw.choice(datasets)
            return f"{name}: {_damage_dataset(draw, file, name, path)}"
        return f"{name}: {_damage_link(draw, file, name)}"


def _damage_attribute(draw: random.Random, place: h5py.Group | h5py.Dataset) -> str:
    name = draw.choice(sorted(place.attrs))
    old = place.attrs[name]
    kind = draw.choice(["odd", "odd", "near", "near", "json", "remove", "rename"])
    if kind == "remove":
        del place.attrs[name]
    elif kind == "rename":
        place.attrs[name + "x"] = old
        del place.attrs[name]
    elif kind == "json" and isinstance(old, str) and old.startswith("{"):
        place.attrs[name] = damaged_json(draw, old)
    elif kind == "near" and isinstance(old, int | np.integer):
        place.attrs[name] = draw.choice(
            [int(old) + 1, int(old) - 1, -int(old), int(old) * 2, float(old), float(old) + 0.5]
        )
    elif kind == "near" and isinstance(old, str):
        place.attrs[name] = old[: len(old) // 2] + draw.choice(["", "x", "\x1b[2J", "[/]", "é"])
    else:
        place.attrs[name] = draw.choice(ODD_ARRAYS)()
    return f"attribute {name}: {kind}"


def _damage_dataset(draw: random.Random, file: h5py.File, name: str, path: Path) -> str:
    old = file[name]
    kind = draw.choice(
        ["value", "value", "value", "odd", "odd", "json", "shape", "type", "bomb", "remove", "outside", "virtual"]
    )
    if kind == "json" and old.dtype.kind == "O" and old.shape == () and isinstance(old[()], bytes):
        text = damaged_json(draw, old[()].decode())
        del file[name]
        file[name] = text
    elif kind == "value" and old.dtype.kind in "iuf" and old.size:
        values = old[()]
        flat = values.reshape(-1)
        flat[draw.randrange(flat.size)] += draw.choice([1, -1, 2, 64])
        old[...] = values
    elif kind == "shape" and old.dtype.kind in "iuf" and old.size:
        values = old[()]
        del file[name]
        file[name] = draw.choice([values.reshape(-1), values[None], values[:-1] if values.ndim else values, values.T])
    elif kind == "type" and old.dtype.kind in "iuf":
        values = old[()]
        del file[name]
        file[name] = values.astype(draw.choice(["f4", "f8", "u1", "i8", "?", "S4", "c8"]))
    elif kind == "bomb":
        side = draw.choice([2**20, 2**28, 2**36])
        shape = draw.choice([(side,), (side, 2), (2, side), (side, side)])
        dtype = old.dtype if old.dtype.kind in "iuf" else np.dtype("i4")
        del file[name]
        file.create_dataset(name, shape, dtype, chunks=tuple(min(64, axis) for axis in shape), compression="gzip")
    elif kind == "outside":
        shape, dtype = old.shape, old.dtype if old.dtype.kind in "iuf" else np.dtype("i1")
        del file[name]
        file.create_dataset(name, shape, dtype, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
    elif kind == "virtual" and old.dtype.kind in "iuf":
        layout = h5py.VirtualLayout(old.shape or (1,), old.dtype)
        layout[...] = h5py.VirtualSource(str(path.with_name("other.h5")), "x", old.shape or (1,), old.dtype)
        del file[name]
        file.create_virtual_dataset(name, layout)
    elif kind == "remove":
        del file[name]
    else:
        kind = "odd"
        del file[name]
        file[name] = draw.choice(ODD_ARRAYS)()
    return f"dataset: {kind}"


def _damage_link(draw: random.Random, file: h5py.File, name: str) -> str:
    if name == "/":
        name = draw.choice(sorted(file))
    kind = draw.choice(["remove", "external", "soft", "circle", "group", "dataset", "more", "rename", "many"])
    if kind == "many":
        for number in range(2000):
            file.create_group(f"{name if isinstance(file[name], h5py.Group) else ''}/more{number}")
        return kind
    if kind == "more":
        file.create_group(
            f"{name if isinstance(file[name], h5py.Group) else ''}/{draw.choice(['0', '1', '7', 'x', 'é'])}x"
        )
        return kind
    if kind == "rename":
        file.move(name, name + "x")
        return kind
    if name in file:
        del file[name]
    if kind == "external":
        file[name] = h5py.ExternalLink("other.h5", "/")
    elif kind == "soft":
        file[name] = h5py.SoftLink(draw.choice(["/", "/nothing", name]))
    elif kind == "circle":
        file[name] = file["/"]
    elif kind == "group":
        file.create_group(name)
    elif kind == "dataset":
        file[name] = draw.choice(ODD_ARRAYS)()
    return kind


def _odd_text(value: Any) -> str:
    """An odd value as JSON, also such as Python would not write."""
    if isinstance(value, int) and value > 10**300:
        return "9" * 5000
    return json.dumps(value)


def damaged_json(draw: random.Random, text: str) -> str:
    """One place of a JSON document changed."""
    kind = draw.choice(["odd", "odd", "odd", "near", "near", "remove", "unknown", "deep", "twice", "cut"])
    if kind == "deep":
        return draw.choice(["[" * 100_000, '{"a":' * 100_000])
    if kind == "cut":
        return text[: draw.randrange(max(1, len(text)))]
    if kind == "twice":
        return re.sub(r'("[a-z_]+": [^,{}\[\]]+),', r"\1, \1,", text, count=1)
    try:
        document = json.loads(text)
    except ValueError:
        return text + "x"
    places: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting:
        node = waiting.pop()
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            if isinstance(node[key], dict | list):
                waiting.append(node[key])
    if not places:
        return _odd_text(draw.choice(ODD_VALUES))
    node, key = draw.choice(places)
    old = node[key]
    if kind == "remove":
        del node[key]
    elif kind == "unknown" and isinstance(node, dict):
        node["unknown"] = old
    elif kind == "near" and isinstance(old, int | float) and not isinstance(old, bool):
        node[key] = draw.choice([old + 1, old - 1, -old, old * 2, old + 0.5, str(old)])
    else:
        marker = "\x02odd value\x02"
        node[key] = marker
        return json.dumps(document).replace(json.dumps(marker), _odd_text(draw.choice(ODD_VALUES)))
    return json.dumps(document)


def damage_json(draw: random.Random, path: Path) -> str:
    lines = path.read_text().splitlines(keepends=True)
    if path.suffix == ".jsonl" and lines:
        at = draw.randrange(len(lines))
        lines[at] = damaged_json(draw, lines[at]) + "\n"
        path.write_text("".join(lines), errors="surrogatepass")
        return f"JSON: line {at + 1}"
    path.write_text(damaged_json(draw, "".join(lines)), errors="surrogatepass")
    return "JSON: one place"


_TOML_ODD = (
    "0", "-1", "1e400", "inf", "-inf", "nan", "1.5", "true", "''", "'x'", "'a[x].h5'", "'../../x'", "[]", "[0]", "[-4]",
    "[[]]", "{}", "{a = 1}", "[1, 'x']", "9" * 30, "9" * 5000, "0x" + "f" * 5000, "[" * 5000, "1979-05-27T07:32:00Z",
    "'''", '"\\u0000"', "'\x1b[2J'",
    "2147483648", "100000000", "'none'", "[true, false]", "'digits'", "'/'", "0.0", "1e-320",
)  # fmt: skip


def damage_toml(draw: random.Random, path: Path) -> str:
    lines = path.read_text().splitlines()
    at = draw.randrange(len(lines))
    kind = draw.choice(["value", "value", "value", "value", "remove", "twice", "section", "key", "extends"])
    key, equals, _ = lines[at].partition("=")
    if kind == "value" and equals:
        lines[at] = f"{key}= {draw.choice(_TOML_ODD)}"
    elif kind == "remove":
        del lines[at]
    elif kind == "twice":
        lines.insert(at, lines[at])
    elif kind == "section":
        lines.insert(at, draw.choice(["[data]", "[model]", "[unknown]", "[[model]]", "[model.model]", "[", "]"]))
    elif kind == "extends":
        lines.insert(0, f"extends = {draw.choice([json.dumps(str(path)), *_TOML_ODD])}")
    else:
        lines.insert(at, f"{draw.choice(['unknown', 'name', 'seed', 'model.hidden', 'é', chr(34) * 2])} = 1")
    path.write_text("\n".join(lines))
    return f"TOML: {kind} in line {at + 1}"


def damage_wav(draw: random.Random, path: Path) -> str:
    """A field of the RIFF header (places and widths of a plain 44-byte header)."""
    data = bytearray(path.read_bytes())
    name, at, form = draw.choice(
        [("size", 4, "<I"), ("format size", 16, "<I"), ("format", 20, "<H"), ("channels", 22, "<H"), ("rate", 24, "<I"),
         ("bytes per second", 28, "<I"), ("block", 32, "<H"), ("bits", 34, "<H"), ("data size", 40, "<I")]
    )  # fmt: skip
    top = 2 ** (8 * struct.calcsize(form)) - 1
    value = draw.choice([0, 1, 2, 3, 7, 8, 24, 32, 64, top // 2, top // 2 + 1, top - 1, top, draw.randint(0, top)])
    struct.pack_into(form, data, at, min(value, top))
    path.write_bytes(data)
    return f"wav: {name} = {value}"


def damage_npz(draw: random.Random, path: Path) -> str:
    """An array of a .npz file: its values, type, shape, header, name or presence."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = draw.choice(sorted(entries))
    array = np.load(io.BytesIO(entries[name]))
    kind = draw.choice(
        ["value", "value", "value", "value", "type", "shape", "header", "remove", "pickle", "bomb", "rename"]
    )
    if kind == "remove":
        del entries[name]
    elif kind == "rename":
        entries[draw.choice(["x.npy", "../x.npy", name + "x"])] = entries.pop(name)
    elif kind == "header":
        entries[name] = entries[name].replace(
            b"'shape': (", draw.choice([b"'shape': (-", b"'shape': (9", b"'sh", b"'shape': [("])
        )
    elif kind == "bomb":
        size = draw.choice([2**28, 2**36, 2**62])
        header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({size},), }}"
        entries[name] = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n"
    else:
        if kind == "value" and array.dtype.kind in "iu":
            array = array.copy()
            flat = array.reshape(-1)
            limits = np.iinfo(array.dtype)
            at = draw.randrange(flat.size) if flat.size else 0
            odd = [0, -1, 1, 7, 9, 10, 64, 10**6, limits.min, limits.max, limits.max // 2]
            if flat.size:
                flat[at] = min(max(draw.choice(odd), limits.min), limits.max)
        elif kind == "type":
            array = array.astype(draw.choice(["f8", "?", "U8", "i1"]))
        elif kind == "shape":
            array = draw.choice([array[None], array.reshape(-1)[:-1], np.concatenate([array.reshape(-1)] * 2)])
        buffer = io.BytesIO()
        if kind == "pickle":
            np.save(buffer, np.array([{"a": 1}], object))
        else:
            np.save(buffer, array)
        entries[name] = buffer.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    return f"npz: {kind} of {name}"


def damage_checkpoint(draw: random.Random, path: Path) -> str:
    """A value of a checkpoint, saved again in PyTorch's own form."""
    import torch

    content = torch.load(path, weights_only=True)
    name = draw.choice(sorted(content))
    kind = draw.choice(["odd", "odd", "odd", "json", "remove", "tensor", "tensor", "near"])
    if kind == "remove":
        del content[name]
    elif kind == "tensor":
        part = draw.choice(sorted(content["model"]))
        tensor = content["model"][part]
        content["model"][part] = draw.choice(
            [lambda: tensor[:1], lambda: tensor.double(), lambda: tensor.long(), lambda: tensor * float("nan"),
             lambda: tensor.T, lambda: tensor[None], lambda: "x", lambda: None, lambda: torch.zeros(0),
             lambda: torch.zeros(1).expand(2**20, 2**12), lambda: tensor.to(torch.complex64),
             lambda: tensor.to_sparse()]
        )()  # fmt: skip
        name = f"model {part}"
    elif kind == "json" and isinstance(content[name], str) and content[name].startswith("{"):
        content[name] = damaged_json(draw, content[name])
    elif kind == "near" and isinstance(content[name], int | float):
        content[name] = draw.choice(
            [content[name] + 1, -content[name] - 1, float(content[name]) + 0.5, str(content[name])]
        )
    else:
        content[name] = draw.choice(
            [value for value in ODD_VALUES if not isinstance(value, int) or abs(value) < 10**300]
        )
    torch.save(content, path)
    return f"checkpoint: {kind} of {name}"


def damage_text(draw: random.Random, path: Path) -> str:
    """A file of whatever text, one word or line changed."""
    lines = path.read_text(errors="surrogateescape").splitlines(keepends=True) or [""]
    at = draw.randrange(len(lines))
    lines[at] = draw.choice(["", "\x00", "é" * 3, lines[at] * 2, lines[at][: len(lines[at]) // 2], "[" * 50_000])
    path.write_text("".join(lines), errors="surrogateescape")
    return f"text: line {at + 1}"
