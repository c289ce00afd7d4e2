"""Read SHD's and SSC's HDF5 layout: spikes/times, spikes/units, labels, and extra/speaker, extra/keys if present."""

from __future__ import annotations

import json
import os
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from delaytool.contract.checks import built_from
from delaytool.contract.ear import Ear, EarModel
from delaytool.contract.hdf5_heaps import check_heaps_of, check_lengths
from delaytool.contract.strict_hdf5 import StrictGroup
from delaytool.datasets.events import EventData, as_float32, check_times, check_units, ragged, runs
from delaytool.datasets.spec import MAX_CLASSES, MAX_UNITS, TIME_UNITS
from delaytool.errors import DataError, NetworkError

DEFAULT_UNITS = 700
SAMPLES_AT_ONCE = 1024
EXTENSIONS = (".h5", ".hdf5")
SPLIT_STEMS = {"train": ("train",), "validation": ("valid", "validation"), "test": ("test",)}
FAMILIES = ("", "shd_", "ssc_")

# Seconds. A sample that spans more is taken for one whose times are not seconds, unless data.time_unit names them.
LONGEST_SAMPLE = 60.0
# Seconds. Where all samples are shorter, data.time_unit is wrong: times in seconds were read as ms or us.
SHORTEST_LONGEST_SAMPLE = 2e-3

# Every dataset that is read, where it is present.
READ = ("spikes/times", "spikes/units", "labels", "extra/speaker", "extra/keys", "n_units", "extra/n_units")

_LAYOUT = "SHD's layout has spikes/times, spikes/units and labels"


def read_file(
    path: str | os.PathLike[str],
    n_units: int | None = None,
    n_classes: int | None = None,
    name: str | None = None,
    *,
    time_unit: str | None = None,
    network_units: int | None = None,
    network_classes: int | None = None,
) -> EventData:
    """Read one HDF5 file of SHD's layout.

    n_units          units of the recording; a file that states another number (an attribute or dataset `n_units`) is
                     refused. None: as the file states, else 700
    n_classes        classes; None: as many as `extra/keys` names, else the largest label + 1
    name             what messages call the data; None: the path
    time_unit        of the file's times: 's', 'ms' or 'us', as floats or integers. None: seconds, as floats, of which
                     a sample spans at most LONGEST_SAMPLE
    network_units    units that a network reads: a file that states another number is refused, and so is one without
                     any that uses at most half of them
    network_classes  classes of a network that names them: a file that names more is read with all that it names, for
                     `numbered_as` to find those that the network has

    Raises DataError for a path that is missing, a folder, not HDF5 or truncated, for missing or ill-shaped
    datasets, for times that are not in the unit, and for values that `EventData.check` refuses.
    """
    where = str(path) if name is None else name
    if n_units is not None and not 1 <= n_units <= MAX_UNITS:
        limit = "below 1" if n_units < 1 else f"over the limit of {MAX_UNITS:,}"
        raise DataError(f"{where}: data.n_units {n_units} is {limit}; give the data's number of units")
    if not os.path.exists(path):
        raise DataError(f"{where}: no such file; give an HDF5 file of events")
    if os.path.isdir(path):
        raise DataError(f"{where}: this is a folder; give an HDF5 file of events")
    try:
        check_heaps_of(path)
        with h5py.File(path, "r") as file:
            return _read(file, where, n_units, n_classes, time_unit, network_units, network_classes)
    except PermissionError:
        raise DataError(f"{where}: no permission to read it; change the file's rights") from None
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        # h5py reports a damaged file with any of these, when opening it or only when reading.
        raise DataError(f"{where}: {_reason(error)}") from None


def read_folder(
    path: str | os.PathLike[str],
    n_units: int | None = None,
    n_classes: int | None = None,
    *,
    time_unit: str | None = None,
    network_units: int | None = None,
) -> dict[str, EventData]:
    """Read a folder's train, validation and test files: 'train' always, 'validation' and 'test' where present.

    A file instead of a folder is returned whole as {'all': ...}. The classes of the training file hold for
    the others. Raises DataError as `find_files` and `read_file` do.
    """
    if os.path.isfile(path):
        return {"all": read_file(path, n_units, n_classes, time_unit=time_unit, network_units=network_units)}
    files = find_files(path)
    train = read_file(files["train"], n_units, n_classes, time_unit=time_unit, network_units=network_units)
    units = train.n_units if n_units is None else n_units
    rest = {
        split: read_file(file, units, train.n_classes, time_unit=time_unit)
        for split, file in files.items()
        if split != "train"
    }
    return {"train": train, **rest}


def find_files(path: str | os.PathLike[str], needed: str | None = "train") -> dict[str, Path]:
    """Which file of a folder is which split, of 'train', 'validation' and 'test'.

    Raises DataError where the folder is missing, a split has several files, SHD and SSC are mixed, or the
    split `needed` has no file (None: none is needed).
    """
    folder = Path(path)
    if not folder.exists():
        raise DataError(f"{folder}: no such folder; give a folder with train.h5, or one HDF5 file")
    if not folder.is_dir():
        raise DataError(f"{folder}: not a folder; give a folder with train.h5")
    found: dict[str, list[Path]] = {}
    families: set[str] = set()
    for split, stems in SPLIT_STEMS.items():
        for family, stem, extension in product(FAMILIES, stems, EXTENSIONS):
            file = folder / f"{family}{stem}{extension}"
            if file.exists():
                found.setdefault(split, []).append(file)
                families.add(family)
    several = [file.name for files in found.values() if len(files) > 1 for file in files]
    if several or len(families) > 1:
        names = several or [file.name for files in found.values() for file in files]
        raise DataError(
            f"{folder}: it is ambiguous which data set to read, there are {', '.join(names)}; "
            "keep one data set's files with one file per split, or give one file"
        )
    if needed is not None and needed not in found:
        looked = ", ".join(f"{family}{stem}.h5" for stem in SPLIT_STEMS[needed] for family in FAMILIES)
        there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
        raise DataError(f"{folder}: no {needed} file; looked for {looked} (or .hdf5), there is {there}")
    return {split: files[0] for split, files in found.items()}


def _read(
    file: h5py.File,
    name: str,
    n_units: int | None,
    n_classes: int | None,
    time_unit: str | None,
    network_units: int | None,
    network_classes: int | None,
) -> EventData:
    _refuse_what_lies_elsewhere(file, name)
    times, units = _dataset(file, "spikes/times", name), _dataset(file, "spikes/units", name)
    stated_labels = _integers(file, "labels", name)
    for dataset, key in ((times, "times"), (units, "units")):
        base = h5py.check_vlen_dtype(dataset.dtype)
        where = f"{name}: spikes/{key} has shape {dataset.shape} and type {base or dataset.dtype}"
        if dataset.ndim != 1 or base is None:
            raise DataError(
                f"{where}; it must hold one variable-length array per sample: write it with "
                f"dtype=h5py.vlen_dtype(...) and shape ({dataset.shape[0] if dataset.ndim else 1},), as docs/data.md "
                "shows under 'HDF5 layout'"
            )
        check_lengths(dataset)
        if not np.dtype(base).isnative:  # h5py gives the file's bytes unswapped, as if they were native
            raise DataError(
                f"{where}, in the other byte order than this machine's, which h5py does not convert; write it with "
                f"dtype=h5py.vlen_dtype('{np.dtype(base).newbyteorder('=').name}')"
            )
        kind = np.dtype(base).kind
        if key == "units" and kind not in "iu":
            raise DataError(f"{where}; unit numbers must be integers")
        if key == "times" and kind in "iu" and time_unit is None:
            raise DataError(
                f'{where}; whole numbers are seldom seconds; state their unit with data.time_unit = "ms" or "us" '
                '(or "s"), or write seconds as floats'
            )
        if key == "times" and kind not in "fiu":
            raise DataError(f"{where}; times must be numbers")
        _check_samples(dataset, stated_labels, name)
    labels = stated_labels[()].astype(np.int64)
    speakers = None
    if "extra/speaker" in file:
        stated_speakers = _integers(file, "extra/speaker", name)
        _check_samples(times, stated_speakers, name)
        speakers = stated_speakers[()].astype(np.int64)
    class_names = _class_names(file)
    if n_classes is None:
        n_classes = max(len(class_names), network_classes or 0) or int(labels.max(initial=-1)) + 1
    if n_classes > MAX_CLASSES:
        raise DataError(f"{name}: labels up to {n_classes - 1:,} are over the limit of {MAX_CLASSES:,} classes")
    stated = _stated_units(file, name)
    if network_units is not None and stated not in (None, network_units):
        raise DataError(
            f"{name}: it states {stated} units, the network reads {network_units}; give data of the kind "
            "that the network was trained on"
        )
    if n_units is not None and stated not in (None, n_units):
        raise DataError(
            f"{name}: it states {stated} units, and {n_units} are to be read; leave out data.n_units, give files that "
            "state the same number, or correct the file's n_units"
        )
    guessed = n_units is None and stated is None
    n_units = n_units or stated or network_units or DEFAULT_UNITS
    all_times, all_units, offsets = _events(times, units, name, n_units, TIME_UNITS[time_unit or "s"], stated)
    refuse_other_units(name, all_times, offsets, time_unit)
    highest = int(all_units.max(initial=0))
    warnings: tuple[str, ...] = ()
    if guessed and all_units.size and 2 * (highest + 1) <= n_units:
        if network_units is not None:
            raise DataError(
                f"{name}: its highest unit is {highest}, the network reads {n_units} units; give data of the kind that "
                f"the network was trained on, or, if they are, write the attribute n_units = {n_units} into the file"
            )
        warnings = (
            f"{name} does not state its number of units, so {n_units} are assumed, but its highest unit is {highest}; "
            f"set data.n_units (to {highest + 1}?)",
        )
    return EventData(
        times=all_times,
        units=all_units,
        offsets=offsets,
        labels=labels,
        n_units=n_units,
        n_classes=n_classes,
        speakers=speakers,
        name=name,
        class_names=class_names,
        warnings=warnings,
        ear=stated_ear(file.attrs.get("ear"), name, n_units),
    ).check()


def _refuse_what_lies_elsewhere(file: h5py.File, name: str) -> None:
    """Raise DataError for links, external storage and virtual datasets: a file must not choose what else is read."""
    for key in READ:
        *groups, last = key.split("/")
        place: StrictGroup | None = StrictGroup(file, DataError)
        try:
            for group in groups:
                place = place.group_at(group) if place is not None and group in place else None
            if place is not None and last in place and not place.is_group(last):
                place.dataset(last)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None


def stated_ear(attribute: Any, name: str, n_units: int) -> Ear | None:
    """Which ear made the spikes, by a file's attribute as `ear.spike_file` writes it; None: none, or another's."""
    try:
        stated = dict(json.loads(attribute))
        version, _ = stated.pop("version"), stated.pop("seed")
    except (KeyError, TypeError, ValueError):
        return None
    try:
        rate = stated.pop("sample_rate", None)
        ear = Ear(built_from(EarModel, "ear", stated), rate, version)
    except NetworkError as error:
        raise DataError(
            f"{name}: its attribute ear is none that this delaytool writes ({error}); encode the recordings again, or "
            "remove the attribute to read plain events"
        ) from None
    if ear.model.n_channels != n_units:
        raise DataError(
            f"{name}: its spikes are those of an ear of {ear.model.n_channels} channels, and {n_units} units are to be "
            f"read; leave out data.n_units, or set it to {ear.model.n_channels}"
        )
    return ear


def refuse_other_units(
    name: str, times: np.ndarray, offsets: np.ndarray, time_unit: str | None, key: str = "data.time_unit"
) -> None:
    """Raise DataError where a sample is too long for seconds, or all are too short for the given unit.

    key: what the unit is set by, for the message
    """
    longest, at = 0.0, 0
    for low, high in runs(offsets):
        filled = low + np.flatnonzero(np.diff(offsets[low : high + 1]))
        if not filled.size:
            continue
        some, starts = times[offsets[low] : offsets[high]], offsets[filled] - offsets[low]
        spans = np.maximum.reduceat(some, starts).astype(np.float64) - np.minimum.reduceat(some, starts)
        if spans.max() > longest:
            longest, at = float(spans.max()), int(filled[np.argmax(spans)])
    if time_unit in ("ms", "us") and 0 < longest < SHORTEST_LONGEST_SAMPLE:
        raise DataError(
            f'{name}: with {key} = "{time_unit}" its longest sample lasts {longest:.3g} s, under the '
            f"{SHORTEST_LONGEST_SAMPLE:g} s that are taken for an error; give times in {time_unit}, or, if it is "
            "right, write them as seconds"
        )
    if time_unit is None and longest > LONGEST_SAMPLE:
        likely = "ms" if longest * 1e-3 <= LONGEST_SAMPLE else "us"
        raise DataError(
            f"{name}: sample {at}: its times span {longest:,.6g}, which as seconds is over the {LONGEST_SAMPLE:g} s "
            f'that a sample may last; they are likely {likely}: set {key} = "{likely}", or "s" if '
            "they are seconds"
        )


def _events(
    times: h5py.Dataset, units: h5py.Dataset, name: str, n_units: int, seconds: float, stated_units: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the events chunk by chunk: h5py reads a slice of variable-length data much quicker than its rows."""
    n_samples = times.shape[0]
    way_out = () if stated_units is None else ("correct the n_units that the file states",)
    offsets = np.zeros(n_samples + 1, np.int64)
    all_times, all_units = np.empty(0, np.float32), np.empty(0, np.int32)
    for low in range(0, n_samples, SAMPLES_AT_ONCE):
        some_times, some_units = times[low : low + SAMPLES_AT_ONCE], units[low : low + SAMPLES_AT_ONCE]
        lengths = np.fromiter(map(len, some_times), np.int64, len(some_times))
        others = np.fromiter(map(len, some_units), np.int64, len(some_units))
        if not np.array_equal(lengths, others):
            at = int(np.argmax(lengths != others))
            raise DataError(ragged(name, low + at, lengths[at], others[at]))
        span = offsets[low : low + lengths.size + 1]
        span[1:] = span[0] + np.cumsum(lengths)
        # SHD's times are float16: cast before anything is computed (float64 holds every float32 and times 1.0 keeps
        # it). Checked here, before int32 could wrap a unit.
        new_times = as_float32(name, np.concatenate(some_times).astype(np.float64) * seconds, span, low)
        new_units = np.concatenate(some_units)
        check_times(name, new_times, span, low)
        check_units(name, new_units, span, n_units, low, *way_out)
        start, stop = int(span[0]), int(span[-1])
        if stop > all_times.size:
            # Growing in place spares the second copy that joining a list of chunks would need.
            room = max(stop, int(1.5 * all_times.size))
            all_times.resize(room, refcheck=False)
            all_units.resize(room, refcheck=False)
        all_times[start:stop] = new_times
        all_units[start:stop] = new_units
    all_times.resize(int(offsets[-1]), refcheck=False)
    all_units.resize(int(offsets[-1]), refcheck=False)
    return all_times, all_units, offsets


def _dataset(file: h5py.File, key: str, name: str) -> h5py.Dataset:
    found = file.get(key)
    if not isinstance(found, h5py.Dataset):
        there: list[str] = []
        file.visit(there.append)
        raise DataError(f"{name}: no dataset {key}; {_LAYOUT}, this file has {', '.join(there[:8]) or 'nothing'}")
    return found


def _integers(file: h5py.File, key: str, name: str) -> h5py.Dataset:
    """A dataset of integers, one per sample; it is not read, as it may state more than there is memory for."""
    dataset = _dataset(file, key, name)
    if dataset.ndim != 1 or dataset.dtype.kind not in "iu":
        raise DataError(
            f"{name}: {key} has shape {dataset.shape} and type {dataset.dtype}; it must hold one integer per sample"
        )
    return dataset


def _check_samples(spikes: h5py.Dataset, others: h5py.Dataset, name: str) -> None:
    if spikes.shape[0] != others.shape[0]:
        keys = [dataset.name.removeprefix("/") for dataset in (spikes, others)]
        raise DataError(
            f"{name}: {keys[0]} has {spikes.shape[0]} samples, {keys[1]} has {others.shape[0]}; they must agree"
        )


def _class_names(file: h5py.File) -> tuple[str, ...]:
    keys = file.get("extra/keys")
    if not isinstance(keys, h5py.Dataset) or keys.ndim != 1 or keys.dtype.kind not in "SO":
        return ()
    check_lengths(keys)
    return tuple(key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key) for key in keys[()])


def _stated_units(file: h5py.File, name: str) -> int | None:
    """The number of units that the file itself states, or None."""
    stated = file.attrs.get("n_units")
    for key in ("n_units", "extra/n_units"):
        dataset = file.get(key)
        if stated is None and isinstance(dataset, h5py.Dataset):
            stated = dataset[()] if dataset.size == 1 else dataset.shape
    if stated is None:
        return None
    value = np.asarray(stated)
    if value.size != 1 or value.dtype.kind not in "iu" or not 1 <= value.item() <= MAX_UNITS:
        raise DataError(f"{name}: its n_units {stated!r} is not an integer in 1..{MAX_UNITS:,}; correct or remove it")
    return int(value.item())


def _reason(error: BaseException) -> str:
    text = str(error.args[0] if error.args else error)
    if "truncated" in text:
        return "the HDF5 file is truncated; copy or download it again"
    if "signature" in text:
        return f"not an HDF5 file; give an HDF5 file of events ({_LAYOUT})"
    line = (text.strip().splitlines() or [type(error).__name__])[0]
    return f"the HDF5 file cannot be read, it may be damaged ({line}); copy or download it again"
