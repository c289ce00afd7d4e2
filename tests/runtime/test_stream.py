"""A stream gives the bits of a run, across saving and resuming too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_networks import random_network

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.frames import padded_input
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.errors import BackendError, DataError
from delaytool.runtime import engine, reference
from delaytool.runtime.stream import Stream


def drawn(seed: int) -> tuple[IntegerNetwork, np.ndarray]:
    network, frames = random_network(np.random.default_rng(seed), n_samples=1)
    return network, padded_input(frames, network.n_steps)


LONGEST = 5  # delay of `keyword_network`'s first layer


def keyword_network(weight: int = 64) -> IntegerNetwork:
    hidden = IntegerLayer(
        "hidden", 2, (DenseSynapses(0, [[weight, 0], [0, 64]], [[3, 0], [0, LONGEST]]),), dv=1024, threshold=40
    )
    readout = IntegerLayer("readout", 1, (DenseSynapses(1, [[8, -8]], [[0, 2]]),), dv=0, threshold=131071)
    return IntegerNetwork(InputEncoding(2, max_count=3), (hidden, readout), Readout("sum", 1.0, 0, 9), n_steps=9)


@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_equals_the_run_across_a_restored_state(seed: int, data: st.DataObject) -> None:
    network, frames = drawn(seed)
    expected = reference.run(network, frames)
    cut = data.draw(st.integers(0, network.n_steps))
    stream = Stream(network)
    for step in range(network.n_steps):
        if step == cut:
            state = stream.state()
            stream.step(frames[0, step])  # what happens after the state was taken must not change it
            stream = Stream(network)
            stream.restore(state)
        found = stream.step(frames[0, step])
        np.testing.assert_array_equal(found.readout, expected.readout[0, step], strict=True)
        for ours, theirs in zip(found.spikes, expected.spikes, strict=True):
            np.testing.assert_array_equal(ours, theirs[0, step], strict=True)
    batch = engine.run(network, frames, record="nothing").counters
    for name in ("input_spikes", "spikes", "synaptic_events", "neuron_updates"):
        np.testing.assert_array_equal(getattr(stream.counters, name), getattr(batch, name), err_msg=name)
    assert stream.n_steps == network.n_steps


def test_goes_on_where_a_run_would_stop() -> None:
    frames = np.random.default_rng(0).integers(0, 4, (1, 200, 2))
    network = keyword_network()
    longer = IntegerNetwork(network.encoding, network.layers, network.readout, n_steps=200)
    stream = Stream(network)
    found = np.stack([stream.step(frame).readout for frame in frames[0]])
    np.testing.assert_array_equal(found, reference.run(longer, frames).readout[0])


def test_reset_is_a_new_beginning() -> None:
    stream = Stream(keyword_network())
    frame = np.array([3, 3])
    first = [stream.step(frame).readout for _ in range(12)]
    stream.reset()
    assert set(stream.counters.total().values()) == {0}
    np.testing.assert_array_equal([stream.step(frame).readout for _ in range(12)], first)


def test_saved_and_loaded(tmp_path: Path) -> None:
    stream, other = Stream(keyword_network()), Stream(keyword_network())
    for _ in range(5):
        stream.step(np.array([1, 2]))
    stream.save(tmp_path / "state.npz")
    other.load(tmp_path / "state.npz")
    assert other.n_steps == 5
    for _ in range(5):
        np.testing.assert_array_equal(other.step(np.array([0, 1])).readout, stream.step(np.array([0, 1])).readout)
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


def test_states_that_do_not_fit(tmp_path: Path) -> None:
    stream = Stream(keyword_network())
    stream.save(tmp_path / "state.npz")
    with pytest.raises(BackendError, match="another network"):
        Stream(keyword_network(weight=62)).load(tmp_path / "state.npz")
    with pytest.raises(BackendError, match="no such file"):
        stream.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(BackendError, match=r"text\.npz: not a stream's state"):
        stream.load(tmp_path / "text.npz")
    with pytest.raises(BackendError, match="lacks 'u'"):
        stream.restore({name: array for name, array in stream.state().items() if name != "u"})
    with pytest.raises(BackendError, match="damaged 'v'"):
        stream.restore(stream.state() | {"v": np.zeros(7, np.int32)})


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros(3, np.uint8), "shape (3,)"),
        (np.zeros(2), "float64"),
        (np.array([0, 4]), "value 4"),
        (np.array([-1, 0]), "value -1"),
    ],
)
def test_frames_that_the_encoding_does_not_admit(frame: np.ndarray, message: str) -> None:
    with pytest.raises(DataError) as error:
        Stream(keyword_network()).step(frame)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cursor", 6), ("cursor", 9), ("cursor", 10), ("cursor", 10**6), ("cursor", -1), ("cursor", 2**62),
        ("u", 2**23 + 1), ("u", -(2**31)), ("v", 2**23), ("v", -(2**23)), ("v", (40 << 6) + 1),
        ("pending", 2**15 - 1), ("pending", -(2**15)), ("pending", 1),
        ("input_spikes", -1), ("spikes", 10**9), ("synaptic_events", -(2**63)),
        ("synaptic_events", 3 * keyword_network().layers[0].n_synapses + 1), ("n_steps", -1), ("n_steps", 2**62),
    ],
)  # fmt: skip
def test_values_that_no_step_leaves_are_refused(name: str, value: int, tmp_path: Path) -> None:
    stream = Stream(keyword_network())
    for _ in range(3):
        stream.step(np.array([1, 2]))
    before = stream.state()
    changed = {key: array.copy() for key, array in before.items()}
    # Row 0 of the first window has been read, so nothing may wait there.
    changed[name].flat[0] = value
    np.savez_compressed(tmp_path / "state.npz", **changed)
    for attempt in (lambda: stream.restore(changed), lambda: stream.load(tmp_path / "state.npz")):
        with pytest.raises(BackendError, match=rf"{value} in '{name}', which its network cannot reach"):
            attempt()
    for key, array in stream.state().items():
        np.testing.assert_array_equal(array, before[key])


def test_input_waits_from_the_next_step_to_the_longest_delay() -> None:
    stream = Stream(keyword_network())
    for _ in range(3):
        stream.step(np.array([0, 0]))
    silent = stream.state()
    for row in range(2 * (LONGEST + 1)):  # of the first layer's window
        pending = silent["pending"].copy()
        pending[2 * row] = 1
        state = silent | {"pending": pending}
        if 3 <= row <= 3 + LONGEST:
            stream.restore(state)
        else:
            with pytest.raises(BackendError, match="1 in 'pending', which its network cannot reach"):
                stream.restore(state)


@pytest.mark.parametrize("name", ["cursor", "u", "pending", "n_steps", "spikes"])
def test_other_types_and_shapes_are_refused(name: str, tmp_path: Path) -> None:
    stream = Stream(keyword_network())
    state = stream.state()
    array = state[name]
    for changed in (
        array.astype(np.float64), array.astype(bool), array.astype(np.uint64), array.astype(array.dtype.newbyteorder()),
        np.stack([array, array]), array.astype("U5"),
    ):  # fmt: skip
        np.savez_compressed(tmp_path / "state.npz", **{**state, name: changed})
        for attempt in (
            lambda changed=changed: stream.restore({**state, name: changed}),
            lambda: stream.load(tmp_path / "state.npz"),
        ):
            with pytest.raises(BackendError, match=f"damaged '{name}'"):
                attempt()


def test_a_state_that_would_unpack_to_much_is_refused(tmp_path: Path) -> None:
    stream = Stream(keyword_network())
    state = {**stream.state(), "u": np.zeros(1 << 24, np.int32)}
    np.savez_compressed(tmp_path / "state.npz", **state)
    with pytest.raises(BackendError, match="damaged 'u'"):
        stream.load(tmp_path / "state.npz")
    (tmp_path / "state.npz").write_bytes(b"PK not a zip")
    with pytest.raises(BackendError, match=r"state.npz: not a stream's state"):
        stream.load(tmp_path / "state.npz")
