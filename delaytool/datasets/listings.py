"""A folder of recordings, of whichever kind."""

from __future__ import annotations

from pathlib import Path

from delaytool.datasets.heidelberg import is_heidelberg, list_heidelberg
from delaytool.datasets.recordings import Listing, sounds_in
from delaytool.datasets.speech_commands import is_speech_commands, list_speech_commands
from delaytool.datasets.spoken_digits import is_spoken_digits, list_spoken_digits
from delaytool.errors import DataError


def list_recordings(folder: Path, classes: int | None = None) -> Listing | None:
    """The recordings of a folder: the Heidelberg Digits, the Free Spoken Digits, or a folder per class.

    classes: of Speech Commands, see `list_speech_commands`; of others the number that they have. None where the folder
    holds no recordings. Raises DataError where nothing gives the recordings' classes, or they are not so many.
    """
    if is_heidelberg(folder):
        return _of_classes(list_heidelberg(folder), classes)
    if is_spoken_digits(folder):
        return _of_classes(list_spoken_digits(folder), classes)
    if is_speech_commands(folder):
        return list_speech_commands(folder, classes)
    loose = sounds_in(folder)
    if loose:
        raise DataError(
            f"{folder}: recordings lie directly in it ({len(loose)}), so nothing gives their classes; make a folder "
            f"per class in it and move them there, as in {folder.name}/yes/{loose[0].name}"
        )
    return None


def _of_classes(listing: Listing, classes: int | None) -> Listing:
    has = len(listing.class_names)
    if classes not in (None, has):
        raise DataError(f"{listing.folder}: {classes} classes were asked for, it has {has}; set data.classes=none")
    return listing
