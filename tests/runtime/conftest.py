"""Fixtures of the runtime's tests."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest

from delaytool.runtime.backends import lava


@pytest.fixture(scope="session")
def lava_python() -> str:
    """An interpreter that has Lava: $DELAYTOOL_LAVA_PYTHON or this one. Skips the test where there is none."""
    chosen = os.environ.get(lava.PYTHON_VARIABLE)
    if chosen:
        return chosen
    if importlib.util.find_spec("lava") is None:
        pytest.skip(f"lava-nc is not installed; {lava.INSTALL}, or set {lava.PYTHON_VARIABLE}")
    return sys.executable
