"""From a source's name or path to its training, validation and test parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from delaytool.contract.encoding import MelSpectrogram
from delaytool.datasets.class_names import numbered_as, refuse_other_names
from delaytool.datasets.digits import N_UNITS as DIGITS_UNITS
from delaytool.datasets.digits import digits_events
from delaytool.datasets.download import default_root, fetch
from delaytool.datasets.events import EventData
from delaytool.datasets.folds import describe_folds, fold_numbers
from delaytool.datasets.frame_cache import mel_frame_data
from delaytool.datasets.frames import FrameData
from delaytool.datasets.hdf5 import find_files, read_file, read_folder
from delaytool.datasets.listings import list_recordings
from delaytool.datasets.mel import MELS
from delaytool.datasets.recordings import Listing, known_speakers
from delaytool.datasets.settings_of_sources import refuse_ear, refuse_mel, refuse_sensor, refuse_time_unit
from delaytool.datasets.spec import DIGITS, DOWNLOADS, MEMORY, RECORDINGS, TONIC, DataSpec
from delaytool.datasets.splits import hold_out_speaker, listed, resolve_method, split_test, split_validation
from delaytool.datasets.tonic_events import read_tonic
from delaytool.errors import DataError

SPLIT_NAMES = ("train", "validation", "test")
# Where data come without a test part it is always cut with this seed: a run's own seed must not move samples
# between training and test, or accuracies of two runs would not compare.
TEST_SEED = 20221

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Splits:
    """The three parts of a data set, all of one kind.

    validation    None where the protocol trains on all samples; the test part itself where it chooses on it
    description   how they were made, in one sentence
    warnings      sentences about the data that a user should read
    cuts_validation   whether the validation part was cut off the training part, which lacks it
    spec          how the samples were read and cut; None where that is not known
    """

    train: EventData | FrameData
    validation: EventData | FrameData | None
    test: EventData | FrameData
    description: str
    warnings: tuple[str, ...] = ()
    cuts_validation: bool = False
    spec: DataSpec | None = None


@dataclass(frozen=True)
class _Reader:
    """A spec, and further settings for reading: of a network, its units, its number of classes and their names."""

    spec: DataSpec
    root: Path | None
    progress: Progress | None
    network_units: int | None = None
    network_classes: int | None = None
    class_names: tuple[str, ...] = ()


def load(
    spec: DataSpec | str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Splits:
    """Load the three parts of `spec.source`: 'digits', 'shd', 'ssc', 'tonic:NAME', one .h5 file, a folder with train.h5
    (and valid.h5, test.h5), or a folder of recordings: Speech Commands' or the Heidelberg Digits'. A name or path in
    place of a spec is `DataSpec(source)`.

    Parts that the source has are used as they are. A missing test part is `test_fraction` of every class, cut
    off the training part with a fixed seed; of recordings it is whole speakers, unless split_by is 'stratified'.
    A missing validation part is `validation_fraction` of what is left, chosen with `seed` as `split_validation`
    describes (`split_by`).

    protocol 'fixed': where the source has no validation part, nothing is cut off training, and there is none.
    'cross-validated': there is none, or, with `fold`, that fold of the training part (`folds.fold_numbers`).
    'paper': where the source has no validation part, nothing is cut off training and the test part
    serves as validation too, as published accuracies on SHD have been measured.

    held_out_speaker: one fold of leave-one-speaker-out over the training part's speakers. held_out_as 'validation':
    the speaker's samples are the validation part, and the test part stays what it is. 'test': they are the test part
    in place of the source's own, which is set aside, and validation is cut off the other speakers as usual.

    root       where downloads and the frames of recordings are kept (see `fetch`)
    progress   called with (what, done, of how many) while recordings or tonic's samples are read

    Raises DataError for sources that cannot be read or split, that have one class only, or labels that no sample has
    and nothing names; MissingExtraError where an extra is missing.
    """
    spec = spec if isinstance(spec, DataSpec) else DataSpec(str(spec))
    return divide(spec, _read(_Reader(spec, None if root is None else Path(root), progress)))


def divide(spec: DataSpec, parts: Mapping[str, EventData | FrameData]) -> Splits:
    """The parts 'train', 'validation' and 'test' that there are, or 'all', to the three parts that `load` gives."""
    refuse_other_names(parts)
    train = parts["all"] if "all" in parts else parts["train"]
    if isinstance(train, EventData):  # a file may name more classes than data.classes takes of it
        train = replace(train, class_names=train.class_names[: train.n_classes])
    warnings = [sentence for part in parts.values() for sentence in part.warnings]
    warnings += _refuse_poor_classes(train, parts, spec.classes, in_memory=spec.source == MEMORY)
    origin = _short(train)
    speaker = spec.held_out_speaker
    if speaker is not None:
        _check_held_out(train, speaker, "validation" in parts, spec.protocol, spec.held_out_as)
    if speaker is not None and spec.held_out_as == "test":
        whole = train
        train, test = hold_out_speaker(whole, speaker)
        test_origin = f"speaker {speaker} of {origin}, held out ({len(test)} of {len(whole)} samples)"
        origin = f"the rest of {origin}"
    elif "test" in parts:
        test = parts["test"]
        test_origin = f"{_short(test)} ({len(test)} samples)"
    else:
        whole = train
        # Recordings without lists are split by speaker: the test part then measures speakers not seen in training.
        of_recordings = isinstance(whole, FrameData) or whole.ear is not None
        method = resolve_method(whole, spec.split_by) if of_recordings else "stratified"
        train, test = split_test(whole, spec.test_fraction, TEST_SEED, method)
        test_origin = _describe(method, test, whole, origin)
        origin = f"the rest of {origin}"
    validation: EventData | FrameData | None
    if speaker is not None and spec.held_out_as == "validation":
        whole = train
        train, validation = hold_out_speaker(whole, speaker)
        validation_origin = f"speaker {speaker} of {origin}, held out ({len(validation)} of {len(whole)} samples)"
    elif spec.protocol == "cross-validated":
        if "validation" in parts:
            raise DataError(
                f"{train.name}: the data have a validation part of their own, so the epoch is chosen on that and no "
                "folds are made; choose protocol 'honest'"
            )
        folds, more = describe_folds(train, spec.folds, spec.split_by)
        warnings += more
        train, validation = cut_fold(spec, train)
        validation_origin = f"none, the epoch is chosen by {folds}"
        if validation is not None:
            what = _describe_speakers(validation) if folds.endswith("speakers") else "drawn class by class"
            counts = f"{len(validation)} of {len(train) + len(validation)} samples of {origin}"
            validation_origin = f"fold {spec.fold} of {spec.folds}: {what}, {counts}"
    elif "validation" in parts:
        validation = parts["validation"]
        validation_origin = f"{_short(validation)} ({len(validation)} samples)"
    elif spec.protocol == "fixed":
        validation, validation_origin = None, "none, all the rest is trained on"
    elif spec.protocol == "paper":
        validation, validation_origin = test, "the test part itself (as in published practice)"
    else:
        whole = train
        method = resolve_method(whole, spec.split_by)
        train, validation = split_validation(whole, spec.validation_fraction, spec.seed, method)
        validation_origin = _describe(method, validation, whole, origin)
    description = f"validation: {validation_origin}; test: {test_origin}"
    cuts = validation is not None and validation is not test and "validation" not in parts
    return Splits(train, validation, test, description, tuple(dict.fromkeys(warnings)), cuts, spec)


def cut_fold(
    spec: DataSpec, train: EventData | FrameData
) -> tuple[EventData | FrameData, EventData | FrameData | None]:
    """(the samples to train on, those of the spec's fold); all of them and None where the spec names no fold."""
    numbers = fold_numbers(train, spec.folds, spec.seed, spec.split_by)  # so that folds that cannot be are an error
    if spec.fold is None:
        return train, None
    return train.subset(np.flatnonzero(numbers != spec.fold)), train.subset(np.flatnonzero(numbers == spec.fold))


def load_for_evaluation(
    spec: DataSpec | str | os.PathLike[str],
    split: str = "test",
    *,
    n_units: int | None = None,
    n_classes: int | None = None,
    class_names: tuple[str, ...] = (),
    whole_file: bool = True,
    progress: Progress | None = None,
) -> EventData | FrameData:
    """One part of `spec.source`, to evaluate a network on; the same samples that `load` with the same spec gives.

    Of a folder, the file or the recordings of that split alone are read where the folder has them.

    whole_file  take a source that is one HDF5 file whole; False: the part that `load` cuts off it
    n_units     the network's number of units: data of another number raise a DataError
    n_classes   the network's number of classes: labels beyond it raise a DataError
    class_names the network's names: labels of data that name their classes become the numbers that it has for them
                (`class_names.numbered_as`)
    Raises as `load` does.
    """
    spec = spec if isinstance(spec, DataSpec) else DataSpec(str(spec))
    reader = _Reader(spec, None, progress, n_units, n_classes, class_names)
    return _checked(_evaluated(reader, split, whole_file), reader)


def load_every_part(
    spec: DataSpec | str | os.PathLike[str],
    *,
    n_units: int | None = None,
    n_classes: int | None = None,
    class_names: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> list[EventData | FrameData]:
    """All samples of `spec.source`, whatever the spec would hold out: its parts in the order train, validation, test.

    A source that names no parts is one. n_units, n_classes, class_names: as of `load_for_evaluation`, which raises
    alike.
    """
    spec = spec if isinstance(spec, DataSpec) else DataSpec(str(spec))
    reader = _Reader(spec, None, progress, n_units, n_classes, class_names)
    source = _downloaded(spec.source, reader.root)
    parts: Mapping[str, EventData | FrameData]
    if os.path.isfile(source):
        parts = {"all": _file(reader, Path(source))}
    elif os.path.isdir(source) and (files := find_files(source, needed=None)):
        parts = {name: _file(reader, path) for name, path in files.items()}
    else:
        parts = _read(reader)
    refuse_other_names(parts)
    return [_checked(parts[name], reader) for name in ("all", *SPLIT_NAMES) if name in parts]


def _evaluated(reader: _Reader, split: str, whole_file: bool) -> EventData | FrameData:
    spec = reader.spec
    if split not in SPLIT_NAMES:
        raise DataError(f"{spec.source}: split {split!r} is unknown; choose one of {', '.join(SPLIT_NAMES)}")
    source = _downloaded(spec.source, reader.root)
    if whole_file and os.path.isfile(source):
        if split != "test":
            raise DataError(f"{source}: a single file is evaluated whole, it has no split {split!r}; leave it out")
        return _file(reader, Path(source))
    if source != DIGITS and os.path.isdir(source):
        # A file that nothing is cut off can be read alone: the others need not be there.
        files = find_files(source, needed=None)
        replaced = spec.held_out_speaker is not None and split in ("train", spec.held_out_as)
        if split in files and not replaced and (split != "train" or len(files) == len(SPLIT_NAMES)):
            return _file(reader, files[split])
        listing = None if files else list_recordings(Path(source), spec.classes)
        if (
            listing is not None
            and split in listing.parts
            and not replaced
            and (split != "train" or len(listing.parts) == 3)
        ):
            return _of_recordings(reader, listing, split)
    parts = _read(reader)
    splits = divide(spec, parts)
    chosen: EventData | FrameData | None = getattr(splits, split)
    if chosen is None:
        raise DataError(
            f"{spec.source}: there is no validation part, protocol {spec.protocol!r} trains on all samples but the "
            "test part's; choose split 'test'"
        )
    # So that nobody takes a part that was cut off for all of the source.
    name = chosen.name if chosen is parts.get(split) or spec.source == DIGITS else f"the {split} part of {chosen.name}"
    return replace(chosen, warnings=splits.warnings, name=name)


def _file(reader: _Reader, path: Path) -> EventData:
    spec, named = reader.spec, bool(reader.class_names)
    data = read_file(
        path,
        spec.n_units,
        None if named else reader.network_classes,
        time_unit=spec.time_unit,
        network_units=reader.network_units,
        network_classes=reader.network_classes if named else None,
    )
    _refuse_other_settings(spec, data)
    return data


def _checked(data: EventData | FrameData, reader: _Reader) -> EventData | FrameData:
    """The data, with labels as the network has them."""
    data = numbered_as(data, reader.class_names)
    for what, has, reads in (
        ("units", data.n_units, reader.network_units),
        ("classes", data.n_classes, reader.network_classes),
    ):
        if reads is not None and (has != reads if what == "units" else has > reads):
            raise DataError(
                f"{data.name}: its {has} {what} are {'more than' if has > reads else 'not'} the network's {reads}; "
                "give data of the kind that the network was trained on"
            )
    return data


def _refuse_poor_classes(
    train: EventData | FrameData,
    parts: Mapping[str, EventData | FrameData],
    wanted: int | None,
    *,
    in_memory: bool,
) -> list[str]:
    """Warnings about classes without samples. Raises DataError where there is nothing to learn, or labels have gaps.

    parts   all that there are, whose labels together may be what makes the classes
    """
    name, n_classes = train.name, train.n_classes
    if wanted is not None and wanted != n_classes:
        ways = f"name all {wanted} in class_names, or " if in_memory and wanted > n_classes else ""
        raise DataError(f"{name}: it has {n_classes} classes, data.classes is {wanted}; {ways}set data.classes=none")
    present = np.unique(train.labels)
    if present.size < 2:
        raise DataError(
            f"{name}: all {len(train)} samples are of class {present[0]}, so there is nothing to learn; give "
            "samples of at least 2 classes"
        )
    if present.size == n_classes:
        return []
    absent = np.setdiff1d(np.arange(n_classes), present)
    some = listed(absent) if absent.size <= 8 else f"{', '.join(map(str, absent[:8]))}, … ({absent.size} in all)"
    if wanted is None and not train.class_names:
        furthest = max((train, *parts.values()), key=lambda part: part.labels.max())  # the first, train, of equals
        if furthest.labels.max() < n_classes - 1:
            reason = f"{name}: it states {n_classes} classes, but no sample has label"
        else:
            which = "no sample" if furthest is train else f"no sample of {name}"
            reason = (
                f"{furthest.name}: its labels run to {n_classes - 1}, which makes {n_classes} classes, but {which} has "
                "label"
            )
        raise DataError(
            f"{reason} {some}; number the {present.size} classes 0..{present.size - 1}, or, if the others belong to "
            f"the task, name all classes in {'class_names' if in_memory else 'extra/keys'} or set data.classes = "
            f"{n_classes}"
        )
    return [f"{name}: no training sample is of class {some}: these of the {n_classes} outputs cannot be learned"]


def _downloaded(source: str, root: Path | None) -> str | Path:
    """Names that stand for a folder as that folder. 'tonic:SHD' is 'shd': one reader, one check."""
    name = source.removeprefix(TONIC).lower() if source.startswith(TONIC) else source
    return fetch(name, root) if name in DOWNLOADS else source


def _read(reader: _Reader) -> Mapping[str, EventData | FrameData]:
    spec = reader.spec
    if spec.source == DIGITS:
        if spec.n_units not in (None, DIGITS_UNITS):
            raise DataError(f"digits: data.n_units {spec.n_units} is not its {DIGITS_UNITS} pixels; leave it out")
        for refuse in (refuse_time_unit, refuse_ear, refuse_mel, refuse_sensor):
            refuse(spec)
        return {"all": digits_events()}
    if spec.source == MEMORY:
        raise DataError(
            f"{MEMORY}: these data were given in memory, so they are not on any disk; give them again (data=... in "
            "Python), or name other data"
        )
    source = _downloaded(spec.source, reader.root)
    if str(source).startswith(TONIC):
        for refuse in (refuse_time_unit, refuse_ear, refuse_mel):
            refuse(spec)
        folder = default_root() if reader.root is None else reader.root
        return read_tonic(
            str(source),
            folder.expanduser(),
            pixel_bins=spec.pixel_bins,
            polarity=spec.polarity,
            progress=reader.progress,
        )
    if source in RECORDINGS and os.path.isdir(source):
        raise DataError(
            f"{source}: this name stands for recordings that are not here; for the folder of that name write ./{source}"
        )
    if source in RECORDINGS:
        raise DataError(
            f"{source}: its recordings are not here; give {RECORDINGS[str(source)]} with --data FOLDER (or data.source)"
        )
    if not os.path.exists(source):
        raise DataError(
            f"{source}: no such data; give 'digits', {', '.join(map(repr, DOWNLOADS))}, 'tonic:NAME', a folder with "
            "train.h5 or with recordings, or one HDF5 file that exists; where the data have moved, give their new "
            "place with --data"
        )
    if os.path.isdir(source) and not find_files(source, needed=None):
        listing = list_recordings(Path(source), spec.classes)
        if listing is not None:
            return {part: _of_recordings(reader, listing, part) for part in listing.parts}
    parts = read_folder(
        source, spec.n_units, spec.classes, time_unit=spec.time_unit, network_units=reader.network_units
    )
    for part in parts.values():
        _refuse_other_settings(spec, part)
    return parts


def _refuse_other_settings(spec: DataSpec, data: EventData) -> None:
    """Raise DataError for settings that no file of events has, and where its spikes are not those of data.ear."""
    refuse_mel(spec)
    refuse_sensor(spec)
    if not spec.ear:
        return
    if data.ear is None:
        refuse_ear(spec)
        return
    wanted = "causal" if spec.ear == "causal" else "whole"
    if data.ear.model.form != wanted:
        raise DataError(
            f"{data.name}: its spikes are those of the {data.ear.model.form} ear, data.ear is the {wanted} one; encode "
            f"the recordings again {'with' if wanted == 'causal' else 'without'} --causal, or set data.ear"
        )


def _of_recordings(reader: _Reader, listing: Listing, part: str) -> EventData | FrameData:
    """Recordings as frames of a spectrum, or as spikes of the ear."""
    spec = reader.spec
    refuse_time_unit(spec)
    refuse_sensor(spec)
    if not spec.ear:
        return _frames(reader, listing, part)
    if spec.mel is not None:
        raise DataError(f"{listing.folder}: data.mel and data.ear are two ways to read recordings; set one of them")
    from delaytool.contract.ear import EarModel
    from delaytool.datasets.ear.cache import ear_event_data  # its compiler takes long to import

    model = EarModel(n_channels=spec.n_units or EarModel.n_channels, causal=spec.ear == "causal")
    return ear_event_data(listing, part, model, root=reader.root, progress=reader.progress)


def _frames(reader: _Reader, listing: Listing, part: str) -> FrameData:
    spec = reader.spec
    mel = spec.mel or listing.mel
    if not isinstance(mel, MelSpectrogram):
        if mel not in MELS:
            raise DataError(f"{listing.folder}: data.mel {mel!r} is unknown; choose one of {', '.join(MELS)}")
        mel = MELS[mel] if spec.n_units is None else replace(MELS[mel], n_mels=spec.n_units)
    return mel_frame_data(listing, part, mel, spec.time_step_ms, root=reader.root, progress=reader.progress)


def _check_held_out(
    train: EventData | FrameData, speaker: int, has_validation: bool, protocol: str, held_out_as: str
) -> None:
    if protocol == "cross-validated" and held_out_as == "validation":
        raise DataError(
            f"data.held_out_speaker {speaker}: protocol 'cross-validated' makes folds of all speakers of the training "
            "part; leave it out, or set data.held_out_as to 'test'"
        )
    if has_validation:  # whose speakers need not be the training part's
        raise DataError(
            f"{train.name}: the data have a validation part of their own, so no speaker is held out; leave "
            f"data.held_out_speaker {speaker} out"
        )
    if protocol == "paper":
        raise DataError(
            f"data.held_out_speaker {speaker}: protocol 'paper' chooses on the test set, so that no speaker is held "
            "out for it; choose protocol 'honest'"
        )


def _short(data: EventData | FrameData) -> str:
    return Path(data.name).name


def _describe(method: str, part: EventData | FrameData, whole: EventData | FrameData, origin: str) -> str:
    if method == "speaker":
        return f"{_describe_speakers(part)} of {origin} ({len(part)} of {len(whole)} samples)"
    return f"{len(part)} of {len(whole)} samples of {origin}, drawn class by class"


def _describe_speakers(part: EventData | FrameData) -> str:
    speakers = known_speakers(np.asarray(part.speakers))
    if speakers.size > 12:
        return f"{speakers.size} whole speakers"
    return f"speaker{'s' * (speakers.size > 1)} {listed(speakers)}"
