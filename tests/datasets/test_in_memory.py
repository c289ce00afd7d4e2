"""Data sets from memory: whatever they come as, their frames are the ones that were given."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delaytool.contract.encoding import InputEncoding
from delaytool.datasets import DataSpec, EventData, FrameData, frames_of, load
from delaytool.datasets.in_memory import in_memory
from delaytool.datasets.spec import MEMORY
from delaytool.errors import DataError

SPEC = DataSpec(MEMORY, validation_fraction=0.25, test_fraction=0.25, time_step_ms=3.0)


def samples(seed=0, n=16, steps=7, channels=5, highest=3):
    rng = np.random.default_rng(seed)
    return rng.integers(0, highest + 1, (n, steps, channels)).astype(np.uint8), np.arange(n) % 2


def parts(frames, labels):
    return {
        "train": (frames[:8], labels[:8]),
        "validation": (frames[8:12], labels[8:12]),
        "test": (frames[12:], labels[12:]),
    }


def frames_again(part, data, **more):
    options = {"n_units": part.n_units, "time_step_ms": SPEC.time_step_ms, "start": "zero", "n_steps": data.n_steps}
    return frames_of(part, InputEncoding(**{**options, **more}))


@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 400),
    channels=st.integers(1, 6),
    highest=st.sampled_from([1, 3, 255]),
    step_ms=st.floats(0.05, 50.0),
)
def test_spike_counts_come_back_as_they_were_given(seed, steps, channels, highest, step_ms):
    frames, labels = samples(seed, 4, steps, channels, highest)
    frames[0] = 0  # silence has a length, too
    spec = DataSpec(MEMORY, time_step_ms=step_ms)
    data = in_memory({name: (frames, labels) for name in ("train", "validation", "test")}, spec)
    assert data.n_steps == steps
    again = frames_again(data.splits.train, data, time_step_ms=step_ms, max_count=255)
    np.testing.assert_array_equal(again, frames)
    np.testing.assert_array_equal(data.splits.test.labels, labels)


def test_a_part_may_be_many_things():
    frames, labels = samples()
    listed = [(frame.tolist(), int(label)) for frame, label in zip(frames, labels, strict=True)]

    class Dataset:
        def __len__(self):
            return len(listed)

        def __getitem__(self, index):
            return listed[index]

    class Loader:  # as PyTorch's: batches
        dataset, batch_size = Dataset(), 8

        def __iter__(self):
            return iter([(frames[:8], labels[:8]), (frames[8:], labels[8:])])

    given = [(frames, labels), (list(frames), labels.tolist()), (frames.astype(np.float32), labels), Dataset(), listed]
    given.append(Loader())
    if importlib.util.find_spec("torch") is not None:
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        tensors = TensorDataset(torch.from_numpy(frames).float(), torch.from_numpy(labels))
        given += [tensors, DataLoader(tensors, batch_size=5), (torch.from_numpy(frames).requires_grad_(False), labels)]
    for one in given:
        data = in_memory({name: one for name in ("train", "validation", "test")}, SPEC)
        np.testing.assert_array_equal(frames_again(data.splits.validation, data, max_count=3), frames)
        np.testing.assert_array_equal(data.splits.validation.labels, labels)


def test_samples_of_several_lengths_end_in_silence():
    frames, labels = samples()
    short = [frame[: 3 + index % 5] for index, frame in enumerate(frames)]
    data = in_memory(parts(short, labels), SPEC)
    assert data.n_steps == 7
    again = frames_again(data.splits.train, data, max_count=3)
    for index in range(8):
        np.testing.assert_array_equal(again[index, : 3 + index % 5], short[index])
        assert not again[index, 3 + index % 5 :].any()


@pytest.mark.parametrize("kind", [np.uint16, np.uint8, np.int64])
def test_units_may_be_of_any_whole_type(kind):
    """uint16, as the ear and SHD's files have them, cannot hold the -1 of a sample without spikes."""
    times, units = np.linspace(0, 0.02, 5), np.array([0, 3, 1, 4, 2], kind)
    events = [(times, units), (times[:0], units[:0])] * 8
    data = in_memory((events, np.arange(16) % 2), SPEC)
    assert data.splits.train.n_units == 5


@pytest.mark.parametrize("kind", [np.uint16, np.int64, np.uint64])
def test_a_sample_without_events_is_of_any_type(kind):
    """An empty list is an array of floats, and NumPy joins unsigned and signed 64 bit integers as floats."""
    times, units = np.linspace(0, 0.02, 5), np.array([0, 3, 1, 4, 2])
    data = in_memory(([(times, units.astype(kind)), ([], []), (times, units)] * 6, [0, 1] * 9), SPEC)
    assert data.splits.train.n_units == 5
    with pytest.raises(DataError, match=r"in-memory: sample 1: units are float64, not integers"):
        in_memory(([(times, units), (times, units + 0.5)] * 8, [0, 1] * 8), SPEC)


@pytest.mark.parametrize("lengths", [(5, 5), (5, 7)])
def test_tuples_of_another_length_than_events_have_are_no_frames(lengths):
    events = [(np.linspace(0, 0.1, n), np.arange(n) % 3, np.zeros(n, int)) for n in lengths] * 8
    with pytest.raises(DataError, match=r"sample 0: it is a tuple of 3; events are tuples \(times, units\)"):
        in_memory((events, [0, 1] * 8), SPEC)
    with pytest.raises(DataError, match=r"5 to 7 channels; .* or, where samples are events, tuples"):
        in_memory(([np.ones((2, n)) for n in (5, 7)] * 8, [0, 1] * 8), SPEC)


@pytest.mark.parametrize("random", ["shuffle", "batches", "weights"])
def test_a_loader_that_shuffles_needs_a_generator_of_its_own(random):
    """Parts are cut by the samples' order, so that the test part would be another in every run."""
    torch = pytest.importorskip("torch")
    from torch.utils import data as of_torch

    frames, labels = samples()
    data = of_torch.TensorDataset(torch.from_numpy(frames), torch.from_numpy(labels))

    def loader(generator=None):
        if random == "shuffle":
            return of_torch.DataLoader(data, batch_size=5, shuffle=True, generator=generator)
        if random == "weights":
            sampler = of_torch.WeightedRandomSampler([1.0] * 16, 16, replacement=False, generator=generator)
            return of_torch.DataLoader(data, batch_size=5, sampler=sampler)
        sampler = of_torch.BatchSampler(of_torch.RandomSampler(data, generator=generator), 5, drop_last=False)
        return of_torch.DataLoader(data, batch_sampler=sampler)

    in_order = in_memory(of_torch.DataLoader(data, batch_size=5), SPEC).splits.test
    if random == "shuffle":  # the data set's own order is as good
        np.testing.assert_array_equal(in_memory(loader(), SPEC).splits.test.units, in_order.units)
    else:
        with pytest.raises(DataError, match=r"in another order, every time .*\(loader\.dataset\), or the sampler a"):
            in_memory(loader(), SPEC)
    given = loader(torch.Generator().manual_seed(1))
    first, again = (in_memory(given, SPEC).splits.test for _ in range(2))
    np.testing.assert_array_equal(first.units, again.units)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert not np.array_equal(first.units, in_order.units)


LISTED = [[0.01, 0.02, 0.03], [0, 1, 2]]


@pytest.mark.parametrize(
    "events",
    [
        [LISTED] * 16,  # as JSON gives them; of equal lengths they are as good as frames of two steps
        [LISTED, [[0.01, 0.02], [1, 0]]] * 8,
        [LISTED, [[0.01, 0.02], [1]]] * 8,
        [LISTED, tuple(LISTED)] * 8,
        [[[], []], LISTED] * 8,
        [[np.array(times), np.array(units)] for times, units in [LISTED] * 16],
    ],
)
def test_events_in_lists_are_not_taken_for_frames(events):
    labels = [0, 1] * 8
    with pytest.raises(DataError, match=r"each sample is a list of two sequences.*give \(times, units\) as a tuple"):
        in_memory((events, labels), SPEC)


def test_what_the_error_of_events_in_lists_says_is_possible():
    labels = [0, 1] * 8
    assert isinstance(in_memory(([tuple(one) for one in [LISTED] * 16], labels), SPEC).splits.train, EventData)
    two_steps = [np.array([[1, 0, 2], [0, 1, 0]])] * 16
    assert in_memory((two_steps, labels), SPEC).n_steps == 2
    assert in_memory((np.array(two_steps), labels), SPEC).n_steps == 2
    one_of_two_steps = [[[1, 0], [0, 1]], [[1, 0], [0, 1], [1, 1]]] * 8  # lists of several lengths are frames
    assert in_memory((one_of_two_steps, labels), SPEC).n_steps == 3


def test_events_are_events():
    rng = np.random.default_rng(1)
    events = [(np.sort(rng.uniform(0, 0.1, 9)), rng.integers(0, 6, 9)) for _ in range(16)]
    events[3] = (events[3][0], np.full(9, 6))
    data = in_memory((events, ["a", "b"] * 8), SPEC)
    assert isinstance(data.splits.train, EventData)
    assert data.n_steps is None
    assert data.splits.train.n_units == 7
    assert in_memory((events, ["a", "b"] * 8), SPEC, n_units=12).splits.train.n_units == 12
    assert sum(map(len, (data.splits.train, data.splits.validation, data.splits.test))) == 16
    assert data.splits.train.class_names == ("a", "b")


MILLISECONDS = [(np.array([0.0, 7.5, 80.0]), np.array([0, 2, 1])), (np.array([3.0]), np.array([1]))] * 6


@pytest.mark.parametrize("kind", [np.float64, np.int64])
def test_the_time_unit_of_events_is_that_of_the_spec(kind):
    given = [(times.astype(kind), units) for times, units in MILLISECONDS]
    data = in_memory((given, [0, 1] * 6), replace(SPEC, time_unit="ms"))
    seconds = [(times.astype(kind) / 1000, units) for times, units in MILLISECONDS]
    wanted = in_memory((seconds, [0, 1] * 6), SPEC)
    np.testing.assert_array_equal(data.splits.train.times, wanted.splits.train.times)
    assert data.splits.train.times.max() == np.float32(0.08)


@pytest.mark.parametrize(
    ("given", "more", "message"),
    [
        (MILLISECONDS, {}, r"sample .*: its times span 80.* are likely ms: set data.time_unit"),
        ([(times.astype(int), units) for times, units in MILLISECONDS], {}, "whole numbers are seldom seconds"),
        (MILLISECONDS, {"time_unit": "us"}, 'with data.time_unit = "us" its longest sample lasts'),
        (samples(n=12)[0], {"time_unit": "ms"}, "data.time_unit 'ms' is for .* events"),
        (MILLISECONDS, {"time_unit": "ms", "ear": True}, "data.ear is for recordings"),
        (MILLISECONDS, {"time_unit": "ms", "mel": "hd"}, "data.mel is for recordings"),
        (MILLISECONDS, {"time_unit": "ms", "pixel_bins": 2}, "data.pixel_bins 2 is for the sensors of tonic"),
        (MILLISECONDS, {"time_unit": "ms", "polarity": "merge"}, "data.polarity 'merge' is for the sensors of tonic"),
    ],
)
def test_settings_that_these_data_do_not_have_are_refused(given, more, message):
    with pytest.raises(DataError, match=message):
        in_memory((given, [0, 1] * 6), replace(SPEC, **more))


def test_another_number_of_units_than_the_frames_have_is_refused():
    frames, labels = samples()
    with pytest.raises(DataError, match=r"data.n_units 9 is not the 5 channels"):
        in_memory((frames + 0.5, labels), SPEC, n_units=9)


def test_real_numbers_are_frame_data_in_every_part():
    frames, labels = samples()
    real = frames + np.float32(0.25)
    real[8:12] = frames[8:12]  # by chance whole
    data = in_memory(parts(real, labels), SPEC)
    for part, rows in ((data.splits.train, real[:8]), (data.splits.validation, real[8:12])):
        assert isinstance(part, FrameData)
        np.testing.assert_array_equal(np.stack([part.sample(index) for index in range(len(part))]), rows)
    assert data.n_steps is None


def test_real_numbers_keep_their_32_bits():
    frames, labels = samples()
    real = 30_000 + frames / 7
    train = in_memory(parts(real, labels), SPEC).splits.train
    np.testing.assert_array_equal(train.sample(3), real[3].astype(np.float32))
    in_memory((frames + 99_999.5, labels), SPEC)
    with pytest.raises(DataError, match=r"sample 2: it holds a value that is not finite, or beyond 3\.40282e"):
        in_memory((np.where(np.arange(16)[:, None, None] == 2, 1e39, real), labels), replace(SPEC, protocol="paper"))


def test_the_training_part_alone_decides_the_steps():
    frames, labels = samples()
    longer = np.concatenate([frames, frames, frames], axis=1)
    data = in_memory({"train": (frames, labels), "validation": (longer, labels), "test": (longer, labels)}, SPEC)
    assert data.n_steps == 7
    np.testing.assert_array_equal(frames_again(data.splits.test, data, max_count=3), frames)
    rng = np.random.default_rng(0)
    events = [(rng.uniform(0, 0.02, 4), rng.integers(0, 5, 4)) for _ in labels]
    assert in_memory({"train": (events, labels), "test": (longer, labels)}, SPEC).n_steps is None
    assert in_memory({"train": (frames, labels), "test": (events, labels)}, SPEC).n_steps == 7


@pytest.mark.parametrize("training", ["counts", "events"])
def test_the_training_part_alone_decides_whether_frames_are_real_numbers(training):
    frames, labels = samples()
    given = frames if training == "counts" else [(np.array([0.01]), np.array([4]))] * 16
    with pytest.raises(DataError, match=r"the test part holds real numbers.*and the training part .* which decides"):
        in_memory({"train": (given, labels), "test": (frames + 0.5, labels)}, SPEC)
    real = in_memory((frames + 0.5, labels), SPEC).splits.train
    whole = in_memory({"train": real, "test": (frames, labels)}, SPEC).splits.test
    assert isinstance(whole, FrameData)


class Recorded:
    """As tonic's data sets are: a sensor of 3 x 2 pixels and two polarities, times in microseconds."""

    sensor_size = (3, 2, 2)
    dtype = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])

    def __len__(self):
        return 8

    def __getitem__(self, index):
        events = np.array([(1, 0, 1000 * index, 1), (2, 1, 5000, 0)], self.dtype)
        return events, "left" if index % 2 else "right"


def test_a_tonic_data_set_is_flattened_as_its_reader_does():
    data = in_memory({name: Recorded() for name in ("train", "validation", "test")}, SPEC)
    train = data.splits.train
    assert train.n_units == 12
    assert train.class_names == ("left", "right")
    times, units = train.sample(3)
    np.testing.assert_allclose(times, [0.003, 0.005])
    np.testing.assert_array_equal(units, [6 + 1, 3 + 2])


def test_pixels_and_polarities_of_a_tonic_data_set_are_put_together_as_the_spec_sets():
    spec = replace(SPEC, pixel_bins=2, polarity="merge")
    data = in_memory({name: Recorded() for name in ("train", "validation", "test")}, spec)
    assert data.splits.train.n_units == 2
    np.testing.assert_array_equal(data.splits.train.sample(3)[1], [0, 1])


class OfFrames(Recorded):
    """As with tonic's transform ToFrame."""

    def __getitem__(self, index):
        return np.ones((5, 2, 2, 3), np.int16) * (index % 3), index % 2


def test_pixels_of_frames_that_a_transform_made_are_not_put_together():
    assert in_memory(OfFrames(), SPEC).splits.train.n_units == 12
    with pytest.raises(DataError, match=r"data\.pixel_bins 2 is for the sensors of tonic"):
        in_memory(OfFrames(), replace(SPEC, pixel_bins=2))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("x", 3, r"Changed: sample 2: an event has x = 3, outside the sensor's 0\.\.2"),
        ("y", -1, r"Changed: sample 2: an event has y = -1, outside the sensor's 0\.\.1"),
        ("t", 1_700_000_030_000_000, r"Changed: sample 2: its times begin at 1,700,000,030\.000000 s"),
    ],
)
def test_events_of_tonic_that_no_unit_or_time_can_hold_are_refused(field, value, message):
    class Changed(Recorded):
        def __getitem__(self, index):
            events, label = super().__getitem__(index)
            events[field] = value if index == 2 else events[field]
            return events, label

    with pytest.raises(DataError, match=message):
        in_memory(Changed(), SPEC)


@pytest.mark.parametrize("kind", ["str", "numpy"])
def test_names_are_numbered_alike_in_every_part(kind):
    frames, labels = samples()
    names = ["no" if label else "yes" for label in labels]
    given = parts(frames, np.array(names) if kind == "numpy" else names)
    data = in_memory(given, SPEC)
    for part in (data.splits.train, data.splits.test):
        assert part.class_names == ("no", "yes")
    np.testing.assert_array_equal(data.splits.train.labels, 1 - labels[:8])
    ordered = in_memory(given, SPEC, class_names=["yes", "no", "maybe"]).splits.train
    assert (ordered.class_names, ordered.n_classes) == (("yes", "no", "maybe"), 3)
    np.testing.assert_array_equal(ordered.labels, labels[:8])


def named_data(kind: str, names: tuple[str, ...], labels: list[int]) -> EventData | FrameData:
    events = [(np.linspace(0.001, 0.02, 5), np.arange(5) % 4) for _ in labels]
    data = EventData.from_samples(events, labels, n_units=4, n_classes=3, class_names=names)
    if kind == "events":
        return data
    real = in_memory(
        (np.random.default_rng(0).normal(size=(len(labels), 6, 4)), labels), SPEC, class_names=names or "abc"
    )
    rows = real.splits.train.values
    starts = np.arange(len(labels)) % (len(rows) // 6) * 6
    return replace(
        real.splits.train, starts=starts, steps=np.full(len(labels), 6), labels=np.array(labels), class_names=names
    )


@pytest.mark.parametrize("kind", ["events", "frames"])
@pytest.mark.parametrize("present", [[0, 1, 2], [0, 2]], ids=["every class", "a class without samples"])
def test_data_that_name_their_classes_keep_them_in_their_order(kind, present):
    """As the file does that they were read from: a network's outputs are not renumbered on the way through memory."""
    names, labels = ("zero", "one", "two"), present * 8
    data = in_memory(named_data(kind, names, labels), SPEC).splits
    assert (data.train.class_names, data.train.n_classes) == (names, 3)
    found = np.concatenate([part.labels for part in (data.train, data.validation, data.test)])
    assert sorted(found.tolist()) == sorted(labels)
    assert any("no training sample is of class 1" in one for one in data.warnings) == (len(present) < 3)


def test_parts_in_another_order_are_numbered_as_the_training_part_is():
    names, labels = ("zero", "one", "two"), [0, 1, 2] * 4
    other = named_data("events", names[::-1], labels)
    given = {"train": named_data("events", names, labels), "test": other}
    data = in_memory(given, SPEC).splits
    np.testing.assert_array_equal(data.test.labels, 2 - np.array(labels))
    assert data.test.class_names == names
    chosen = in_memory(given, SPEC, class_names=["one", "two", "zero"]).splits
    np.testing.assert_array_equal(chosen.test.labels, [1, 0, 2] * 4)


@pytest.mark.parametrize("kind", ["events", "frames"])
def test_data_without_names_keep_their_number_of_classes(kind):
    data = named_data(kind, (), [0, 1] * 8)
    with pytest.raises(DataError, match="it states 3 classes, but no sample has label 2"):
        in_memory(data, SPEC)
    assert in_memory(data, replace(SPEC, classes=3)).splits.train.n_classes == 3


def test_a_class_has_a_name_of_its_own():
    with pytest.raises(DataError, match="class_names holds 'a' twice"):
        in_memory(samples(), SPEC, class_names=["a", "a"])


def test_names_are_texts():
    frames, labels = samples()
    assert in_memory((frames, labels), SPEC, class_names=[7, 0.5]).splits.train.class_names == ("7", "0.5")
    with pytest.raises(DataError, match=r"class_names \('a', None\) holds None; give each class a name"):
        in_memory((frames, labels), SPEC, class_names=["a", None])


def test_a_label_that_the_training_part_lacks_is_named_with_its_part():
    frames, labels = samples()
    others = labels * 2
    with pytest.raises(
        DataError,
        match="in-memory test: its labels run to 2, which makes 3 classes, but no sample of in-memory train has label",
    ):
        in_memory({"train": (frames, labels), "test": (frames, others)}, SPEC)
    with pytest.raises(DataError, match=r"in-memory train: its labels run to 2, .* but no sample has label 1; number"):
        in_memory({"train": (frames, others), "test": (frames, others)}, SPEC)


def test_floats_are_real_numbers_where_a_recipe_asks_for_those():
    frames, labels = samples()
    for one in (frames.astype(np.float32), [frame.astype(float) for frame in frames]):
        data = in_memory((one, labels), SPEC, graded=True)
        assert isinstance(data.splits.train, FrameData)
        assert data.n_steps is None
    for one in (frames, frames > 0, frames.tolist()):
        with pytest.raises(DataError, match=r"whole numbers 0\.\.255, .* 'graded' is .*give those as floats .*'count'"):
            in_memory((one, labels), SPEC, graded=True)


def test_numbers_may_be_given_names():
    frames, labels = samples()
    assert in_memory((frames, labels), SPEC, class_names=["a", "b"]).splits.train.class_names == ("a", "b")
    assert in_memory((frames, labels), SPEC).splits.train.class_names == ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((samples()[0], np.arange(15) % 2), "16 samples have 15 labels"),
        ((samples()[0][0], np.zeros(7)), r"sample 0: it has shape \(5,\)"),
        ((np.zeros((0, 3, 2)), []), "the data hold no samples"),
        (3.0, "data of type float is no data set"),
        ({"training": samples()}, "data has the parts training; give some of train, validation, test"),
        ({"test": samples()}, "none to train on"),
        ((samples()[0], ["a", 1] * 8), "label 1 is a int; labels are whole numbers or names, all alike"),
        ((samples()[0], [0.5] * 16), "label 0.5 is a float"),
        (([np.ones((3, 2)), np.ones((3, 4))] * 8, [0, 1] * 8), "samples have 2 to 4 channels"),
        ({"train": samples(channels=5), "test": samples(channels=4)}, "the parts have 4 to 5 channels"),
        ((np.full((8, 3, 2), np.nan), [0, 1] * 4), "it holds a value that is not finite"),
        ([1, 2, 3], "the data set gives no pair"),
        ({"train": samples(), "test": ([(np.ones(2), np.ones(2, int))] * 4, [0, 1, 0, 1])}, None),
    ],
)
def test_what_is_no_data_is_refused(data, message):
    if message is None:  # spike counts and events go together
        in_memory(data, SPEC, n_units=5)
        return
    with pytest.raises(DataError, match=message):
        in_memory(data, SPEC)


def test_classes_without_samples_are_named_by_class_names():
    frames, labels = samples()
    with pytest.raises(DataError, match=r"name all classes in class_names or set data.classes = 3"):
        in_memory((frames, labels * 2), SPEC)
    three = replace(SPEC, classes=3)
    with pytest.raises(DataError, match=r"data.classes is 3; name all 3 in class_names, or set data.classes=none"):
        in_memory((frames, labels), three)
    assert in_memory((frames, labels), three, class_names=["a", "b", "c"]).splits.train.n_classes == 3
    with pytest.raises(DataError, match=r"it has 4 classes, data.classes is 3; set data.classes=none"):
        in_memory((frames, np.arange(16) % 4), three)


def test_what_was_in_memory_is_on_no_disk():
    with pytest.raises(DataError, match="these data were given in memory"):
        load(MEMORY)
