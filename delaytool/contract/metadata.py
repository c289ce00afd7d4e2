"""What a network carries besides its integers: JSON values, and the extensions of other formats."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from delaytool.contract.checks import require, shown, storable_text
from delaytool.contract.strict_json import parse_json
from delaytool.errors import NetworkError

# Of extensions, their keys and the members of a network file.
NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def as_json(name: str, value: Any) -> dict[str, Any]:
    """A copy of a mapping as JSON gives it back: tuples as lists. Raises NetworkError for what JSON does not hold."""
    if not isinstance(value, Mapping):
        raise NetworkError(f"network: {name} {shown(value)} is not a mapping of names to JSON values")
    try:
        plain = parse_json(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise NetworkError(f"network: {name} is not made of JSON values ({error}); leave out what is not") from None
    assert isinstance(plain, dict)
    _check_texts(f"network: {name}", plain)
    return plain


def _check_texts(where: str, plain: Any) -> None:
    """Half a character passes through JSON, but no file holds it."""
    try:
        json.dumps(plain, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise NetworkError(f"{where} holds half a character; give valid Unicode") from None


def checked_extensions(extensions: Any) -> dict[str, dict[str, str | np.ndarray]]:
    """Extensions with read-only arrays. Raises NetworkError for names and values that a file does not hold.

    extensions   {name: {key: value}}; a key may have parts, 'spikes/0'; a value is a text, or an array of integers
                 (at most 63 bits) or floats (32 or 64 bits)
    """
    if not isinstance(extensions, Mapping):
        raise NetworkError(f"network: extensions {shown(extensions)} is not a mapping")
    checked: dict[str, dict[str, str | np.ndarray]] = {}
    for name, values in extensions.items():
        _check_name(f"network: extension {shown(name)}", name)
        require(isinstance(values, Mapping), f"network: extension {name} is not a mapping of keys to values")
        require(len(values) > 0, f"network: extension {name} holds nothing; leave it out")
        for key in values:
            parts = key.split("/") if isinstance(key, str) else [key]
            for part in parts:
                _check_name(f"network: extension {name}, key {shown(key)}", part)
            inner = ["/".join(parts[:length]) for length in range(1, len(parts))]
            taken = next((other for other in inner if other in values), None)
            require(taken is None, f"network: extension {name}: {taken} is a value and holds {key}; choose one")
        checked[name] = {key: _checked_value(f"extension {name}/{key}", value) for key, value in values.items()}
    return checked


def _check_name(where: str, name: Any) -> None:
    fits = isinstance(name, str) and NAME.fullmatch(name) is not None and name not in (".", "..")
    require(fits, f"{where}: names are up to 100 letters, digits, '_', '.' and '-'")


def _checked_value(where: str, value: Any) -> str | np.ndarray:
    if isinstance(value, str):
        return storable_text("network", where, value)
    array = np.array(value)
    fits = array.dtype.kind in "iu" or (array.dtype.kind == "f" and array.dtype.itemsize in (4, 8))
    require(fits and array.ndim <= 8, f"network: {where}: {array.dtype} values; give integers, floats or a text")
    too_large = array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max
    require(not too_large, f"network: {where}: a value exceeds 63 bits")
    array.setflags(write=False)
    return array


def same_extensions(one: Mapping[str, Mapping[str, Any]], other: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether two networks' extensions hold the same values, NaN being itself."""
    if one.keys() != other.keys() or any(one[name].keys() != other[name].keys() for name in one):
        return False
    return all(_same(value, other[name][key]) for name in one for key, value in one[name].items())


def _same(one: str | np.ndarray, other: str | np.ndarray) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return isinstance(one, str) and isinstance(other, str) and one == other
    return np.array_equal(one, other, equal_nan=one.dtype.kind == other.dtype.kind == "f")
