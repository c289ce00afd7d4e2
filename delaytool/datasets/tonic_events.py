"""Event data sets that tonic reads, by name."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from delaytool.datasets.events import EventData, as_float32
from delaytool.datasets.spec import TONIC as PREFIX
from delaytool.errors import DataError, MissingExtraError, first_line

PARTS = {"train": "train", "valid": "validation", "validation": "validation", "test": "test"}
POLARITIES = ("keep", "merge")


def read_tonic(
    source: str,
    root: Path,
    *,
    pixel_bins: int = 1,
    polarity: str = "keep",
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, EventData]:
    """'tonic:NAME' to its parts, downloaded by tonic into `root` where needed.

    Data sets with a parameter `train` have a train and a test part, those with `split` what it names, others are one
    part, 'all'. A two-dimensional sensor is flattened: pixels (x, y) are summed in squares of pixel_bins, so that
    unit = (p * rows + y // pixel_bins) * columns + x // pixel_bins with p the polarity, or 0 for polarity 'merge'.
    Raises DataError, MissingExtraError.
    """
    name = source.removeprefix(PREFIX)
    kind = _class_of(name)
    if pixel_bins < 1:
        raise DataError(f"{source}: data.pixel_bins {pixel_bins} is below 1; leave it out to keep every pixel")
    if polarity not in POLARITIES:
        raise DataError(f"{source}: data.polarity {polarity!r} is unknown; choose one of {', '.join(POLARITIES)}")
    read = {}
    for part, arguments in _arguments(kind).items():
        try:
            with contextlib.redirect_stdout(sys.stderr):
                recorded = kind(save_to=str(root), **arguments)
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise DataError(
                f"{source}: tonic cannot load it ({first_line(error)}); check the network, or put its files where "
                f"tonic keeps them, in {root / name}"
            ) from None
        label = f"{source} {part}"
        n_units, units_of = flattening(label, recorded.sensor_size, pixel_bins, polarity)
        read[part] = label, n_units, *_samples(recorded, label, units_of, progress)
    labels, class_names = _numbered({part: targets for part, (_, _, _, targets) in read.items()})
    return {
        part: EventData.from_samples(
            samples,
            labels[part],
            n_units=n_units,
            n_classes=len(class_names),
            name=label,
            class_names=class_names,
        )
        for part, (label, n_units, samples, _) in read.items()
    }


def _class_of(name: str) -> Any:
    try:
        datasets = importlib.import_module("tonic.datasets")
    except ImportError:
        raise MissingExtraError(f"the data set {PREFIX}{name}", "tonic", "datasets") from None
    known = {
        other: kind
        for other, kind in vars(datasets).items()
        if inspect.isclass(kind) and {"x", "t"} <= set(getattr(getattr(kind, "dtype", None), "names", None) or ())
    }
    if name not in known:
        raise DataError(f"{PREFIX}{name}: tonic has no such data set of events; it has {', '.join(sorted(known))}")
    return known[name]


def _arguments(kind: Any) -> dict[str, dict[str, Any]]:
    """The parts of a data set, and tonic's arguments for each."""
    parameters = inspect.signature(kind.__init__).parameters
    needed = [
        name
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        and name not in ("self", "save_to")
    ]
    if needed or "save_to" not in parameters:
        raise DataError(
            f"{PREFIX}{kind.__name__}: it is not one data set of labeled samples (tonic asks for "
            f"{', '.join(needed) or 'a folder of its own'}); write its events as HDF5 files, see docs/data.md"
        )
    if "train" in parameters:
        return {"train": {"train": True}, "test": {"train": False}}
    if parameters.get("split") is not None and parameters["split"].default == "train":
        return {PARTS[split]: {"split": split} for split in ("train", "valid", "test")}
    return {"all": {}}


def flattening(
    name: str, sensor_size: Any, pixel_bins: int, polarity: str
) -> tuple[int, Callable[[np.ndarray, int], np.ndarray]]:
    """(number of units, how the events of a sample of some number become unit numbers).

    That raises DataError for events outside the sensor.
    """
    if sensor_size is None:
        raise DataError(
            f"{name}: its samples have no common sensor size; write its events as HDF5 files, see docs/data.md"
        )
    width, height, polarities = (int(size) for size in sensor_size)
    columns, rows = -(-width // pixel_bins), -(-height // pixel_bins)
    kept = 1 if polarity == "merge" else polarities

    def units_of(events: np.ndarray, sample: int) -> np.ndarray:
        for axis, size in (("x", width), ("y", height)):
            values = events[axis] if axis in (events.dtype.names or ()) else np.empty(0)
            outside = values[(values < 0) | (values >= size)]
            if outside.size:
                raise DataError(
                    f"{name}: sample {sample}: an event has {axis} = {outside[0]}, outside the sensor's 0..{size - 1}; "
                    "correct the sample, or the data set's sensor_size"
                )
        unit = events["x"].astype(np.int64) // pixel_bins
        if "y" in (events.dtype.names or ()):
            unit += events["y"].astype(np.int64) // pixel_bins * columns
        if kept > 1:
            unit += (events["p"] > 0).astype(np.int64) * rows * columns
        return unit

    return kept * rows * columns, units_of


def times_of(name: str, events: np.ndarray, sample: int) -> np.ndarray:
    """Times of tonic's events, which are microseconds, in seconds as 32 bit floats. Raises DataError for late ones."""
    return as_float32(name, events["t"] / 1e6, np.array([0, len(events)]), sample)


def _samples(
    recorded: Any,
    name: str,
    units_of: Callable[[np.ndarray, int], np.ndarray],
    progress: Callable[[str, int, int], None] | None,
) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[Any]]:
    """((times in s, units) of every sample, its target as tonic has it)."""
    samples: list[tuple[np.ndarray, np.ndarray]] = []
    targets: list[Any] = []
    for index in range(len(recorded)):
        try:
            events, target = recorded[index]
        except (OSError, RuntimeError, ValueError) as error:
            raise DataError(
                f"{name}: sample {index}: tonic cannot read it ({first_line(error)}); delete its file to have it "
                "downloaded again"
            ) from None
        if not np.isscalar(target):
            raise DataError(
                f"{name}: sample {index}: its target is a {type(target).__name__}, not a label; "
                "give a data set of labeled samples"
            )
        samples.append((times_of(name, events, index), units_of(events, index).astype(np.int32)))
        targets.append(target)
        if progress is not None:
            progress(f"events of {name}", index + 1, len(recorded))
    return samples, targets


def _numbered(targets: dict[str, list[Any]]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """(labels of every part, class names): whole numbers as they are, names in alphabetical order."""
    every = {target for part in targets.values() for target in part}
    if all(isinstance(target, (int, np.integer)) for target in every):
        names = tuple(str(number) for number in range(int(max(every, default=-1)) + 1))
        return {part: np.array(some, np.int64) for part, some in targets.items()}, names
    names = tuple(sorted(str(target) for target in every))
    number = {name: index for index, name in enumerate(names)}
    return {part: np.array([number[str(target)] for target in some], np.int64) for part, some in targets.items()}, names
