"""From a source's name or path to its training, validation and test parts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delaytool.datasets.digits import N_UNITS as DIGITS_UNITS
from delaytool.datasets.digits import digits_events
from delaytool.datasets.download import SPLITS as DOWNLOADS
from delaytool.datasets.download import fetch
from delaytool.datasets.events import EventData
from delaytool.datasets.hdf5 import find_files, read_file, read_folder
from delaytool.datasets.splits import hold_out_speaker, listed, resolve_method, split_test, split_validation
from delaytool.errors import DataError

SPLIT_NAMES = ("train", "validation", "test")
# Where data come without a test part it is always cut with this seed: a run's own seed must not move samples
# between training and test, or accuracies of two runs would not compare.
TEST_SEED = 20221


@dataclass(frozen=True, eq=False)
class Splits:
    """The three parts of a data set. `description` says in one sentence how they were made."""

    train: EventData
    validation: EventData
    test: EventData
    description: str


def load(
    source: str | os.PathLike[str],
    *,
    seed: int = 0,
    validation_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_by: str = "auto",
    n_units: int | None = None,
    protocol: str = "honest",
    held_out_speaker: int | None = None,
    held_out_as: str = "validation",
    root: str | os.PathLike[str] | None = None,
) -> Splits:
    """Load `source`: 'digits', 'shd', 'ssc', a folder with train.h5 (and valid.h5, test.h5), or one .h5 file.

    Parts that the source has are used as they are. A missing test part is `test_fraction` of every class, cut
    off the training part with a fixed seed; a missing validation part is `validation_fraction` of what is left,
    chosen with `seed` as `split_validation` says (`split_by`). n_units None: what the file tells, else 700.
    `root`: where downloads are kept (see `fetch`).

    protocol 'paper': where the source has no validation part, nothing is cut off training and the test part
    serves as validation too, which is how accuracies on SHD have been published.

    held_out_speaker: one fold of leave-one-speaker-out over the training part's speakers. held_out_as 'validation':
    the speaker's samples are the validation part, and the test part stays what it is. 'test': they are the test part
    in place of the source's own, which is set aside, and validation is cut off the other speakers as ever.

    Raises DataError for sources that cannot be read or split, MissingExtraError where an extra is missing.
    """
    parts = _read(source, n_units, root)
    train = parts["all"] if "all" in parts else parts["train"]
    origin = _short(train)
    if held_out_speaker is not None:
        _check_held_out(train, held_out_speaker, held_out_as, "validation" in parts, protocol)
    if held_out_speaker is not None and held_out_as == "test":
        whole = train
        train, test = hold_out_speaker(whole, held_out_speaker)
        test_told = f"speaker {held_out_speaker} of {origin}, held out ({len(test)} of {len(whole)} samples)"
        origin = f"the rest of {origin}"
    elif "test" in parts:
        test = parts["test"]
        test_told = f"{_short(test)} ({len(test)} samples)"
    else:
        whole = train
        train, test = split_test(whole, test_fraction, TEST_SEED)
        test_told = _told_stratified(test, whole, origin)
        origin = f"the rest of {origin}"
    if held_out_speaker is not None and held_out_as == "validation":
        whole = train
        train, validation = hold_out_speaker(whole, held_out_speaker)
        validation_told = (
            f"speaker {held_out_speaker} of {origin}, held out ({len(validation)} of {len(whole)} samples)"
        )
    elif "validation" in parts:
        validation = parts["validation"]
        validation_told = f"{_short(validation)} ({len(validation)} samples)"
    elif protocol == "paper":
        validation, validation_told = test, "the test part itself (as in published practice)"
    else:
        whole = train
        method = resolve_method(whole, split_by)
        train, validation = split_validation(whole, validation_fraction, seed, method)
        if method == "speaker":
            validation_told = f"{_told_speakers(validation)} of {origin} ({len(validation)} of {len(whole)} samples)"
        else:
            validation_told = _told_stratified(validation, whole, origin)
    return Splits(train, validation, test, f"validation: {validation_told}; test: {test_told}")


def load_for_evaluation(
    source: str | os.PathLike[str],
    split: str = "test",
    *,
    n_classes: int | None = None,
    seed: int = 0,
    validation_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_by: str = "auto",
    n_units: int | None = None,
    protocol: str = "honest",
    held_out_speaker: int | None = None,
    held_out_as: str = "validation",
    root: str | os.PathLike[str] | None = None,
) -> EventData:
    """One part of `source`, to evaluate a network on; the same samples that `load` with the same arguments gives.

    Of a folder, the file of that split alone is read where there is one. A single .h5 file is taken whole.
    n_classes: the network's number of classes; labels beyond it raise a DataError. Raises as `load` does.
    """
    if split not in SPLIT_NAMES:
        raise DataError(f"{source}: split {split!r} is unknown; choose one of {', '.join(SPLIT_NAMES)}")
    if source in DOWNLOADS:
        source = fetch(str(source), root)
    if os.path.isfile(source):
        if split != "test":
            raise DataError(f"{source}: a single file is evaluated whole, it has no split {split!r}; leave it out")
        return read_file(source, n_units, n_classes)
    if source != "digits" and os.path.isdir(source):
        # A file that nothing is cut off can be read alone: the others need not be there.
        files = find_files(source, needed=None)
        replaced = held_out_speaker is not None and split in ("train", held_out_as)
        if split in files and not replaced and (split != "train" or len(files) == len(SPLIT_NAMES)):
            return read_file(files[split], n_units, n_classes)
    parts = load(
        source,
        seed=seed,
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
        split_by=split_by,
        n_units=n_units,
        protocol=protocol,
        held_out_speaker=held_out_speaker,
        held_out_as=held_out_as,
        root=root,
    )
    data: EventData = getattr(parts, split)
    if n_classes is not None and data.n_classes > n_classes:
        raise DataError(
            f"{data.name}: its {data.n_classes} classes are more than the network's {n_classes}; "
            "give the data that the network was trained for"
        )
    return data


def _read(
    source: str | os.PathLike[str], n_units: int | None, root: str | os.PathLike[str] | None
) -> dict[str, EventData]:
    if source == "digits":
        if n_units not in (None, DIGITS_UNITS):
            raise DataError(f"digits: data.n_units {n_units} is not its {DIGITS_UNITS} pixels; leave it out")
        return {"all": digits_events()}
    if source in DOWNLOADS:
        return read_folder(fetch(str(source), root), n_units)
    if not os.path.exists(source):
        raise DataError(
            f"{source}: no such data; give 'digits', {', '.join(map(repr, DOWNLOADS))}, a folder with train.h5, "
            "or one HDF5 file that exists"
        )
    return read_folder(source, n_units)


def _check_held_out(train: EventData, speaker: int, part: str, has_validation: bool, protocol: str) -> None:
    if part not in ("validation", "test"):
        raise DataError(f"data.held_out_as {part!r} is unknown; choose 'validation' or 'test'")
    if protocol == "paper":
        raise DataError(
            f"data.held_out_speaker {speaker}: protocol 'paper' chooses on the test set, so that no speaker is held "
            "out for it; choose protocol 'honest'"
        )
    if has_validation:  # whose speakers need not be the training part's
        raise DataError(
            f"{train.name}: the data have a validation part of their own, so no speaker is held out; leave "
            f"data.held_out_speaker {speaker} out"
        )


def _short(data: EventData) -> str:
    return Path(data.name).name


def _told_stratified(part: EventData, whole: EventData, origin: str) -> str:
    return f"{len(part)} of {len(whole)} samples of {origin}, drawn class by class"


def _told_speakers(part: EventData) -> str:
    speakers = np.unique(np.asarray(part.speakers))
    if speakers.size > 12:
        return f"{speakers.size} whole speakers"
    return f"speaker{'s' * (speakers.size > 1)} {listed(speakers)}"
