"""The engine is the reference, bit for bit, whatever the network."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import random_networks
from golden import regenerate
from hypothesis import given
from hypothesis import strategies as st
from random_networks import random_network

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, SparseSynapses
from delaytool.errors import BackendError, DataError
from delaytool.runtime import engine, reference
from delaytool.runtime.counters import count
from delaytool.runtime.digest import differing, digests
from delaytool.runtime.engine import bit_sliced_tables, event_driven
from delaytool.runtime.trace import Trace

SEEDS = st.integers(0, 2**32 - 1)
METHODS = [method for method in engine.METHODS if method != "auto"]


def assert_equal(found: Trace, expected: Trace) -> None:
    for kind in ("spikes", "u", "v"):
        for layer, (ours, theirs) in enumerate(zip(getattr(found, kind), getattr(expected, kind), strict=True)):
            np.testing.assert_array_equal(ours, theirs, err_msg=f"{kind} of layer {layer}", strict=True)


def assert_same_counts(found: engine.EngineTrace, network: IntegerNetwork, frames: np.ndarray, trace: Trace) -> None:
    expected = count(network, frames, trace)
    for name in ("input_spikes", "spikes", "synaptic_events", "neuron_updates"):
        np.testing.assert_array_equal(getattr(found.counters, name), getattr(expected, name), err_msg=name)


def drawn(seed: int, **limits: object) -> tuple[IntegerNetwork, np.ndarray]:
    return random_network(np.random.default_rng(seed), **limits)  # type: ignore[arg-type]


def small_network(**changes: object) -> IntegerNetwork:
    encoding = InputEncoding(n_units=3, n_steps=6, max_count=4)
    weight = np.array([[64, -32, 0], [2, 0, 0]])
    hidden = IntegerLayer(
        "hidden", 2, (DenseSynapses(0, weight, np.array([[0, 3, 0], [1, 0, 0]])),), dv=409, threshold=60
    )
    readout = IntegerLayer(
        "readout", 2, (DenseSynapses(1, [[8, 2], [-8, 2]], [[0, 1], [2, 0]]),), dv=0, threshold=131071
    )
    network = IntegerNetwork(encoding, (hidden, readout), Readout("sum", 1.0, 0, 8), n_steps=8)
    return replace(network, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
@given(seed=SEEDS)
def test_equals_the_reference(method: str, seed: int) -> None:
    network, frames = drawn(seed)
    expected = reference.run(network, frames)
    found = engine.run(network, frames, method=method, threads=1)
    assert_equal(found, expected)
    assert_same_counts(found, network, frames, expected)
    assert found.method == method


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", sorted(regenerate.FOLDER.glob("*.h5")), ids=lambda path: path.stem)
def test_equals_the_golden_vectors(method: str, path: Path) -> None:
    network, frames, expected = regenerate.load(path)
    assert_equal(engine.run(network, frames, method=method), expected)


def test_equals_the_reference_on_a_machine_without_wide_vectors() -> None:
    code = """
import numpy as np
from golden import regenerate
from hypothesis import given
from hypothesis import strategies as st
from random_networks import random_network
from delaytool.runtime import engine, reference
for seed in range(40):
    network, frames = random_network(np.random.default_rng(seed))
    expected = reference.run(network, frames)
    for method in ("event", "batched"):
        found = engine.run(network, frames, method=method, threads=1)
        for kind in ("spikes", "u", "v"):
            assert all(map(np.array_equal, getattr(found, kind), getattr(expected, kind))), (seed, method, kind)
"""
    environment = os.environ | {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "PYTHONPATH": str(Path(random_networks.__file__).parent),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_reference_on_wider_networks(method: str, seed: int) -> None:
    network, frames = drawn(seed, n_layers=2, max_neurons=70, max_steps=40, n_samples=5, other_sources=seed > 1)
    assert_equal(engine.run(network, frames, method=method, threads=2), reference.run(network, frames))


@pytest.mark.parametrize("method", METHODS)
@given(seed=SEEDS, data=st.data())
def test_records_what_is_asked(method: str, seed: int, data: st.DataObject) -> None:
    network, frames = drawn(seed, max_steps=20)
    n_layers = len(network.layers)
    choice = st.one_of(st.booleans(), st.lists(st.integers(-n_layers, n_layers - 1), max_size=2))
    record = engine.Record(data.draw(choice), data.draw(choice), data.draw(choice))
    full = engine.run(network, frames, method=method, threads=1)
    part = engine.run(network, frames, method=method, threads=1, record=record)
    kept = record.kept(n_layers)
    for row, kind in enumerate(("spikes", "u", "v")):
        for layer in range(n_layers):
            expected = getattr(full, kind)[layer]
            expected = expected if kept[row, layer] else expected[:, :0]
            np.testing.assert_array_equal(getattr(part, kind)[layer], expected, strict=True)
    np.testing.assert_array_equal(part.counters.synaptic_events, full.counters.synaptic_events)
    assert part.n_samples == frames.shape[0]


@pytest.mark.parametrize("method", METHODS)
def test_threads_change_nothing(method: str) -> None:
    rng = np.random.default_rng(5)
    network, _ = random_network(rng, max_steps=30)
    frames = rng.integers(0, network.encoding.max_payload + 1, (37, 20, network.encoding.n_channels))
    one = engine.run(network, frames, threads=1, method=method)
    assert_equal(engine.run(network, frames, threads=3, method=method), one)
    assert_equal(engine.run(network, frames, method=method), one)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_samples", [0, 1])
@pytest.mark.parametrize("n_frames", [0, 1, 30])
def test_few_samples_and_frames(method: str, n_samples: int, n_frames: int) -> None:
    network = small_network()
    frames = np.ones((n_samples, n_frames, 3), np.int64)
    assert_equal(engine.run(network, frames, method=method), reference.run(network, frames))


@pytest.mark.parametrize("method", METHODS)
@given(seed=SEEDS, data=st.data())
def test_long_silences(method: str, seed: int, data: st.DataObject) -> None:
    network, frames = drawn(seed, max_steps=150, biases=False, n_samples=1)
    keep = data.draw(st.sets(st.integers(0, frames.shape[1] - 1), max_size=2))
    frames = np.where(np.isin(np.arange(frames.shape[1]), list(keep))[:, np.newaxis], frames, 0)
    assert_equal(engine.run(network, frames, method=method, threads=1), reference.run(network, frames))


def test_readout_recording_is_enough_to_classify() -> None:
    network = small_network()
    frames = np.ones((2, 6, 3), np.uint8)
    trace = engine.run(network, frames, record="readout")
    np.testing.assert_array_equal(trace.readout, reference.run(network, frames).readout)
    assert trace.v[0].size == 0
    assert sum(array.size for array in (*trace.spikes, *trace.u)) == 0


def test_counts_are_counts() -> None:
    network = small_network()
    frames = np.zeros((1, 6, 3), np.uint8)
    frames[0, 0] = (3, 1, 4)  # two synapses of channel 0, one of channel 1; channel 2's weights are zero
    counters = engine.run(network, frames).counters
    assert counters.input_spikes.tolist() == [3]
    assert counters.spikes.tolist() == [[1, 0]]
    assert counters.synaptic_events.tolist() == [[3, 2]]
    assert counters.neuron_updates.tolist() == [[16, 16]]
    assert counters.total()["synaptic_events"] == 5


def test_narrow_sums_only_where_none_can_overflow() -> None:
    def pending(weights: list[int]) -> type:
        group = DenseSynapses(0, [weights], np.zeros((1, len(weights))).astype(int))
        layer = IntegerLayer("readout", 1, (group,), dv=0, threshold=131071)
        encoding = InputEncoding(n_units=len(weights), values="binary")
        return event_driven.pending_dtype(IntegerNetwork(encoding, (layer,), Readout("sum", 1.0, 0, 1), n_steps=1))

    assert pending([16384, 16383]) is np.int16
    assert pending([16384, 16384]) is np.int32
    assert pending([-16384, -16384]) is np.int16
    assert pending([-16384, -16384, -1]) is np.int32
    assert pending([32767, -32768]) is np.int16


def test_synapses_take_32_bits_where_they_fit() -> None:
    assert event_driven.build(small_network()).synapses.itemsize == 4
    group = DenseSynapses(0, [[254 << 10, 2, 2]], [[32767, 0, 1]])
    layer = IntegerLayer("readout", 1, (group,), dv=0, threshold=131071)
    network = small_network(layers=(layer,))
    assert event_driven.build(network).synapses.itemsize == 8
    frames = np.ones((1, 6, 3), np.uint8)
    assert_equal(engine.run(network, frames), reference.run(network, frames))


@pytest.mark.parametrize("method", METHODS)
@given(seed=SEEDS)
def test_digests_stand_for_the_traces(method: str, seed: int) -> None:
    network, frames = drawn(seed, max_steps=40)
    expected = reference.run(network, frames)
    found = engine.run(network, frames, record="digests", method=method, threads=1)
    assert found.digests is not None
    np.testing.assert_array_equal(found.digests, digests(expected), strict=True)
    np.testing.assert_array_equal(found.readout, expected.readout)
    assert_same_counts(found, network, frames, expected)
    assert differing(found.digests, digests(expected)).size == 0
    assert engine.run(network, frames, method=method).digests is None


@given(seed=SEEDS, data=st.data())
def test_one_wrong_value_shows_in_its_digest(seed: int, data: st.DataObject) -> None:
    network, frames = drawn(seed, max_steps=20)
    right = reference.run(network, frames)
    kind = data.draw(st.sampled_from(["spikes", "u", "v"]))
    layer = data.draw(st.integers(0, len(network.layers) - 1))
    arrays = [array.copy() for array in getattr(right, kind)]
    at = tuple(data.draw(st.integers(0, size - 1)) for size in arrays[layer].shape)
    arrays[layer][at] ^= 1
    wrong = digests(replace(right, **{kind: tuple(arrays)})) != digests(right)
    assert [tuple(map(int, place)) for place in np.argwhere(wrong)] == [
        (at[0], layer, ["spikes", "u", "v"].index(kind))
    ]


def test_choice_of_method() -> None:
    rng = np.random.default_rng(0)
    weight = 2 * rng.integers(-100, 100, (64, 64))
    layer = IntegerLayer(
        "hidden", 64, (DenseSynapses(0, weight, rng.integers(0, 25, (64, 64))),), dv=2048, threshold=300
    )
    network = IntegerNetwork(InputEncoding(64, values="binary"), (layer,), Readout("sum", 1.0, 0, 50), n_steps=50)
    frames = (rng.random((100, 50, 64)) < 0.1).astype(np.uint8)
    assert engine.run(network, frames, record="nothing").method == "batched"
    assert engine.run(network, frames[:1], record="nothing").method == "event"
    assert engine.run(network, frames[:, :1], record="nothing", method="batched").method == "batched"


def test_signed_digits() -> None:
    values = np.concatenate([np.arange(-600, 600), [2**24, -(2**24), 254 << 7, -256 << 7]])
    digits = bit_sliced_tables.signed_digits(values)
    np.testing.assert_array_equal(sum(digit << power for power, digit in enumerate(digits)), values)
    for low, high in pairwise(digits):
        assert not (low & high).any()


def test_blocks_without_and_with_feedback() -> None:
    def network(*synapses: tuple[int, int, int]) -> IntegerNetwork:
        """Layers of one neuron, joined by (source, layer, delay)."""
        layers = tuple(
            IntegerLayer(
                f"l{index}",
                1,
                tuple(
                    DenseSynapses(source, [[64]], [[delay]]) for source, target, delay in synapses if target == index
                ),
                dv=0,
                threshold=0,
            )
            for index in range(3)
        )
        return IntegerNetwork(InputEncoding(1, values="binary"), layers, Readout("sum", 1.0, 0, 9), n_steps=9)

    assert bit_sliced_tables.run_order(network((0, 0, 0), (1, 1, 0), (2, 2, 0))) == ([0, 1, 2], None)
    assert bit_sliced_tables.run_order(network((0, 2, 0), (3, 1, 0), (2, 0, 0))) == ([2, 1, 0], None)
    assert bit_sliced_tables.run_order(network((0, 0, 0), (1, 1, 0), (2, 0, 3), (2, 2, 0))) == ([0, 1, 2], 1)
    assert bit_sliced_tables.run_order(network((0, 0, 0), (1, 0, 7), (1, 1, 0), (2, 2, 9))) == ([0, 1, 2], 8)


def test_compilation_is_announced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    network, frames = small_network(), np.zeros((1, 6, 3), np.uint8)
    engine.run(network, frames, method="event")
    engine.run(network, frames, method="event", announce=lines.append)
    assert lines == []
    # the module, which the package names as the function
    monkeypatch.setattr(sys.modules[engine.run.__module__], "_is_compiled", lambda kernel, arguments: False)
    engine.run(network, frames, method="event", announce=lines.append)
    assert lines == ["compiling the event engine, once for this installation (some seconds)"]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((1, 6, 4), np.uint8), "shape (1, 6, 4), the network reads (samples, steps, 3 channels)"),
        (np.zeros((6, 3), np.uint8), "shape (6, 3)"),
        (np.zeros((1, 6, 3)), "float64"),
        (np.full((1, 6, 3), -1), "value -1"),
        (np.full((1, 6, 3), 5), "value 5, the network's encoding admits 0..4"),
    ],
)
def test_frames_that_the_encoding_does_not_admit(frames: np.ndarray, message: str) -> None:
    with pytest.raises(DataError) as error:
        engine.run(small_network(), frames)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "threads 0"),
        ({"record": "everything"}, "record 'everything'"),
        ({"record": engine.Record(v=(2,))}, "layer 2"),
        ({"method": "magic"}, "method 'magic'"),
    ],
)
def test_unknown_options(options: dict, message: str) -> None:
    with pytest.raises(BackendError) as error:
        engine.run(small_network(), np.zeros((1, 6, 3), np.uint8), **options)
    assert message in str(error.value)


@pytest.mark.parametrize(("n_hidden", "number"), [(100, np.uint16), (1500, np.int32)])
def test_digits_are_as_narrow_as_the_network_lets_them(n_hidden: int, number: type) -> None:
    rng = np.random.default_rng(0)

    def layer(name: str, source: int, n_out: int, n_in: int, threshold: int) -> IntegerLayer:
        target, pre = rng.integers(0, n_out, 2000), rng.integers(0, n_in, 2000)
        weight, delay = 2 * rng.integers(1, 127, 2000), rng.integers(0, 63, 2000)
        synapses = (SparseSynapses(source, n_out, n_in, target, pre, weight, delay),)
        return IntegerLayer(name, n_out, synapses, dv=2048, threshold=threshold)

    layers = (layer("hidden", 0, n_hidden, 9, 100), layer("readout", 1, 3, n_hidden, 131071))
    network = IntegerNetwork(InputEncoding(9, n_steps=40), layers, Readout("sum", 1.0, 0, 90), 90)
    frames = rng.integers(0, 2, (40, 40, 9)).astype(np.uint8)
    tables = bit_sliced_tables.build(network, bit_sliced_tables.samples_per_word(network, len(frames)), 1)
    assert tables.digits.dtype == number
    expected = reference.run(network, frames)
    assert expected.spikes[0].any()
    assert_equal(engine.run(network, frames, method="batched", threads=1), expected)


def test_a_synapse_takes_at_most_eight_bytes() -> None:
    rng = np.random.default_rng(0)
    weight = 2 * np.clip(np.rint(rng.normal(0, 40, (256, 256))), -127, 127).astype(int)
    synapses = DenseSynapses(0, weight, rng.integers(0, 25, weight.shape))
    layer = IntegerLayer("readout", 256, (synapses,), dv=0, threshold=131071)
    network = IntegerNetwork(InputEncoding(256, n_steps=100), (layer,), Readout("sum", 1.0, 0, 100), 100)
    batched = bit_sliced_tables.build(network, 32, 1)
    assert batched.digits.nbytes + batched.first_digit.nbytes <= 8 * weight.size
    event = event_driven.build(network)
    assert event.synapses.nbytes + event.first_synapse.nbytes <= 8 * weight.size
