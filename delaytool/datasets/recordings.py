"""Recordings in a folder: which file is which sample of which part, and how a file is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from delaytool.datasets.sampling_rate import check_sampling_rate
from delaytool.errors import DataError, MissingExtraError, first_line

if TYPE_CHECKING:
    from soundfile import SoundFile

FORMATS = (".wav", ".flac")
# Also recordings: a folder that holds only these must not be taken for an empty one.
OTHER_FORMATS = (".aac", ".aif", ".aiff", ".m4a", ".mp3", ".mp4", ".ogg", ".opus", ".webm", ".wma")

# Of one recording: 23 minutes at 48 kHz, half a GiB of memory.
MOST_SAMPLES = 1 << 26
# Of all channels together, read before they are averaged.
SAMPLES_AT_ONCE = 1 << 20
# Seconds of a recording that stands for silence, a stretch of noise, where samples have no length of their own.
EXCERPT_SECONDS = 1.0
# Speakers NOBODY, NOBODY + 1, ... are none: a stretch of noise has a number of its own, so that a split by speaker may
# put it anywhere. There are some thousands; larger numbers are somebody's own.
NOBODY, MOST_STRETCHES = 1 << 40, 1 << 20


@dataclass(frozen=True)
class Recording:
    """One sample: a file, its label and its speaker, None where that is not known.

    excerpt   None: the file from its start. Else (place, volume): the stretch of the file that begins at `place`,
              0..1 of the room that the sample's length leaves, times `volume`
    """

    path: Path
    label: int
    speaker: int | None
    excerpt: tuple[float, float] | None = None


@dataclass(frozen=True)
class Listing:
    """The recordings of a folder.

    parts         'train', 'validation' and 'test' as far as the folder's lists name them, or 'all'
    class_names   one per label
    mel           the name of the frames (`mel.MELS`) that this kind of data is made into by default
    warnings      sentences about the folder that a user should read
    """

    folder: Path
    parts: dict[str, list[Recording]] = field(repr=False)
    class_names: tuple[str, ...]
    mel: str
    warnings: tuple[str, ...] = ()


def speakers_of(recordings: Sequence[Recording]) -> np.ndarray | None:
    """(n_samples,) int64, or None where one recording's speaker is not known."""
    speakers = [recording.speaker for recording in recordings if recording.speaker is not None]
    return np.array(speakers, np.int64) if len(speakers) == len(recordings) else None


def known_speakers(speakers: np.ndarray) -> np.ndarray:
    """The speakers among these numbers, each once, in rising order; stretches of noise have none."""
    numbers = np.unique(np.asarray(speakers))
    return numbers[(numbers < NOBODY) | (numbers >= NOBODY + MOST_STRETCHES)]


def read_sound(recording: Recording, seconds: float | None) -> tuple[np.ndarray, int]:
    """((samples,) float64 in -1..1, rate in Hz) of a recording; several channels are averaged.

    seconds: the length of an excerpt; None: EXCERPT_SECONDS. Raises DataError for files that cannot be read, have a
    sampling rate that no recording has, are longer than MOST_SAMPLES or too short for an excerpt; MissingExtraError
    without soundfile.
    """
    try:
        import soundfile
    except ImportError:
        raise MissingExtraError("reading recordings", "soundfile", "audio") from None
    try:
        with soundfile.SoundFile(str(recording.path)) as file:
            rate = file.samplerate
            check_sampling_rate(rate, recording.path, "correct or remove the file")
            sound = _averaged(file, recording.path)
    except (OSError, RuntimeError, TypeError) as error:  # soundfile's own errors are RuntimeErrors
        raise DataError(
            f"{recording.path}: cannot be read as a recording ({first_line(error)}); correct or remove the file"
        ) from None
    if sound.size == 0 or not np.isfinite(sound).all():
        what = "is empty" if sound.size == 0 else "holds a value that is not finite"
        raise DataError(f"{recording.path}: the recording {what}; correct or remove the file")
    if recording.excerpt is not None:
        place, volume = recording.excerpt
        seconds = EXCERPT_SECONDS if seconds is None else seconds
        length = round(seconds * rate)
        if sound.size < length:
            raise DataError(
                f"{recording.path}: {sound.size / rate:.2f} s of background noise are shorter than a sample, "
                f"{seconds:g} s; remove the file"
            )
        start = int(place * (sound.size - length))
        sound = volume * sound[start : start + length]
    return sound, rate


def _averaged(file: SoundFile, path: Path) -> np.ndarray:
    """(samples,) float64, the mean of all channels. A header may state any length, so what is there is counted."""
    pieces, count = [np.empty(0)], 0
    at_once = max(1, SAMPLES_AT_ONCE // file.channels)
    while True:
        piece = file.read(at_once, dtype="float64", always_2d=True)
        pieces.append(piece.mean(axis=1))
        count += len(piece)
        if count > MOST_SAMPLES:
            raise DataError(
                f"{path}: more than {MOST_SAMPLES:,} samples are no recording of one class; cut it into samples"
            )
        if len(piece) < at_once:
            return np.concatenate(pieces)


def sounds_in(folder: Path) -> list[Path]:
    """The recordings that lie directly in a folder, by name. Raises DataError for those in other formats."""
    with os.scandir(folder) as entries:
        files = sorted(Path(entry.path) for entry in entries if entry.is_file() and not entry.name.startswith("."))
    others = [path for path in files if path.suffix.lower() in OTHER_FORMATS]
    if others:
        raise DataError(
            f"{folder}: it holds {len(others)} recording{'s' * (len(others) > 1)} that are not {' or '.join(FORMATS)} "
            f"({others[0].name}); convert or remove them, because they would not be read"
        )
    return [path for path in files if path.suffix.lower() in FORMATS]


def read_list(path: Path) -> list[str] | None:
    """The lines of a list of files that are not empty, or None where there is no such list. Raises DataError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: cannot be read ({first_line(error)}); give a text file with one name per line"
        ) from None
    return [line.strip() for line in lines if line.strip()]
