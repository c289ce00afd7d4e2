"""The Free Spoken Digit Dataset (Z. Jackson et al.): recordings whose names hold digit, speaker and number."""

from __future__ import annotations

import re
from pathlib import Path

from delaytool.datasets.recordings import Listing, Recording, sounds_in

NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[A-Za-z]+)_(?P<number>[0-9]+)")
# The data set's own convention: recordings 0 to 4 of each speaker and digit are its test part.
TEST_NUMBERS = 5


def is_spoken_digits(folder: Path) -> bool:
    """Whether all recordings in a folder, or in `recordings` in it, are named like 7_jackson_32.wav."""
    paths = sounds_in(_recordings(folder))
    return bool(paths) and all(NAME.fullmatch(path.stem) for path in paths)


def list_spoken_digits(folder: Path) -> Listing:
    """The recordings of a folder or of `recordings` in it: 'train' and 'test', or 'all' where one would be empty."""
    found = [(match, path) for path in sounds_in(_recordings(folder)) if (match := NAME.fullmatch(path.stem))]
    speakers = sorted({match["speaker"] for match, _ in found})
    parts: dict[str, list[Recording]] = {"train": [], "test": []}
    for match, path in found:
        part = "test" if int(match["number"]) < TEST_NUMBERS else "train"
        parts[part].append(Recording(path, int(match["digit"]), speakers.index(match["speaker"])))
    if not all(parts.values()):
        parts = {"all": parts["train"] + parts["test"]}
    return Listing(folder, parts, tuple("0123456789"), mel="hd")


def _recordings(folder: Path) -> Path:
    return folder / "recordings" if (folder / "recordings").is_dir() else folder
