"""One structured change of an HDF5 file: an attribute or dataset gets a wrong type, value or shape, or goes away.

Numpy and h5py only and seeded. `sealed` gives a network file valid digests again, as one who knows the format would.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import h5py
import numpy as np

from delaytool.contract.hdf5 import BLOCK_BYTES, block_for

DEEP = "[" * 100_000 + "]" * 100_000
NUMBERS = [0, 1, -1, 2, 3, 7, 63, 255, 4096, 1 << 15, 1 << 20, 1 << 31, 1 << 40, -(1 << 31), (1 << 63) - 1]
JSON_TEXTS = ["", "null", "[]", "{}", "1", "NaN", "[1, 2", DEEP, "9" * 5000, '{"a": 1, "a": 2}', '"\\ud800"', "1e999"]
JSON_LEAVES = [
    "true", "null", '"text"', "[]", "{}", "0", "-1", "1.5", "2.0", "1e999", "NaN", "Infinity", "9" * 5000, "1e300",
    "2147483648", "99999999999999999999", '"\\u0000"', '"\\ud800"', DEEP,
]  # fmt: skip


def mutate(file: h5py.File, rng: np.random.Generator) -> str:
    """Change one thing of an open file; what was done."""
    places: list[tuple[str, str]] = [("", name) for name in file.attrs]
    file.visititems(lambda path, item: places.append((path, "")) or places.extend((path, name) for name in item.attrs))
    path, attribute = places[int(rng.integers(len(places)))]
    place = file[path] if path else file
    if attribute:
        return f"{path}@{attribute}: {_mutate_attribute(place, attribute, rng)}"
    if isinstance(place, h5py.Group):
        return f"{path}: {_replace_by_link(file, path, rng)}"
    return f"{path}: {_mutate_dataset(file, path, rng)}"


def _any_value(rng: np.random.Generator):
    number = NUMBERS[int(rng.integers(len(NUMBERS)))]
    choices = [
        number,
        np.uint64(2**64 - 1),
        float(number),
        float("nan"),
        float("inf"),
        np.bool_(True),
        np.float16(1.5),
        np.complex64(1j),
        "text",
        "a\u00fc" * 50,
        "",
        np.bytes_(b"\xff\xfe"),
        np.array([number, number]),
        np.zeros((2, 3, 4), np.int8),
        np.zeros((0,), np.int32),
        np.array(["a", "b"], dtype=h5py.string_dtype()),
        h5py.Empty("i4"),
        h5py.Empty(h5py.string_dtype()),
        np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
        np.array([number], dtype=">i8"),
    ]
    return choices[int(rng.integers(len(choices)))]


def _mutated_json(text: str, rng: np.random.Generator) -> str:
    """A JSON text with one leaf replaced, a name lost or added; or something else altogether."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if rng.random() < 0.2 or not isinstance(value, dict) or not value:
        return JSON_TEXTS[int(rng.integers(len(JSON_TEXTS)))]
    name = list(value)[int(rng.integers(len(value)))]
    if rng.random() < 0.15:
        del value[name]
        return json.dumps(value)
    if rng.random() < 0.15:
        return json.dumps({**value, "unknown": 1})
    value[name] = "@@@"
    return json.dumps(value).replace('"@@@"', JSON_LEAVES[int(rng.integers(len(JSON_LEAVES)))])


def _mutate_attribute(place: h5py.Group, name: str, rng: np.random.Generator) -> str:
    value = place.attrs[name]
    if rng.random() < 0.1:
        del place.attrs[name]
        return "deleted"
    if isinstance(value, str) and value[:1] in "{[" and rng.random() < 0.8:
        changed: object = _mutated_json(value, rng)
    elif isinstance(value, (int, np.integer)) and rng.random() < 0.4:
        changed = int(value) + int(rng.choice([-1, 1, 2, 64]))
    else:
        changed = _any_value(rng)
    del place.attrs[name]
    place.attrs[name] = changed
    return f"{str(value)[:30]!r} -> {str(changed)[:60]!r}"


def _mutate_dataset(file: h5py.File, path: str, rng: np.random.Generator) -> str:
    value = file[path][()]
    kind = int(rng.integers(8))
    if kind == 0:
        return _replace_by_link(file, path, rng)
    if isinstance(value, bytes) and kind < 6:
        changed: object = _mutated_json(value.decode(), rng).encode() or b" "
        del file[path]
        file[path] = np.bytes_(changed)
        return f"JSON {str(changed)[:60]}"
    del file[path]
    if kind == 1:
        changed = _any_value(rng)
        file[path] = changed
        return f"-> {str(changed)[:60]!r}"
    if kind == 2:  # a bomb: huge by declaration, nothing stored
        file.create_dataset(path, shape=(1 << 20, 1 << 20), dtype="i8", chunks=(1 << 10, 1 << 10))
        return "declared 8 TiB"
    if kind == 3:
        file.create_dataset(path, data=np.zeros(1 << 20, np.int8), compression="gzip")
        return "a million zeros"
    if isinstance(value, np.ndarray) and value.size and value.dtype.kind in "iuf":
        changed_array = value.astype(np.int64) if kind < 7 else value.astype(np.float32)
        if kind == 4:
            changed_array = changed_array[..., :-1] if rng.random() < 0.5 else changed_array.reshape(-1)
        elif kind == 5:
            changed_array = np.stack([changed_array, changed_array])
        elif kind == 6:
            changed_array.flat[int(rng.integers(value.size))] = NUMBERS[int(rng.integers(len(NUMBERS)))]
        file[path] = changed_array
        return f"values {changed_array.dtype} {changed_array.shape}"
    file.create_group(path)
    return "a group"


def _replace_by_link(file: h5py.File, path: str, rng: np.random.Generator) -> str:
    del file[path]
    kind = int(rng.integers(6))
    if kind == 0:
        return "deleted"
    if kind == 1:
        file[path] = h5py.SoftLink("/nowhere")
    elif kind == 2:
        file[path] = h5py.ExternalLink("/etc/hostname", "/")
    elif kind == 3:
        file[path] = h5py.SoftLink("/")
    elif kind == 4:
        file.create_group(path)
    else:
        file.create_dataset(path, shape=(16,), dtype="i1", external=[("/etc/passwd", 0, 16)])
    return ("", "dangling soft link", "external link", "soft link", "empty group", "external storage")[kind]


def sealed(path: Path, *, content: bool = True) -> None:
    """Give a network file of schema 2 the digest of its bytes again, and, if it can be read, of its content."""
    if content:
        try:
            digest = content_digest(path)
        except (OSError, KeyError, ValueError, TypeError, RuntimeError, MemoryError, AttributeError):
            digest = None
        if digest is not None:
            with h5py.File(path, "a") as file:
                file.attrs["content_sha256"] = digest
    body = path.read_bytes()[BLOCK_BYTES:]
    path.write_bytes(block_for(body) + body)


def content_digest(path: Path) -> str:
    """As docs/file-formats.md has it."""
    values: dict[str, object] = {}

    def collect(name: str, item: h5py.Group | h5py.Dataset) -> None:
        values.update({f"{name}@{key}": value for key, value in item.attrs.items()})
        if isinstance(item, h5py.Dataset):
            assert item.size is not None
            assert item.size < 1 << 24
            values[name] = item[()]

    try:
        with h5py.File(path) as file:
            collect("", file)
            file.visititems(collect)
    except AssertionError:
        raise ValueError("too large") from None
    values.pop("@content_sha256", None)
    digest = hashlib.sha256()
    for name in sorted(values):
        value = values[name]
        if isinstance(value, (str, bytes)):
            text = value.encode() if isinstance(value, str) else value
            digest.update(f"{name} text {len(text)}\n".encode() + text)
        else:
            array = np.asarray(value)
            if array.dtype.kind not in "iuf":
                raise ValueError("no network file holds this")
            kind, stored = ("float", "<f8") if array.dtype.kind == "f" else ("int", "<i8")
            digest.update(f"{name} {kind} {','.join(map(str, array.shape))}\n".encode())
            digest.update(array.astype(stored).tobytes())
    return digest.hexdigest()
