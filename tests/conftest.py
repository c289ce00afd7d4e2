"""Fixtures that every test folder shares."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import settings

# importlib import mode puts no folder on the path, and a `tests` package would collide with the one that Lava's
# wheels install; so the helper modules that lie beside this file are importable by their own names.
sys.path.insert(0, str(Path(__file__).parent))

from random_networks import random_network as _random_network

from delaytool.runtime.backends import lava

# A compiler's or a shared machine's pause is not a failure.
settings.register_profile("delaytool", deadline=None)
settings.load_profile("delaytool")


@pytest.fixture(scope="session")
def random_network() -> Callable:
    """`random_networks.random_network`: (numpy Generator, keywords) -> (network, frames)."""
    return _random_network


@pytest.fixture(scope="session")
def lava_python() -> str:
    """An interpreter that has Lava: $DELAYTOOL_LAVA_PYTHON or this one. Skips the test where there is none."""
    chosen = os.environ.get(lava.PYTHON_VARIABLE)
    if chosen:
        return chosen
    if importlib.util.find_spec("lava") is None:
        pytest.skip(f"lava-nc is not installed; {lava.INSTALL}, or set {lava.PYTHON_VARIABLE}")
    return sys.executable


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With DELAYTOOL_SKIPPED=fails a test that would be skipped fails: where everything that it needs was installed."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("DELAYTOOL_SKIPPED") == "fails":
        report.outcome = "failed"
        report.longrepr = f"skipped: {call.excinfo.value if call.excinfo else ''}"
    return report
