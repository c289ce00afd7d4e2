"""Frames that the encoding does not admit are refused by every backend, in the same words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.frames import checked_frames, padded_input
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.errors import BackendError, DataError
from delaytool.runtime import engine, reference
from delaytool.runtime.backends import lava

LAYER = IntegerLayer("readout", 1, (DenseSynapses(0, [[4, 6]], [[0, 1]]),), dv=409, threshold=10)
NETWORK = IntegerNetwork(InputEncoding(2, max_count=7), (LAYER,), Readout("sum", 1.0, 0, 5), n_steps=5)

REFUSED = [
    (np.ones((1, 5, 2)), "frames hold float64 values"),
    (np.full((1, 5, 2), np.nan), "frames hold float64 values"),
    (np.full((1, 5, 2), -1), "frames hold the value -1, the network's encoding admits 0..7"),
    (np.full((1, 5, 2), 8), "frames hold the value 8, the network's encoding admits 0..7"),
    (np.full((1, 5, 2), 1 << 40), "frames hold the value 1099511627776"),
    (np.full((1, 5, 2), 256), "frames hold the value 256"),
    (np.ones((1, 5, 3), np.uint8), "frames have shape (1, 5, 3)"),
    (np.ones((5, 2), np.uint8), "frames have shape (5, 2)"),
]
ADMITTED = [
    np.ones((1, 5, 2), bool),
    np.full((2, 3, 2), 7, np.int64),
    np.full((1, 9, 2), 7, np.uint64),
    np.zeros((0, 5, 2), int),
]


def torch_backend(network: IntegerNetwork, frames: np.ndarray):
    torch = pytest.importorskip("torch")
    from delaytool.runtime.backends.torch import simulate

    return simulate(network, torch.from_numpy(frames))[0]


BACKENDS = {
    "reference": reference.run,
    "engine": engine.run,
    "torch": torch_backend,
    "lava": lava.run,  # refuses before it looks for Lava
    "the check": lambda network, frames: checked_frames(network.encoding, frames),
}


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(("frames", "text"), REFUSED)
def test_refused_alike(name: str, frames: np.ndarray, text: str) -> None:
    with pytest.raises(DataError) as caught:
        BACKENDS[name](NETWORK, frames)
    assert text in str(caught.value)


def test_spans_of_time_are_no_integers() -> None:
    """Though to numpy their type is one; PyTorch has none for them."""
    for run in (reference.run, engine.run):
        with pytest.raises(DataError, match=r"frames hold timedelta64\[s\] values, the network reads integers"):
            run(NETWORK, np.zeros((1, 5, 2), "m8[s]"))


@pytest.mark.parametrize("frames", ADMITTED, ids=lambda frames: f"{frames.dtype} {frames.shape}")
def test_admitted_alike(frames: np.ndarray) -> None:
    expected = reference.run(NETWORK, frames)
    found = engine.run(NETWORK, frames)
    np.testing.assert_array_equal(found.v[0], expected.v[0])
    if len(frames) and frames.dtype != np.uint64:
        np.testing.assert_array_equal(torch_backend(NETWORK, frames).v.numpy(), expected.v[0])


def test_frames_are_lengthened_with_silence_or_cut() -> None:
    frames = np.ones((2, 7, 3), np.uint8)
    np.testing.assert_array_equal(padded_input(frames, 5), frames[:, :5])
    longer = padded_input(frames, 9)
    np.testing.assert_array_equal(longer[:, :7], frames)
    assert longer.shape[1] == 9
    assert not longer[:, 7:].any()


def test_a_trace_beyond_all_memory_is_refused_at_once() -> None:
    layer = IntegerLayer("readout", 10_000, (), dv=409, threshold=10)
    large = replace(NETWORK, layers=(layer,), n_steps=1 << 20)
    with pytest.raises(BackendError, match=r"a sample of 1048576 steps takes \d+\.\d GiB, more than 8"):
        reference.run(large, np.zeros((1, 5, 2), np.uint8))
