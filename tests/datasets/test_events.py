from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.datasets import EventData
from delaytool.datasets import events as events_module
from delaytool.errors import DataError

lengths = st.lists(st.integers(0, 6), min_size=1, max_size=12)


def numbered(sizes: list[int]) -> EventData:
    """Samples whose events are all different, so that a misplaced one shows."""
    ends = np.cumsum(sizes)
    spans = [np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True)]
    return EventData.from_samples(
        [(span / 1024, span) for span in spans],
        np.arange(len(sizes)),
        n_units=max(int(ends[-1]), 1),
        speakers=np.arange(len(sizes)) * 7,
    )


@settings(deadline=None)
@given(lengths, st.data())
def test_subset_keeps_each_samples_events(sizes: list[int], draw: st.DataObject) -> None:
    data = numbered(sizes)
    indices = draw.draw(st.lists(st.integers(-len(sizes), len(sizes) - 1), min_size=1, max_size=20))
    part = data.subset(indices).check()
    assert len(part) == len(indices)
    for new, old in enumerate(indices):
        for ours, theirs in zip(part.sample(new), data.sample(old), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(part.labels, data.labels[indices])
    assert part.speakers is not None
    np.testing.assert_array_equal(part.speakers, part.labels * 7)


@settings(deadline=None)
@given(lengths, st.integers(1, 7), st.one_of(st.none(), st.integers(1, 4)))
def test_runs_cover_every_sample_once(sizes: list[int], most_events: int, most_samples: int | None) -> None:
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    ranges = list(events_module.runs(offsets, most_events, most_samples))
    assert [index for low, high in ranges for index in range(low, high)] == list(range(len(sizes)))
    for low, high in ranges:
        assert high == low + 1 or offsets[high] - offsets[low] <= most_events
        assert most_samples is None or high - low <= most_samples


def test_subset_in_many_pieces(monkeypatch: pytest.MonkeyPatch, data: EventData) -> None:
    indices = np.random.default_rng(1).permutation(len(data))
    whole = data.subset(indices)
    monkeypatch.setattr(events_module.runs, "__defaults__", (17, None))
    pieces = data.subset(indices)
    np.testing.assert_array_equal(pieces.times, whole.times)
    np.testing.assert_array_equal(pieces.units, whole.units)


def test_subset_by_mask(data: EventData) -> None:
    part = data.subset(data.labels == 2)
    assert set(part.labels) == {2}
    assert part.n_classes == data.n_classes


def test_an_empty_subset_is_refused(data: EventData) -> None:
    for nothing in ([], np.zeros(len(data), bool)):
        with pytest.raises(DataError, match="an empty split"):
            data.subset(nothing)


def test_types_and_lengths(data: EventData) -> None:
    assert (data.times.dtype, data.units.dtype) == (np.float32, np.int32)
    assert (data.offsets.dtype, data.labels.dtype) == (np.int64, np.int64)
    assert len(data) == 40
    assert data.n_events == data.times.size == data.offsets[-1]
    with pytest.raises(IndexError):
        data.sample(40)


def test_a_late_float16_time_stays_what_it_is() -> None:
    data = EventData.from_samples([(np.array([1.5, 60000], np.float16), [0, 1])], [0], n_units=2)
    np.testing.assert_array_equal(data.times, np.array([1.5, 60000], np.float32))


@pytest.mark.parametrize("times", [1.7e9 + np.array([0, 0.05, 0.1]), 1e5 + np.array([0, 0.001]), np.array([86_400.3])])
def test_times_so_late_that_32_bit_floats_merge_them_are_refused(times: np.ndarray) -> None:
    for early in (times - times[0], times / 1e6):
        EventData.from_samples([(early, np.zeros(times.size, int))], [0], n_units=1)
    samples = [([], np.empty(0, int)), ([0.1], [0]), (times, np.zeros(times.size, int))]
    with pytest.raises(DataError, match=r"some: sample 2: its times begin at .* give times from the sample's"):
        EventData.from_samples(samples, [0, 0, 0], n_units=1, name="some")


def test_a_long_sample_may_be_rounded_to_a_small_part_of_its_span() -> None:
    times = np.linspace(0, 100_000.7, 50)
    data = EventData.from_samples([(times, np.zeros(50, int))], [0], n_units=1)
    np.testing.assert_array_equal(data.times, times.astype(np.float32))


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (([0.1, np.nan], [0, 0]), r"some: sample 2: time nan is not"),
        (([0.1, np.inf], [0, 0]), r"some: sample 2: time inf is not"),
        (([1e60], [0]), r"some: sample 2: time inf is not"),
        (([-0.5], [0]), r"some: sample 2: time -0.5 is not"),
        (([0.1, 0.2], [3, 5]), r"some: sample 2: unit 5 is outside 0\.\.4; set data.n_units"),
        (([0.1], [-1]), r"some: sample 2: unit -1 is outside 0\.\.4"),
        (([0.1], [1 << 32]), r"some: sample 2: unit 4294967296 is outside 0\.\.4"),
        (([0.1], [1.5]), r"some: sample 2: units are float64, not integers"),
        (([0.1, 0.2], [1]), r"some: sample 2: 2 times but 1 units"),
    ],
)
def test_bad_samples_are_named(sample: tuple[list, list], message: str) -> None:
    # The silent sample shares its offset with the bad one; the bad one must be named.
    samples = [([0.1, 0.3], [0, 4]), ([], np.empty(0, np.int64)), sample]
    with pytest.raises(DataError, match=message) as caught:
        EventData.from_samples(samples, [0, 1, 2], n_units=5, name="some")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.array([0, 1, 2, 4])}, r"sample 3: label 4 is outside 0\.\.3"),
        ({"labels": np.array([0, -1, 2, 3])}, r"sample 1: label -1 is outside"),
        ({"labels": np.empty(0, np.int64)}, r"an empty split"),
        ({"labels": np.zeros(3, np.int64)}, r"5 offsets for 3 labels"),
        ({"offsets": np.array([0, 3, 2, 4, 4])}, r"the offsets run from"),
        ({"offsets": np.array([0, 1, 2, 3, 9])}, r"the offsets run from 0 to 9"),
        ({"units": np.zeros(3, np.int32)}, r"3 units for 4 times"),
        ({"speakers": np.zeros(3, np.int64)}, r"3 speakers for 4 samples"),
    ],
)
def test_inconsistent_arrays_are_refused(change: dict, message: str) -> None:
    data = EventData.from_samples([([0.1], [0])] * 4, [0, 1, 2, 3], n_units=1)
    assert data.check() is data
    with pytest.raises(DataError, match=message):
        replace(data, **change).check()


def test_no_samples_at_all() -> None:
    with pytest.raises(DataError, match="an empty split"):
        EventData.from_samples([], [], n_units=3)
