"""The Heidelberg Digits' recordings (Cramer et al. 2020, the audio behind SHD)."""

from __future__ import annotations

from pathlib import Path

from delaytool.datasets.recordings import Listing, Recording, read_list, sounds_in
from delaytool.errors import DataError

LISTS = {"train": "train_filenames.txt", "test": "test_filenames.txt"}
LANGUAGES = ("english", "german")
# In the order of SHD's labels: English 0-9, German 10-19.
CLASS_NAMES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "null", "eins", "zwei", "drei", "vier", "fuenf", "sechs", "sieben", "acht", "neun",
)  # fmt: skip
EXAMPLE = "lang-german_speaker-03_trial-12_digit-7.flac"


def is_heidelberg(folder: Path) -> bool:
    """Whether a folder, or `audio` in it, holds recordings that are named like the Heidelberg Digits."""
    return any(path.name.startswith("lang-") for path in sounds_in(_audio(folder)))


def list_heidelberg(folder: Path) -> Listing:
    """The recordings of a folder or of `audio` in it: 'train' and 'test' by its lists, without lists 'all'.

    A name is lang-LANGUAGE_speaker-N_trial-N_digit-N, in any order. The label is the digit, German ones 10 higher.
    Raises DataError.
    """
    recordings: dict[str, Recording] = {}
    for path in sounds_in(_audio(folder)):
        if path.stem in recordings:
            raise DataError(f"{path}: {recordings[path.stem].path.name} is the same recording; remove one of them")
        recordings[path.stem] = _recording(path)
    lists = {part: read_list(folder / name) for part, name in LISTS.items()}
    if all(names is None for names in lists.values()):
        parts = {"all": list(recordings.values())}
    else:
        parts = {}
        for part, names in lists.items():
            if names is None:
                raise DataError(
                    f"{folder}: no {LISTS[part]}, though the other list is there; add it, or remove both lists"
                )
            there = [recordings[stem] for stem in sorted({Path(name).stem for name in names}) if stem in recordings]
            if not there:
                raise DataError(f"{folder}: no recording of {LISTS[part]} is there; complete the folder")
            parts[part] = there
        tested = {recording.path for recording in parts["test"]}
        both = [recording.path.name for recording in parts["train"] if recording.path in tested]
        if both:
            raise DataError(
                f"{folder}: {both[0]} is in both {LISTS['train']} and {LISTS['test']} ({len(both)} are); leave each "
                "recording in one of them"
            )
    german = any(recording.label >= 10 for part in parts.values() for recording in part)
    return Listing(folder, parts, CLASS_NAMES if german else CLASS_NAMES[:10], mel="hd")


def _audio(folder: Path) -> Path:
    return folder / "audio" if (folder / "audio").is_dir() else folder


def _recording(path: Path) -> Recording:
    values = dict(part.split("-", 1) for part in path.stem.split("_") if "-" in part)
    language, speaker, digit = values.get("lang"), values.get("speaker", ""), values.get("digit", "")
    if language not in LANGUAGES or not speaker.isdecimal() or not (digit.isdecimal() and int(digit) <= 9):
        raise DataError(f"{path}: not a name of the Heidelberg Digits, such as {EXAMPLE}; rename or remove the file")
    return Recording(path, int(digit) + 10 * LANGUAGES.index(language), int(speaker))
