"""Data sets that a program has in memory: arrays, events, PyTorch's data sets and loaders, tonic's data sets.

What is taken for one part of the data, x standing for a tensor, an array or nested lists:

    (frames, labels)        x (sample, time, channel); or a list of x (time, channel), which may differ in length
    (events, labels)        a list of tuples (times, units), one for each sample; seconds, or the spec's time_unit
    a torch Dataset         whose items are (x (time, channel), label)
    a torch DataLoader      whose items are (x (batch, time, channel), labels)
    a tonic data set        with a sensor_size, whose items are (events with the fields t and x, label)
    EventData, FrameData    as this package's readers make them

Frames of whole numbers 0..255 are spike counts; of others each is a real number, which is quantized. Where a recipe
asks for real numbers (data.values 'graded'), floats are those even if they are whole. Labels are whole numbers from 0,
or names, which are numbered in alphabetical order. EventData and FrameData to train on keep their classes, those
without samples too, in their own order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from delaytool.datasets.arrays import are_whole, array_of
from delaytool.datasets.events import EventData
from delaytool.datasets.frames import FrameData
from delaytool.datasets.hdf5 import refuse_other_units
from delaytool.datasets.settings_of_sources import refuse_ear, refuse_mel, refuse_sensor, refuse_time_unit
from delaytool.datasets.sources import Splits, divide
from delaytool.datasets.spec import MEMORY, TIME_UNITS, DataSpec
from delaytool.datasets.tonic_events import flattening, times_of
from delaytool.errors import DataError

Part: TypeAlias = EventData | FrameData
PARTS = ("train", "validation", "test")
_RANDOM_SAMPLERS = {"RandomSampler", "SubsetRandomSampler", "WeightedRandomSampler"}  # of torch.utils.data


@dataclass(frozen=True, eq=False)
class MemoryData:
    """The three parts, and what an encoding must know to give the frames back that were given.

    n_steps   frames of the longest training sample where that part is frames of spike counts, which begin at time 0;
              None: events, or real numbers
    """

    splits: Splits
    n_steps: int | None


@dataclass(frozen=True, eq=False)
class Samples:
    """One part as it was given: EventData or FrameData, a list of frames (time, channel) or of (times, units).

    n_units   where the data set states how many there are
    in_seconds   whether the times of events are known to be seconds
    """

    samples: Any
    labels: list[Any]
    n_units: int | None = None
    in_seconds: bool = False

    @property
    def are_frames(self) -> bool:
        return isinstance(self.samples, list) and not isinstance(self.samples[0], tuple)

    @property
    def are_counts(self) -> bool:
        """Whether frames are spike counts, rather than real numbers."""
        return self.are_frames and all(are_whole(frames) and _in_range(frames) for frames in self.samples)

    @property
    def are_floats(self) -> bool:
        """Whether frames are numbers of a type that need not be whole."""
        return self.are_frames and all(frames.dtype.kind == "f" for frames in self.samples)

    def count_units(self) -> int:
        """Raises DataError where samples have different numbers of channels."""
        if self.n_units is not None:
            return self.n_units
        if isinstance(self.samples, EventData | FrameData):
            return self.samples.n_units
        if not self.are_frames:
            return max(int(units.max()) if units.size else -1 for _, units in self.samples) + 1
        widths = {frames.shape[1] for frames in self.samples}
        if len(widths) > 1:
            raise DataError(
                f"samples have {min(widths)} to {max(widths)} channels; give all the same number, or, where samples "
                "are events, tuples (times, units)"
            )
        return int(widths.pop())


def in_memory(
    data: Any,
    spec: DataSpec,
    *,
    class_names: Sequence[str] | None = None,
    n_units: int | None = None,
    graded: bool = False,
) -> MemoryData:
    """One part of data, or a dictionary of parts 'train', 'validation' and 'test', to the three parts.

    spec          how missing parts are cut off, the length of a step, the unit of events' times, and pixel_bins and
                  polarity of tonic's data sets; its source is not read
    class_names   one for each class: names for labels that are numbers, or the order of those that are names
    n_units       of events; None: the largest unit + 1 of all parts
    graded        whether a recipe asks for real numbers: frames of floats are those, and whole numbers an error
    Raises DataError, for settings of the spec that these data do not have as well.
    """
    spec = replace(spec, source=MEMORY)
    given = dict(data) if isinstance(data, Mapping) else {"all": data}
    unknown = [name for name in given if name not in (*PARTS, "all")]
    if unknown or not given:
        raise DataError(f"data has the parts {', '.join(map(str, given)) or 'none'}; give some of {', '.join(PARTS)}")
    if "all" not in given and "train" not in given:
        raise DataError(f"data has the parts {', '.join(given)}, and none to train on; give 'train'")
    wanted = None if class_names is None else _names(class_names)
    twice = [name for name in wanted or () if (wanted or ()).count(name) > 1]
    if twice:
        raise DataError(f"class_names holds {twice[0]!r} twice; give each class a name of its own")
    read = {name: read_samples(part, spec.pixel_bins, spec.polarity) for name, part in given.items()}
    _refuse_other_settings(spec, read, given)
    trained = read["all"] if "all" in read else read["train"]
    own_names, own_classes = _classes_of(trained)
    labels, names = number_labels(
        {name: part.labels for name, part in read.items()}, own_names if wanted is None else wanted
    )
    found = {part.count_units() for part in read.values()}
    frames = [part for part in read.values() if part.are_frames]
    if n_units is None and frames and len(found) > 1:
        raise DataError(f"the parts have {min(found)} to {max(found)} channels; give all the same number")
    units = n_units or max(found)
    if any(part.count_units() != units for part in read.values() if not isinstance(part.samples, list)):
        raise DataError(f"data.n_units {n_units} is not the {max(found)} units of these data; leave it out")
    n_classes = len(names) or max(own_classes, *(int(part.max()) + 1 for part in labels.values()))
    # Whole numbers in another part are so by chance.
    real = isinstance(trained.samples, FrameData) or (
        trained.are_frames and (not trained.are_counts or (graded and trained.are_floats))
    )
    if graded and trained.are_frames and not real:
        raise DataError(
            f"{MEMORY}: the frames hold whole numbers 0..255, which are spike counts, and data.values 'graded' is for "
            "real numbers; give those as floats (frames.astype(float)), or set data.values to 'count' for spikes"
        )
    other = next((name for name, part in read.items() if part.are_frames and not part.are_counts), None)
    if other is not None and not real:
        raise DataError(
            f"the {other} part holds real numbers, or whole ones outside 0..255, and the training part "
            f"{'spike counts' if trained.are_frames else 'events'}, which decides; give parts of one kind"
        )
    if real and units != max(found):
        raise DataError(f"data.n_units {n_units} is not the {max(found)} channels of these frames; leave it out")
    parts: dict[str, Part] = {}
    for name, part in read.items():
        title = MEMORY if name == "all" else f"{MEMORY} {name}"
        samples = part.samples
        if isinstance(samples, EventData | FrameData):
            parts[name] = replace(samples, labels=labels[name], class_names=names, n_classes=n_classes)
        elif part.are_frames and real:
            parts[name] = _frame_data(samples, labels[name], names, n_classes, spec.time_step_ms, title)
        else:
            unit = "s" if part.are_frames or part.in_seconds else spec.time_unit
            events = [_events(one, spec.time_step_ms) for one in samples] if part.are_frames else samples
            parts[name] = made = EventData.from_samples(
                times_in_seconds(events, unit, title),
                labels[name],
                n_units=units,
                n_classes=n_classes,
                name=title,
                class_names=names,
            )
            refuse_other_units(title, made.times, made.offsets, unit)
    if len({type(part) for part in parts.values()}) > 1:
        raise DataError("some parts of the data are events and some are real numbers; give parts of one kind")
    n_steps = max(map(len, trained.samples)) if trained.are_frames and not real else None
    if real or n_steps is not None:  # what frames are not read with, `train` takes out of the recipe as well
        made_of_recordings = isinstance(trained.samples, FrameData) and trained.samples.mel is not None
        spec = replace(spec, ear=False, mel=spec.mel if made_of_recordings else None)
    return MemoryData(divide(spec, parts), n_steps)


def _names(class_names: Sequence[str]) -> tuple[str, ...]:
    """One text for each class; numbers are names, too."""
    if any(name is None for name in class_names):
        raise DataError(f"class_names {tuple(class_names)} holds None; give each class a name")
    return tuple(map(str, class_names))


def _classes_of(train: Samples) -> tuple[tuple[str, ...] | None, int]:
    """The names of all classes of what is trained on, and their number, where it states them; else (None, 0)."""
    data = train.samples
    if not isinstance(data, EventData | FrameData):
        return None, 0
    return _own_names(data)[: data.n_classes] or None, data.n_classes


def _own_names(data: Part) -> tuple[str, ...]:
    """The data's names, a different one for each class and maybe more; or none."""
    names = data.class_names
    return names if len(set(names)) == len(names) >= data.n_classes else ()


def _refuse_other_settings(spec: DataSpec, parts: Mapping[str, Samples], given: Mapping[str, Any]) -> None:
    """Raise DataError for settings that events in memory do not have. Of frames, `train` sets them as they are."""
    if not all(_is_of_tonic(part) and not parts[name].are_frames for name, part in given.items()):
        refuse_sensor(spec)
    if all(part.are_frames or part.in_seconds for part in parts.values()):
        refuse_time_unit(spec)
    if any(part.are_frames or isinstance(part.samples, FrameData) for part in parts.values()):
        return
    refuse_mel(spec)
    if not all(isinstance(part.samples, EventData) and part.samples.ear is not None for part in parts.values()):
        refuse_ear(spec)


def read_samples(data: Any, pixel_bins: int = 1, polarity: str = "keep") -> Samples:
    """One part of data of any kind that this module's text names; pixel_bins, polarity: see `read_tonic`.

    Raises DataError.
    """
    if isinstance(data, EventData | FrameData):
        names = _own_names(data)
        return Samples(data, [names[label] if names else int(label) for label in data.labels], in_seconds=True)
    n_units = None
    if isinstance(data, tuple) and len(data) == 2:
        samples, labels = data
    elif _is_of_tonic(data):
        samples, labels, n_units = _of_tonic(data, pixel_bins, polarity)
    elif hasattr(data, "dataset") and hasattr(data, "batch_size"):  # a DataLoader
        samples, labels = _of_loader(data)
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        pairs = [_pair(data[index], index) for index in range(len(data))]
        samples, labels = [x for x, _ in pairs], [y for _, y in pairs]
    else:
        raise DataError(
            f"data of type {type(data).__name__} is no data set; give (frames, labels), (events, labels), a torch "
            "Dataset or DataLoader, or a tonic data set"
        )
    plain = [label.item() if hasattr(label, "item") else label for label in _listed(labels)]
    if len(samples) != len(plain):
        raise DataError(f"{len(samples)} samples have {len(plain)} labels; give one label for each sample")
    if len(plain) == 0:
        raise DataError("the data hold no samples; give at least one")
    if _are_events(samples):
        events = [(array_of(times), array_of(units)) for times, units in samples]
        return Samples(events, plain, n_units, in_seconds=_is_of_tonic(data))
    _refuse_pairs_in_lists(samples)
    _refuse_other_tuples(samples)
    return Samples([_frame(sample, index) for index, sample in enumerate(samples)], plain)


def number_labels(
    labels: Mapping[str, Sequence[Any]], class_names: tuple[str, ...] | None = None
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Labels of every part to (numbers, class names): numbers stay, names are numbered in the order of `class_names`,
    or else of the alphabet. Raises DataError for a mixture, and for what `class_names` does not hold."""
    every = [label for part in labels.values() for label in part]
    if all(isinstance(label, int | np.integer) and not isinstance(label, bool) for label in every):
        numbers = {name: np.array(part, np.int64) for name, part in labels.items()}
        highest = max(every, default=-1)
        if class_names is not None and highest >= len(class_names):
            raise DataError(f"label {highest} has no name: class_names holds {len(class_names)}; name every class")
        return numbers, class_names or ()
    wrong = next((label for label in every if not isinstance(label, str)), None)
    if wrong is not None:
        raise DataError(f"label {wrong!r} is a {type(wrong).__name__}; labels are whole numbers or names, all alike")
    names = class_names or tuple(sorted(set(every)))
    number = {name: index for index, name in enumerate(names)}
    missing = sorted(set(every) - set(names))
    if missing:
        raise DataError(f"label {missing[0]!r} is none of the classes {', '.join(names)}")
    return {name: np.array([number[one] for one in part], np.int64) for name, part in labels.items()}, names


def _frame_data(
    samples: Sequence[np.ndarray],
    labels: np.ndarray,
    names: tuple[str, ...],
    n_classes: int,
    time_step_ms: float,
    name: str,
) -> FrameData:
    steps = np.array([len(frames) for frames in samples], np.int64)
    with np.errstate(over="ignore"):  # what float32 does not hold becomes infinite, which check() names
        values = np.concatenate(samples).astype(np.float32)
    return FrameData(
        values=values,
        starts=np.concatenate([[0], np.cumsum(steps)[:-1]]).astype(np.int64),
        steps=steps,
        labels=labels,
        n_classes=n_classes,
        time_step_ms=time_step_ms,
        name=name,
        class_names=names,
    ).check()


def times_in_seconds(
    events: Sequence[tuple[np.ndarray, np.ndarray]], time_unit: str | None, name: str, key: str = "data.time_unit"
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Events whose times are in `time_unit` (None: seconds, which are floats) with times in seconds.

    key: what states the unit, for the DataError about whole numbers without one.
    """
    if time_unit is None:
        for index, (times, _) in enumerate(events):
            if times.size and times.dtype.kind in "iu":
                raise DataError(
                    f"{name}: sample {index}: its times are {times.dtype}; whole numbers are seldom seconds; state "
                    f'their unit with {key} = "ms" or "us" (or "s"), or give seconds as floats'
                )
    scale = TIME_UNITS[time_unit or "s"]
    return [(times if scale == 1 else times.astype(np.float64) * scale, units) for times, units in events]


def _events(frames: np.ndarray, time_step_ms: float) -> tuple[np.ndarray, np.ndarray]:
    """As many events in the middle of each step as its count: binned from time 0, they are the counts again."""
    counts = frames.astype(np.int64)
    step, unit = np.nonzero(counts)
    times = (step + 0.5) * (time_step_ms / 1000)
    repeats = counts[step, unit]
    return np.repeat(times, repeats), np.repeat(unit, repeats)


def _in_range(frames: np.ndarray) -> bool:
    return bool(frames.min(initial=0) >= 0 and frames.max(initial=0) <= 255)


def _are_events(samples: Any) -> bool:
    return isinstance(samples, list | tuple) and all(
        isinstance(sample, tuple) and len(sample) == 2 for sample in samples
    )


def _refuse_pairs_in_lists(samples: Any) -> None:
    """Raise DataError where each sample is a list of two sequences: events, or a frame of two steps."""
    if isinstance(samples, list | tuple) and all(
        isinstance(one, list | tuple) and len(one) == 2 and all(map(_is_sequence, one)) for one in samples
    ):
        raise DataError(
            "each sample is a list of two sequences, which could be the times and units of events, or a frame of two "
            "steps; give (times, units) as a tuple, as in [tuple(sample) for sample in samples], or frames as arrays"
        )


def _refuse_other_tuples(samples: Any) -> None:
    """Raise DataError for tuples of three or four arrays, such as (times, units, polarities): no events of ours."""
    if isinstance(samples, list | tuple):
        for index, one in enumerate(samples):
            if isinstance(one, tuple) and len(one) in (3, 4) and all(map(_is_sequence, one)):
                raise DataError(
                    f"sample {index}: it is a tuple of {len(one)}; events are tuples (times, units), in every sample, "
                    "and frames arrays or lists (steps, channels)"
                )


def _is_sequence(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return not any(isinstance(one, list | tuple) for one in value)
    return getattr(value, "ndim", 0) == 1


def _frame(sample: Any, index: int) -> np.ndarray:
    frames = array_of(sample)
    if frames.ndim != 2 or frames.dtype.kind not in "biuf" or not frames.size:
        raise DataError(
            f"sample {index}: it has shape {frames.shape} and type {frames.dtype}; frames are numbers (steps, channels)"
        )
    return frames


def _listed(labels: Any) -> list[Any]:
    return list(labels) if isinstance(labels, list | tuple) else list(array_of(labels).reshape(-1))


def _pair(item: Any, index: int) -> tuple[Any, Any]:
    if not isinstance(item, list | tuple) or len(item) != 2:
        raise DataError(f"sample {index}: the data set gives no pair (frames, label) but a {type(item).__name__}")
    return item[0], item[1]


def _of_loader(loader: Any) -> tuple[list[Any], list[Any]]:
    samples: list[Any] = []
    labels: list[Any] = []
    with _same_order(loader) as batches:
        for index, batch in enumerate(batches):
            x, y = _pair(batch, index)
            samples.extend(array_of(x))
            labels.extend(_listed(y))
    return samples, labels


@contextmanager
def _same_order(loader: Any) -> Iterator[Iterable[Any]]:
    """A DataLoader's batches in an order that is the same every time. Raises DataError where there is none.

    Parts are cut by the order of samples: in another one, the test part of the same data would be another, and a run
    could not go on. A sampler's own generator fixes the order, and is put back for the next time; where the loader
    shuffles without one, its data set's own order is taken, as training shuffles by itself.
    """
    sampler = getattr(getattr(loader, "batch_sampler", None), "sampler", getattr(loader, "sampler", None))
    kinds = {kind.__name__ for kind in type(sampler).__mro__}  # PyTorch is not imported here
    generator = getattr(sampler, "generator", None)
    if kinds.isdisjoint(_RANDOM_SAMPLERS):
        yield loader
        return
    if generator is None:
        if _only_shuffles(loader, sampler):
            yield _in_order(loader)
            return
        raise DataError(
            f"{MEMORY}: the DataLoader draws other samples, or in another order, every time "
            f"({type(sampler).__name__}), so that no run could be repeated or go on; give its data set "
            "(loader.dataset), or the sampler a generator with a seed"
        )
    state = generator.get_state()
    try:
        yield loader
    finally:
        generator.set_state(state)


def _only_shuffles(loader: Any, sampler: Any) -> bool:
    """Whether each sample of the data set is drawn once, and batches are those of the loader's own settings."""
    return (
        type(sampler).__name__ == "RandomSampler"
        and not sampler.replacement
        and len(sampler) == len(loader.dataset)
        and type(loader.batch_sampler).__name__ in ("BatchSampler", "NoneType")
        and loader.sampler is sampler
    )


def _in_order(loader: Any) -> Iterator[Any]:
    """The batches of a loader that does not shuffle; its last one is whole or left out, as it is set."""
    data, size = loader.dataset, loader.batch_size
    if size is None:
        for index in range(len(data)):
            yield loader.collate_fn(data[index])
        return
    end = len(data) - len(data) % size if loader.drop_last else len(data)
    for begin in range(0, end, size):
        yield loader.collate_fn([data[index] for index in range(begin, min(begin + size, len(data)))])


def _is_of_tonic(data: Any) -> bool:
    return hasattr(data, "sensor_size")


def _of_tonic(recorded: Any, pixel_bins: int, polarity: str) -> tuple[list[Any], list[Any], int]:
    name = type(recorded).__name__
    n_units, units_of = flattening(name, recorded.sensor_size, pixel_bins, polarity)
    samples: list[Any] = []
    labels: list[Any] = []
    for index in range(len(recorded)):
        events, label = _pair(recorded[index], index)
        if getattr(getattr(events, "dtype", None), "names", None) is None:  # a transform has made frames of them
            events = array_of(events)
            samples.append(events.reshape(len(events), -1))
        else:
            samples.append((times_of(name, events, index), units_of(events, index)))
        labels.append(label)
    return samples, labels, n_units
