"""Checks of one value or one array, whose errors name it, its value and the limit."""

from __future__ import annotations

from typing import Any

import numpy as np

from delaytool.errors import NetworkError


def frozen_integers(array: Any, dtype: type, name: str) -> np.ndarray:
    given = np.asarray(array)
    require(
        given.size == 0 or np.issubdtype(given.dtype, np.integer),
        f"{name}: values are {given.dtype}, not integers",
    )
    if given.size:
        limits = np.iinfo(dtype)
        check_array_range(name, "value", given, limits.min, limits.max)
    copy: np.ndarray = np.array(given, dtype=dtype, order="C")
    copy.setflags(write=False)
    return copy


def require(condition: bool, message: str) -> None:
    if not condition:
        raise NetworkError(message)


def check_range(where: str, name: str, value: int, low: int, high: int) -> None:
    require(low <= value <= high, f"{where}: {name} {value} is outside {low}..{high}")


def check_array_range(where: str, name: str, array: np.ndarray, low: int, high: int) -> None:
    if array.size and (array.min() < low or array.max() > high):
        worst = array.min() if array.min() < low else array.max()
        raise NetworkError(f"{where}: {name} {worst} is outside {low}..{high}")
