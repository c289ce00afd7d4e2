"""EventData: labeled samples of spikes, stored end to end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from delaytool.contract.ear import Ear
from delaytool.errors import DataError

# Events that a vectorized pass handles at once. It bounds the temporary arrays (some 10 to 30 bytes per event),
# so that a data set of 600 million events can be cut up without twice its own memory.
EVENTS_AT_ONCE = 1 << 22
# Times are kept in 32 bit floats. They may be moved by so many seconds, or by this share of their sample's span.
MOST_ROUNDING, MOST_ROUNDING_OF_SPAN = 1e-4, 1e-6
# Seconds below which no 32 bit float is moved by as much.
SURELY_EXACT = 1024.0


@dataclass(frozen=True, eq=False)
class EventData:
    """Samples of a data set, their events one after the other.

    times        (n_events,) float32, seconds; a sample's events need not be sorted
    units        (n_events,) int32, 0..n_units - 1
    offsets      (n_samples + 1,) int64: sample i holds the events offsets[i]..offsets[i + 1] - 1
    labels       (n_samples,) int64, 0..n_classes - 1
    speakers     (n_samples,) int64, or None where the data name none
    name         where the data came from, for messages
    class_names  one name per class; fewer or more where a file names fewer or more than it is read with, or none
    warnings     sentences about the data that a user should read
    ear          how the spikes were made of recordings, where an ear made them, else None; a missing test part of such
                 data is made of whole speakers
    """

    times: np.ndarray
    units: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    n_units: int
    n_classes: int
    speakers: np.ndarray | None = None
    name: str = ""
    class_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    ear: Ear | None = None

    @staticmethod
    def from_samples(
        samples: Sequence[tuple[Any, Any]],
        labels: Any,
        *,
        n_units: int,
        n_classes: int | None = None,
        speakers: Any = None,
        name: str = "events",
        class_names: tuple[str, ...] = (),
    ) -> EventData:
        """Build checked data from `samples`, a list of (times in s, units).

        n_classes None: the largest label + 1. Raises DataError as `check` does, and where a sample's times and
        units differ in number.
        """
        times = [np.asarray(sample[0]).reshape(-1) for sample in samples]
        units = [np.asarray(sample[1]).reshape(-1) for sample in samples]
        for index, (some, others) in enumerate(zip(times, units, strict=True)):
            if some.size != others.size:
                raise DataError(ragged(name, index, some.size, others.size))
        given = np.asarray(labels, dtype=np.int64).reshape(-1)
        if n_classes is None:
            n_classes = int(given.max(initial=-1)) + 1
        offsets = np.concatenate([[0], np.cumsum([some.size for some in times])]).astype(np.int64)
        units = [_whole(name, index, some) for index, some in enumerate(units)]
        all_units = np.concatenate(units) if units else np.empty(0, np.int32)
        check_units(name, all_units, offsets, n_units)  # before int32 could wrap one
        return EventData(
            times=as_float32(name, np.concatenate(times) if times else np.empty(0), offsets),
            units=all_units.astype(np.int32),
            offsets=offsets,
            labels=given,
            n_units=n_units,
            n_classes=n_classes,
            speakers=None if speakers is None else np.asarray(speakers, dtype=np.int64).reshape(-1),
            name=name,
            class_names=class_names,
        ).check()

    def __len__(self) -> int:
        return self.labels.size

    @property
    def n_events(self) -> int:
        return self.times.size

    def sample(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(times in s, units) of one sample, as views."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.name}: sample {index} is outside 0..{len(self) - 1}")
        index %= len(self)
        span = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return self.times[span], self.units[span]

    def subset(self, indices: Any) -> EventData:
        """The samples `indices` (numbers or a mask), in that order. Raises DataError where none is left."""
        chosen = np.arange(len(self))[np.asarray(indices, dtype=None if np.size(indices) else np.int64)]
        if chosen.size == 0:
            raise DataError(f"{self.name}: an empty split, no sample is left; change the split's fraction")
        lengths = np.diff(self.offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        times = np.empty(offsets[-1], self.times.dtype)
        units = np.empty(offsets[-1], self.units.dtype)
        starts = self.offsets[chosen]
        for low, high in runs(offsets):
            # An event's place in the source is its place here, moved by as much as its sample's start moved.
            start, stop = int(offsets[low]), int(offsets[high])
            source = np.arange(start, stop) + np.repeat(starts[low:high] - offsets[low:high], lengths[low:high])
            times[start:stop] = self.times[source]
            units[start:stop] = self.units[source]
        return EventData(
            times=times,
            units=units,
            offsets=offsets,
            labels=self.labels[chosen],
            n_units=self.n_units,
            n_classes=self.n_classes,
            speakers=None if self.speakers is None else self.speakers[chosen],
            name=self.name,
            class_names=self.class_names,
            warnings=self.warnings,
            ear=self.ear,
        )

    def check(self) -> EventData:
        """Return self if it is sound, else raise a DataError that names the first offending sample and value."""
        n_samples = self.labels.size
        if n_samples == 0:
            raise DataError(f"{self.name}: an empty split, it holds no samples; give data with at least one")
        if self.offsets.shape != (n_samples + 1,):
            raise DataError(
                f"{self.name}: {self.offsets.size} offsets for {n_samples} labels; there must be one more than labels"
            )
        if self.offsets[0] != 0 or self.offsets[-1] != self.times.size or np.any(np.diff(self.offsets) < 0):
            raise DataError(
                f"{self.name}: the offsets run from {self.offsets[0]} to {self.offsets[-1]}; they must rise from 0 to "
                f"the number of events, {self.times.size}"
            )
        if self.units.size != self.times.size:
            raise DataError(f"{self.name}: {self.units.size} units for {self.times.size} times; they must be as many")
        if self.speakers is not None and self.speakers.size != n_samples:
            raise DataError(
                f"{self.name}: {self.speakers.size} speakers for {n_samples} samples; give one per sample, or none"
            )
        check_labels(self.name, self.labels, self.n_classes)
        check_times(self.name, self.times, self.offsets)
        check_units(self.name, self.units, self.offsets, self.n_units)
        return self


def _whole(name: str, sample: int, units: np.ndarray) -> np.ndarray:
    """A sample's units in a type that joins others' as integers. Without events they may be of any, as a list's are."""
    if not units.size:
        return np.empty(0, np.int8)
    if units.dtype.kind not in "iu":
        raise DataError(f"{name}: sample {sample}: units are {units.dtype}, not integers; give whole unit numbers")
    return units.astype(np.int64) if units.dtype == np.uint64 else units  # beside int64 NumPy makes floats of these


def as_float32(name: str, times: np.ndarray, offsets: np.ndarray, first_sample: int = 0) -> np.ndarray:
    """Times in seconds, of any type, as 32 bit floats.

    `offsets` may start anywhere. Raises DataError where a sample is so late that rounding would merge its times.
    """
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, which check_times names
        rounded = times.astype(np.float32)
    if times.dtype in (np.float16, np.float32) or not times.size or not times.max() >= SURELY_EXACT:
        return rounded
    with np.errstate(invalid="ignore"):
        moved = np.where(np.isfinite(rounded), np.abs(times.astype(np.float64) - rounded), 0)
    places = np.flatnonzero(moved > MOST_ROUNDING)
    ends = offsets - offsets[0]
    for sample in np.unique(np.searchsorted(ends, places, side="right") - 1):
        own = slice(int(ends[sample]), int(ends[sample + 1]))
        first, most = float(times[own].min()), float(moved[own].max())
        span = float(times[own].max()) - first
        if most > MOST_ROUNDING_OF_SPAN * span:
            raise DataError(
                f"{name}: sample {first_sample + sample}: its times begin at {first:,.6f} s and span {span:.6g} s, and "
                f"so late 32 bit floats move them by up to {most:.3g} s; give times from the sample's beginning, and, "
                "where they are not seconds, their unit (data.time_unit)"
            )
    return rounded


def check_times(name: str, times: np.ndarray, offsets: np.ndarray, first_sample: int = 0) -> None:
    """Raise DataError for a time that is not a finite, non-negative number of seconds."""
    # NaN fails every comparison, so one test finds NaN, infinities and negative times.
    bad = ~((times >= 0) & (times < np.inf))
    if bad.any():
        sample, value = _first(bad, times, offsets)
        raise DataError(
            f"{name}: sample {first_sample + sample}: time {value} is not a finite, non-negative number of seconds; "
            "correct or remove the sample"
        )


def check_units(
    name: str,
    units: np.ndarray,
    offsets: np.ndarray,
    n_units: int,
    first_sample: int = 0,
    way_out: str = "set data.n_units to the data's number of units",
) -> None:
    """Raise DataError for a unit outside 0..n_units - 1."""
    if units.size and (units.min() < 0 or units.max() >= n_units):
        sample, value = _first((units < 0) | (units >= n_units), units, offsets)
        raise DataError(f"{name}: sample {first_sample + sample}: unit {value} is outside 0..{n_units - 1}; {way_out}")


def check_labels(name: str, labels: np.ndarray, n_classes: int) -> None:
    """Raise DataError for a label outside 0..n_classes - 1."""
    bad = (labels < 0) | (labels >= n_classes)
    if bad.any():
        sample = int(np.argmax(bad))
        raise DataError(
            f"{name}: sample {sample}: label {labels[sample]} is outside 0..{n_classes - 1}, as there are {n_classes} "
            "classes; correct the label, or give data of the same classes"
        )


def ragged(name: str, sample: int, n_times: int, n_units: int) -> str:
    """The message for a sample whose times and units differ in number."""
    return (
        f"{name}: sample {sample}: {n_times} times but {n_units} units; "
        "every spike needs one of each, correct or remove the sample"
    )


def runs(
    offsets: np.ndarray, most_events: int = EVENTS_AT_ONCE, most_samples: int | None = None
) -> Iterator[tuple[int, int]]:
    """Yield (low, high) ranges of whole samples, in order, that stay within both limits where one sample does."""
    n_samples = offsets.size - 1
    low = 0
    while low < n_samples:
        high = int(np.searchsorted(offsets, offsets[low] + most_events, side="right")) - 1
        if most_samples is not None:
            high = min(high, low + most_samples)
        high = max(high, low + 1)
        yield low, high
        low = high


def _first(bad: np.ndarray, values: np.ndarray, offsets: np.ndarray) -> tuple[int, Any]:
    """(sample, value) of the first event that `bad` marks; `offsets` may start anywhere."""
    position = int(np.argmax(bad))
    # side='right' steps over samples without events, which share their offset with the next one.
    return int(np.searchsorted(offsets - offsets[0], position, side="right")) - 1, values[position]
