"""Networks that read recordings and events, and a sound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from inference_networks import network_of, sound_encoding

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.network import IntegerNetwork


@pytest.fixture
def sound_network() -> IntegerNetwork:
    return network_of(sound_encoding())


@pytest.fixture
def event_network() -> IntegerNetwork:
    return network_of(InputEncoding(40, channel_bins=2, max_count=3, n_steps=30))


@pytest.fixture
def chirp() -> Callable[..., np.ndarray]:
    """(rate, seconds, seed) -> (samples,) int16 of a tone that slides, with noise."""

    def made(rate: int = 8000, seconds: float = 0.5, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        time = np.arange(round(rate * seconds)) / rate
        start, end = rng.uniform(100, 3000, 2)
        sound = 0.3 * np.sin(2 * np.pi * (start + (end - start) * time / seconds / 2) * time)
        return ((sound + 0.02 * rng.standard_normal(time.size)) * 32767).astype("<i2")

    return made
