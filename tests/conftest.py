"""Fixtures that every test folder shares."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# importlib import mode puts no folder on the path, and a `tests` package would collide with the one that Lava's
# wheels install; so the helper modules that lie beside this file are importable by their own names.
sys.path.insert(0, str(Path(__file__).parent))

from random_networks import random_network as _random_network

# A compiler's or a shared machine's pause is not a failure.
settings.register_profile("delaytool", deadline=None)
settings.load_profile("delaytool")


@pytest.fixture(scope="session")
def random_network() -> Callable:
    """`random_networks.random_network`: (numpy Generator, keywords) -> (network, frames)."""
    return _random_network
