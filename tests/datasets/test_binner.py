from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.contract.encoding import InputEncoding
from delaytool.datasets import EventData, bin_events, digest, memory, resolve_encoding
from delaytool.datasets import binner as binner_module
from delaytool.errors import DataError

N_UNITS = 6
# Sixteenths of a second fall on the bins' edges, the others anywhere.
times = st.one_of(st.floats(0, 0.5, width=32), st.integers(0, 8).map(lambda count: count / 16))
samples = st.lists(st.lists(st.tuples(times, st.integers(0, N_UNITS - 1)), max_size=12), min_size=1, max_size=6)
encodings = st.builds(
    InputEncoding,
    n_units=st.just(N_UNITS),
    time_step_ms=st.sampled_from([1000 / 16, 10.0, 1.0, 62.5, 33.3, 400.0]),
    channel_bins=st.sampled_from([1, 2, 3, 6]),
    values=st.sampled_from(["count", "binary"]),
    start=st.sampled_from(["first-spike", "zero"]),
    n_steps=st.integers(1, 40),
    max_count=st.one_of(st.none(), st.integers(1, 4)),
)


def made(samples: list[list[tuple[float, int]]], n_units: int = N_UNITS) -> EventData:
    pairs = [
        (np.array([time for time, _ in events]), np.array([unit for _, unit in events], np.int64)) for events in samples
    ]
    return EventData.from_samples(pairs, np.zeros(len(pairs)), n_units=n_units)


def slow_frames(data: EventData, encoding: InputEncoding) -> np.ndarray:
    """What the binner must give: one event at a time, in Python's own float64."""
    assert encoding.n_steps is not None
    frames = np.zeros((len(data), encoding.n_steps, encoding.n_channels), np.uint8)
    for index in range(len(data)):
        events = [(float(time), int(unit)) for time, unit in zip(*data.sample(index), strict=True)]
        start = min((time for time, _ in events), default=0.0) if encoding.start == "first-spike" else 0.0
        for time, unit in events:
            step = math.floor((time - start) / (encoding.time_step_ms / 1000))
            if step < encoding.n_steps:
                channel = unit // encoding.channel_bins
                most = 1 if encoding.values == "binary" else encoding.max_count or 255
                frames[index, step, channel] = min(int(frames[index, step, channel]) + 1, most)
    return frames


@settings(deadline=None)
@given(samples, encodings)
def test_equal_to_the_slow_binner(samples: list[Any], encoding: InputEncoding) -> None:
    data = made(samples)
    frames = bin_events(data, encoding)
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(frames, slow_frames(data, encoding))


@settings(deadline=None)
@given(samples.filter(any), encodings)
def test_resolved_from_the_training_data(samples: list[Any], encoding: InputEncoding) -> None:
    data = made(samples)
    open_encoding = replace(encoding, n_steps=None, max_count=None)
    resolved = resolve_encoding(open_encoding, data)
    assert resolved.n_steps is not None
    assert resolved.max_count is not None
    frames = slow_frames(data, resolved)
    # The longest sample just fits: no event is cut, and the last step of one sample is used.
    wide = slow_frames(data, replace(resolved, n_steps=resolved.n_steps + 10, max_count=255))
    assert wide[:, resolved.n_steps :].sum() == 0
    assert frames[:, -1].any()
    assert resolved.max_count == wide.max()
    assert resolve_encoding(resolved, data) == resolved


def test_in_many_pieces(monkeypatch: pytest.MonkeyPatch, data: EventData) -> None:
    encoding = InputEncoding(n_units=20, channel_bins=4, n_steps=25)
    expected = slow_frames(data, encoding)
    for events, cells in ((1, 1), (50, 1 << 23), (1 << 22, 300)):
        monkeypatch.setattr(binner_module, "EVENTS_AT_ONCE", events)
        monkeypatch.setattr(binner_module, "CELLS_AT_ONCE", cells)
        np.testing.assert_array_equal(bin_events(data, encoding), expected)


@pytest.mark.parametrize(("max_count", "expected"), [(None, 255), (255, 255), (7, 7)])
def test_counts_saturate_and_never_wrap(max_count: int | None, expected: int) -> None:
    data = made([[(0.001, 2)] * 300])
    encoding = InputEncoding(n_units=N_UNITS, n_steps=2, max_count=max_count)
    assert bin_events(data, encoding)[0].tolist() == [[0, 0, expected, 0, 0, 0], [0] * 6]
    assert resolve_encoding(replace(encoding, max_count=None), data).max_count == 255


def test_the_largest_count_is_that_of_all_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binner_module, "CELLS_AT_ONCE", 1)
    data = made([[(0.0, 1)], [(0.0, 1)] * 3, [(0.0, 0)]])
    assert resolve_encoding(InputEncoding(n_units=N_UNITS), data).max_count == 3


def test_binary_resolves_to_one() -> None:
    data = made([[(0.001, 2)] * 3])
    resolved = resolve_encoding(InputEncoding(n_units=N_UNITS, values="binary"), data)
    assert (resolved.n_steps, resolved.max_count) == (1, 1)


def test_start_at_the_first_spike_or_at_zero() -> None:
    data = made([[(0.053, 1), (0.041, 0)]])
    for start, steps in (("first-spike", [0, 1]), ("zero", [4, 5])):
        frames = bin_events(data, InputEncoding(n_units=N_UNITS, start=start, n_steps=6))
        assert np.nonzero(frames[0])[0].tolist() == steps


def test_a_time_beyond_any_integer_is_cut() -> None:
    data = made([[(0.0, 0), (3e38, 0)]])
    assert bin_events(data, InputEncoding(n_units=N_UNITS, n_steps=3)).sum() == 1


def test_units_must_agree(data: EventData) -> None:
    for call in (bin_events, lambda data, encoding: resolve_encoding(encoding, data)):
        with pytest.raises(DataError, match="20 units do not match the encoding's 700"):
            call(data, InputEncoding(n_units=700, n_steps=3))


def test_open_steps_cannot_be_binned(data: EventData) -> None:
    with pytest.raises(DataError, match="n_steps is not decided"):
        bin_events(data, InputEncoding(n_units=20))


def test_times_in_milliseconds_are_noticed() -> None:
    with pytest.raises(DataError, match=r"sample 1: it lasts 1000001 steps .* set data.time_unit"):
        resolve_encoding(InputEncoding(n_units=N_UNITS, time_step_ms=1), made([[(0.0, 0)], [(1.0, 0), (1001.0, 1)]]))


def test_silence_alone_cannot_decide() -> None:
    with pytest.raises(DataError, match="no sample has any event"):
        resolve_encoding(InputEncoding(n_units=N_UNITS), made([[], []]))


def test_silent_samples_give_silent_frames() -> None:
    assert bin_events(made([[], []]), InputEncoding(n_units=N_UNITS, n_steps=4)).shape == (2, 4, N_UNITS)


def test_frames_beyond_memory(data: EventData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_physical_memory", lambda: 7999)
    with pytest.raises(DataError, match=r"frames \(40, 10, 20\) need 0\.0 GB"):
        bin_events(data, InputEncoding(n_units=20, n_steps=10))


def test_digest_depends_on_values_shape_and_type() -> None:
    frames = np.arange(12, dtype=np.uint8).reshape(2, 3, 2)
    labels = np.array([0, 1])
    given = digest(frames, labels)
    assert len(given) == 64
    assert given == digest(frames.copy(order="F"), labels.astype(np.int32))
    changed = frames.copy()
    changed[1, 1, 1] += 1
    for other in (changed, frames.reshape(2, 2, 3), frames.astype(np.uint16)):
        assert digest(other, labels) != given
    assert digest(frames, labels[::-1]) != given
