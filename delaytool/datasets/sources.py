"""From a source's name or path to its training, validation and test parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from delaytool.datasets.digits import N_UNITS as DIGITS_UNITS
from delaytool.datasets.digits import digits_events
from delaytool.datasets.download import SPLITS as DOWNLOADS
from delaytool.datasets.download import default_root, fetch
from delaytool.datasets.events import EventData
from delaytool.datasets.frame_cache import mel_frame_data
from delaytool.datasets.frames import FrameData
from delaytool.datasets.hdf5 import find_files, read_file, read_folder
from delaytool.datasets.heidelberg import is_heidelberg, list_heidelberg
from delaytool.datasets.mel import MELS
from delaytool.datasets.recordings import Listing
from delaytool.datasets.speech_commands import is_speech_commands, list_speech_commands
from delaytool.datasets.splits import hold_out_speaker, listed, resolve_method, split_test, split_validation
from delaytool.datasets.tonic_events import PREFIX as TONIC
from delaytool.datasets.tonic_events import read_tonic
from delaytool.errors import DataError
from delaytool.network import MelSpectrogram

SPLIT_NAMES = ("train", "validation", "test")
# Where data come without a test part it is always cut with this seed: a run's own seed must not move samples
# between training and test, or accuracies of two runs would not compare.
TEST_SEED = 20221


# Recordings that have a name of their own as presets' sources, but are not downloaded.
RECORDINGS = {
    "gsc": "the unpacked folder of Speech Commands",
    "hd": "the folder of the Heidelberg Digits' recordings",
}


@dataclass(frozen=True, eq=False)
class Splits:
    """The three parts of a data set, all of one kind. `description` says in one sentence how they were made."""

    train: EventData | FrameData
    validation: EventData | FrameData
    test: EventData | FrameData
    description: str


@dataclass(frozen=True)
class Reading:
    """How particular kinds of sources are read.

    time_step_ms   of recordings: from one frame to the next
    mel            of recordings: settings or the name of some (`mel.MELS`); None: the kind of data's own
    classes        of Speech Commands: see `list_speech_commands`
    pixel_bins     of tonic's two-dimensional sensors, and polarity 'keep' or 'merge': see `read_tonic`
    progress       told (what, done, of how many) while recordings or tonic's samples are read
    """

    time_step_ms: float = 10.0
    mel: MelSpectrogram | str | None = None
    classes: int | None = None
    pixel_bins: int = 1
    polarity: str = "keep"
    progress: Callable[[str, int, int], None] | None = None


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
    reading: Reading | None = None,
) -> Splits:
    """Load `source`: 'digits', 'shd', 'ssc', 'tonic:NAME', one .h5 file, a folder with train.h5 (and valid.h5,
    test.h5), or a folder of recordings: Speech Commands' or the Heidelberg Digits'.

    Parts that the source has are used as they are. A missing test part is `test_fraction` of every class, cut
    off the training part with a fixed seed; of recordings it is whole speakers, unless split_by is 'stratified'.
    A missing validation part is `validation_fraction` of what is left, chosen with `seed` as `split_validation`
    says (`split_by`). n_units None: what the file tells, else 700; of recordings, the filters of `reading.mel`.
    `root`: where downloads and the frames of recordings are kept (see `fetch`). `reading`: see `Reading`.

    protocol 'paper': where the source has no validation part, nothing is cut off training and the test part
    serves as validation too, which is how accuracies on SHD have been published.

    held_out_speaker: one fold of leave-one-speaker-out over the training part's speakers. held_out_as 'validation':
    the speaker's samples are the validation part, and the test part stays what it is. 'test': they are the test part
    in place of the source's own, which is set aside, and validation is cut off the other speakers as ever.

    Raises DataError for sources that cannot be read or split, MissingExtraError where an extra is missing.
    """
    parts = _read(source, n_units, root, reading or Reading())
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
        # Recordings without lists: a test part is worth more where it holds voices that were never heard.
        method = resolve_method(whole, split_by) if isinstance(whole, FrameData) else "stratified"
        train, test = split_test(whole, test_fraction, TEST_SEED, method)
        test_told = _told(method, test, whole, origin)
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
        validation_told = _told(method, validation, whole, origin)
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
    reading: Reading | None = None,
) -> EventData | FrameData:
    """One part of `source`, to evaluate a network on; the same samples that `load` with the same arguments gives.

    Of a folder, the file or the recordings of that split alone are read where the folder tells them. A single .h5
    file is taken whole.
    n_classes: the network's number of classes; labels beyond it raise a DataError. Raises as `load` does.
    """
    if split not in SPLIT_NAMES:
        raise DataError(f"{source}: split {split!r} is unknown; choose one of {', '.join(SPLIT_NAMES)}")
    reading = reading or Reading()
    source = _downloaded(source, root)
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
        listing = None if files else _listing(Path(source), reading)
        if (
            listing is not None
            and split in listing.parts
            and not replaced
            and (split != "train" or len(listing.parts) == 3)
        ):
            return _checked_classes(_frames(listing, split, n_units, root, reading), n_classes)
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
        reading=reading,
    )
    return _checked_classes(getattr(parts, split), n_classes)


def _checked_classes(data: EventData | FrameData, n_classes: int | None) -> EventData | FrameData:
    if n_classes is not None and data.n_classes > n_classes:
        raise DataError(
            f"{data.name}: its {data.n_classes} classes are more than the network's {n_classes}; "
            "give the data that the network was trained for"
        )
    return data


def _downloaded(source: str | os.PathLike[str], root: str | os.PathLike[str] | None) -> str | os.PathLike[str]:
    """Names that stand for a folder as that folder. 'tonic:SHD' is 'shd': one reader, one check."""
    name = str(source)
    name = name.removeprefix(TONIC).lower() if name.startswith(TONIC) else name
    return fetch(name, root) if name in DOWNLOADS else source


def _read(
    source: str | os.PathLike[str], n_units: int | None, root: str | os.PathLike[str] | None, reading: Reading
) -> Mapping[str, EventData | FrameData]:
    if source == "digits":
        if n_units not in (None, DIGITS_UNITS):
            raise DataError(f"digits: data.n_units {n_units} is not its {DIGITS_UNITS} pixels; leave it out")
        return {"all": digits_events()}
    source = _downloaded(source, root)
    if str(source).startswith(TONIC):
        folder = default_root() if root is None else Path(root)
        return read_tonic(
            str(source),
            folder.expanduser(),
            pixel_bins=reading.pixel_bins,
            polarity=reading.polarity,
            progress=reading.progress,
        )
    if source in RECORDINGS:
        raise DataError(
            f"{source}: its recordings are not downloaded; give {RECORDINGS[str(source)]} with --data FOLDER "
            "(or data.source)"
        )
    if not os.path.exists(source):
        raise DataError(
            f"{source}: no such data; give 'digits', {', '.join(map(repr, DOWNLOADS))}, 'tonic:NAME', a folder with "
            "train.h5 or with recordings, or one HDF5 file that exists"
        )
    if os.path.isdir(source) and not find_files(source, needed=None):
        listing = _listing(Path(source), reading)
        if listing is not None:
            return {part: _frames(listing, part, n_units, root, reading) for part in listing.parts}
    return read_folder(source, n_units)


def _listing(folder: Path, reading: Reading) -> Listing | None:
    """The recordings of a folder, or None where it is no folder of recordings."""
    if is_heidelberg(folder):
        return list_heidelberg(folder)
    return list_speech_commands(folder, reading.classes) if is_speech_commands(folder) else None


def _frames(
    listing: Listing, part: str, n_units: int | None, root: str | os.PathLike[str] | None, reading: Reading
) -> FrameData:
    mel = reading.mel or listing.mel
    if not isinstance(mel, MelSpectrogram):
        if mel not in MELS:
            raise DataError(f"{listing.folder}: data.mel {mel!r} is unknown; choose one of {', '.join(MELS)}")
        mel = MELS[mel] if n_units is None else replace(MELS[mel], n_mels=n_units)
    folder = None if root is None else Path(root)
    return mel_frame_data(listing, part, mel, reading.time_step_ms, root=folder, progress=reading.progress)


def _check_held_out(train: EventData | FrameData, speaker: int, part: str, has_validation: bool, protocol: str) -> None:
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


def _short(data: EventData | FrameData) -> str:
    return Path(data.name).name


def _told(method: str, part: EventData | FrameData, whole: EventData | FrameData, origin: str) -> str:
    if method == "speaker":
        return f"{_told_speakers(part)} of {origin} ({len(part)} of {len(whole)} samples)"
    return f"{len(part)} of {len(whole)} samples of {origin}, drawn class by class"


def _told_speakers(part: EventData | FrameData) -> str:
    speakers = np.unique(np.asarray(part.speakers))
    if speakers.size > 12:
        return f"{speakers.size} whole speakers"
    return f"speaker{'s' * (speakers.size > 1)} {listed(speakers)}"
