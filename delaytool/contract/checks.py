"""Checks of one value or one array, whose errors name it, its value and the limit."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

import numpy as np

from delaytool.errors import NetworkError

T = TypeVar("T")


def require(condition: bool, message: str) -> None:
    """Raise NetworkError with `message` unless `condition` holds."""
    if not condition:
        raise NetworkError(message)


def exact_integer(where: str, name: str, value: Any) -> int:
    """An integer of Python or numpy, of at most 64 bits, as an int; no truth value, no float, not even a whole one."""
    if isinstance(value, (bool, np.bool_, np.ndarray)) or not hasattr(value, "__index__"):
        raise NetworkError(f"{where}: {name} {shown(value)} is not an integer")
    number = operator.index(value)
    if not -(1 << 63) <= number < 1 << 63:
        raise NetworkError(f"{where}: {name} {shown(value)} is beyond 64 bits")
    return number


def finite_number(where: str, name: str, value: Any) -> float:
    """A finite number as a float; no truth value, no text."""
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    try:
        number = float(value) if is_number else float("nan")
    except OverflowError:
        number = float("inf")
    if not math.isfinite(number):
        raise NetworkError(f"{where}: {name} {shown(value)} is not a finite number")
    return number


def storable_text(where: str, name: str, value: Any) -> str:
    """A text that a file gives back as it is: valid Unicode without the character 0."""
    if not isinstance(value, str):
        raise NetworkError(f"{where}: {name} {shown(value)} is not a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NetworkError(f"{where}: {name} {shown(value)} holds half a character; give valid Unicode") from None
    if "\0" in value:
        raise NetworkError(f"{where}: {name} {shown(value)} holds the character 0; leave it out")
    return str(value)


def check_range(where: str, name: str, value: int, low: int, high: int) -> None:
    """Raise NetworkError unless low <= value <= high."""
    if not low <= value <= high:
        raise NetworkError(f"{where}: {name} {shown(value)} is outside {low}..{high}")


def check_array_range(where: str, name: str, array: np.ndarray, low: int, high: int) -> None:
    """Raise NetworkError, with the worst value, unless every value of `array` is in low..high."""
    if array.size and (array.min() < low or array.max() > high):
        worst = array.min() if array.min() < low else array.max()
        raise NetworkError(f"{where}: {name} {worst} is outside {low}..{high}")


def frozen_integers(array: Any, dtype: type, name: str) -> np.ndarray:
    """A read-only copy of an array of integers. Raises NetworkError for other values and those beyond `dtype`."""
    given = np.asarray(array)
    require(
        given.size == 0 or given.dtype.kind in "iu",  # to numpy's issubdtype a span of time is an integer, too
        f"{name}: values are {given.dtype}, not integers",
    )
    if given.size:
        limits = np.iinfo(dtype)
        check_array_range(name, "value", given, limits.min, limits.max)
    copy: np.ndarray = np.array(given, dtype=dtype, order="C")
    copy.setflags(write=False)
    return copy


def built_from(kind: type[T], where: str, value: Any) -> T:
    """A dataclass from a mapping, as JSON gives it. Raises NetworkError for fields that are unknown or missing."""
    if not isinstance(value, Mapping):
        raise NetworkError(f"{where}: {shown(value)} is not an object of named values")
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    unknown = next((name for name in value if name not in known), None)
    require(unknown is None, f"{where}: {shown(unknown)} is unknown; it has {', '.join(known)}")
    for name, field in known.items():
        has_default = field.default is not MISSING or field.default_factory is not MISSING
        require(name in value or has_default, f"{where}: {name} is missing")
    return kind(**value)


def shown(value: Any) -> str:
    """A value for an error's one line, cut where it is long."""
    try:
        text = str(value) if isinstance(value, (int, float, np.number)) else repr(value)
    except ValueError:  # Python writes no integer of thousands of digits
        text = "of thousands of digits"
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "..."
