"""Real numbers to integers: the definition, its range, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.contract.encoding import InputEncoding, MelSpectrogram
from delaytool.datasets import EventData, FrameData, frames_of, resolve_encoding
from delaytool.datasets.graded import quantiles
from delaytool.errors import DataError, NetworkError

values = st.floats(-100, 50, width=16)
samples = st.lists(st.lists(st.tuples(values, values, values), min_size=1, max_size=7), min_size=1, max_size=5)


def frame_data(given: list[Any], **changes: Any) -> FrameData:
    """Samples (step, 3 channels) end to end."""
    steps = np.array([len(sample) for sample in given], np.int64)
    content: dict[str, Any] = {
        "values": np.array([row for sample in given for row in sample], np.float16).reshape(-1, 3),
        "starts": np.cumsum(steps) - steps,
        "steps": steps,
        "labels": np.arange(len(given)) % 2,
        "n_classes": 2,
        "time_step_ms": 10.0,
        "name": "levels",
        **changes,
    }
    return FrameData(**content)


def encoding(**changes: Any) -> InputEncoding:
    return InputEncoding(**{"n_units": 3, "values": "graded", "input_bits": 4, **changes})


@given(samples, st.integers(1, 8), st.floats(-90, 20), st.floats(0.01, 10), st.integers(1, 9))
@settings(deadline=None, max_examples=80)
def test_each_value_becomes_the_nearest_integer(
    given: list[Any], bits: int, low: float, scale: float, steps: int
) -> None:
    data = frame_data(given).check()
    frames = frames_of(data, encoding(input_bits=bits, offset=low, scale=scale, n_steps=steps))
    assert frames.dtype == np.uint8
    assert frames.shape == (len(given), steps, 3)
    for index, sample in enumerate(given):
        for step in range(steps):
            for channel in range(3):
                expected = 0
                if step < len(sample):
                    exact = (np.float32(sample[step][channel]) - np.float32(low)) / np.float32(scale)
                    expected = min(max(round(float(exact)), 0), 2**bits - 1)  # round and rint both go to even
                assert frames[index, step, channel] == expected


@given(samples, st.lists(st.floats(0, 1), min_size=1, max_size=4))
@settings(deadline=None, max_examples=80)
def test_quantiles_are_those_of_sorting(given: list[Any], shares: list[float]) -> None:
    data = frame_data(given)
    flat = data.values.astype(np.float64).reshape(-1)
    ranks = np.maximum(np.ceil(np.array(shares) * flat.size), 1).astype(int)
    for kind in (np.float16, np.float32):
        data = replace(data, values=data.values.astype(kind))
        assert quantiles(data, tuple(shares)) == tuple(np.sort(flat)[ranks - 1])


def test_integers_that_32_bit_floats_cannot_tell_apart_are_refused() -> None:
    def rising(first: float) -> FrameData:
        values = np.linspace(first, first + 10, 3000).astype(np.float32).reshape(-1, 3)
        return frame_data([0 * values], values=values)

    assert resolve_encoding(encoding(input_bits=8), rising(30_000)).scale == pytest.approx(5 / 255, rel=0.01)
    with pytest.raises(DataError, match=r"32 bit floats are 1 apart.*subtract what all values have in common"):
        resolve_encoding(encoding(input_bits=8), rising(1e7))


def test_the_range_is_the_training_parts_above_its_floor() -> None:
    rising = np.linspace(-50, 50, 3000).astype(np.float16).reshape(1, -1, 3)
    silent = np.full((1, 5000, 3), -100.0)
    data = frame_data([rising[0], silent[0]], floor=-100.0)
    assert resolve_encoding(encoding(), replace(data, values=data.values.astype(np.float32))) == resolve_encoding(
        encoding(), data
    )
    resolved = resolve_encoding(encoding(), data)
    assert resolved.n_steps == 5000
    assert resolved.max_count == resolved.max_payload == 15
    assert resolved.offset == pytest.approx(0, abs=0.1)  # the median
    assert resolved.offset + 15 * resolved.scale == pytest.approx(49.9, abs=0.1)
    frames = frames_of(data, resolved)
    assert set(np.unique(frames[0])) == set(range(16))
    assert not frames[1].any()
    assert resolve_encoding(encoding(offset=1.0, scale=2.0), data).scale == 2.0
    assert resolve_encoding(resolved, data) == resolved


def test_subsets_share_their_values() -> None:
    data = frame_data([[(1, 2, 3)], [(4, 5, 6), (7, 8, 9)], [(0, 0, 1)]], speakers=np.array([3, 1, 2]))
    part = data.subset([2, 1])
    assert np.shares_memory(part.values, data.values)
    assert part.sample(1).tolist() == [[4, 5, 6], [7, 8, 9]]
    assert (part.labels.tolist(), part.speakers.tolist()) == ([0, 1], [2, 1])
    assert len(data.subset(np.array([True, False, False]))) == 1
    assert [len(block) for block in data.blocks(2)] == [3, 1]
    with pytest.raises(DataError, match="levels: an empty split"):
        data.subset([])


def test_what_does_not_fit_is_refused() -> None:
    data = frame_data([[(1, 2, 3)]])
    good = encoding(offset=0.0, scale=1.0, n_steps=1)
    with pytest.raises(DataError, match=r"data.values to 'graded'"):
        resolve_encoding(InputEncoding(3), data)
    with pytest.raises(DataError, match="its 3 channels do not match the encoding's 4"):
        frames_of(data, replace(good, n_units=4))
    with pytest.raises(DataError, match="its steps of 10 ms do not match the encoding's 5 ms"):
        frames_of(data, replace(good, time_step_ms=5.0))
    with pytest.raises(DataError, match="are not decided; take them from the training data"):
        frames_of(data, encoding())
    with pytest.raises(DataError, match="its frames were made with None"):
        frames_of(data, replace(good, mel=MelSpectrogram(8000, 80, 80, 3, 0.0, 4000.0)))
    with pytest.raises(DataError, match=r"every value is at its floor, 0\.0"):
        resolve_encoding(encoding(), frame_data([[(0, 0, 0)]], floor=0.0))
    with pytest.raises(DataError, match="its values hardly differ from 2"):
        resolve_encoding(encoding(), frame_data([[(2, 2, 2)]]))
    events = EventData.from_samples([([0.1], [1])], [0], n_units=3, name="spikes")
    for function in (resolve_encoding, lambda encoding, data: frames_of(data, encoding)):
        with pytest.raises(DataError, match="spikes: these are events, and values 'graded' is for real numbers"):
            function(good, events)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"values": np.zeros((1, 3))}, "float64; they must be"),
        ({"starts": np.array([0, 1])}, "2 starts and 1 lengths for 1 labels"),
        ({"steps": np.array([2])}, "sample 0: its 2 steps from row 0 are outside the 1 rows"),
        ({"labels": np.array([2])}, "sample 0: label 2 is outside 0..1"),
        ({"values": np.full((1, 3), np.nan, np.float16)}, "sample 0: it holds a value that is not finite"),
        ({"labels": np.array([], int)}, "an empty split"),
    ],
)
def test_unsound_data_are_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        frame_data([[(1, 2, 3)]], **changes).check()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"input_bits": 9}, "input_bits 9 is outside 1..8"),
        ({"input_bits": None}, "input_bits None is outside 1..8"),
        ({"values": "count"}, "input_bits 4 belongs to values 'graded', not 'count'"),
        ({"channel_bins": 3}, "channel_bins 3: graded channels are not summed"),
        ({"offset": 1.0}, "offset and scale go together"),
        ({"offset": 1.0, "scale": 0.0}, "are not a finite and a positive number"),
        ({"max_count": 3}, "max_count 3 is not the 15 of 4 input_bits"),
        ({"mel": MelSpectrogram(8000, 80, 80, 5, 0.0, 4000.0)}, "n_units 3 is not the number of mel filters, 5"),
    ],
)
def test_impossible_encodings_are_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(NetworkError, match=expected):
        encoding(**changes)


def test_encodings_of_events_are_written_as_before() -> None:
    assert list(InputEncoding(5).as_dict()) == [
        "n_units", "time_step_ms", "channel_bins", "values", "start", "n_steps", "max_count",
    ]  # fmt: skip
    mel = MelSpectrogram(8000, 80, 80, 3, 0.0, 4000.0)
    full = encoding(offset=-3.0, scale=0.5, mel=mel)
    assert InputEncoding(**full.as_dict()) == full
