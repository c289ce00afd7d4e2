"""Google Speech Commands (P. Warden, arXiv 1804.03209) as its archive unpacks: one folder of recordings per word."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from delaytool.datasets.recordings import NOBODY, Listing, Recording, read_list, sounds_in
from delaytool.errors import DataError

LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
BACKGROUND = "_background_noise_"
SPEAKER_ENDS = "_nohash_"
# The task of 12 classes: these ten, everything else, and nothing.
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
SILENCE, UNKNOWN = "_silence_", "_unknown_"
TWELVE = (SILENCE, UNKNOWN, *KEYWORDS)
# 'unknown' and 'silence' are each so many samples for 100 of the ten words, in every part.
PERCENT = 10
# Which words are drawn as unknown and which stretches of noise are silence: the same in every run.
SEED = 59185


def is_speech_commands(folder: Path) -> bool:
    """Whether a folder has the lists, or one folder of recordings per word."""
    return any((folder / name).is_file() for name in LISTS.values()) or bool(_words(folder))


def list_speech_commands(folder: Path, classes: int | None = None) -> Listing:
    """The recordings of a folder, in the parts that its lists name; without lists, 'all' of them.

    classes None: every word is a class, in alphabetical order (35 in version 2). 12: the ten keywords, '_unknown_'
    and '_silence_' as the data's paper and its TensorFlow code define them: of each part, for every 100 recordings
    of the ten words, 10 of other words and 10 one-second stretches of the background noise at a random volume.
    10: the ten keywords alone, in alphabetical order. Another number: as None, but it must be the folder's number of
    words.

    A recording's speaker is its name up to '_nohash_'; where one name is without it, no speaker is known. Raises
    DataError.
    """
    words = _words(folder)
    if not words:
        raise DataError(
            f"{folder}: no recordings; give the unpacked folder of Speech Commands, with a folder of .wav files "
            "per word"
        )
    if sounds_in(folder):
        raise DataError(
            f"{folder}: {sounds_in(folder)[0].name} and {len(words)} folders of recordings both lie in it; the "
            "folder of a recording is its class, so move those that lie outside into one"
        )
    names = _class_names(folder, words, classes)
    parts = _parts(folder, words)
    keywords = KEYWORDS if classes == 12 else names
    for part, paths in parts.items():
        if not any(path.parent.name in keywords for path in paths):
            raise DataError(
                f"{folder}: the {part} part has no recording of the words {', '.join(keywords)}; complete the folder, "
                "or set data.classes=none to take every word there is"
            )
    if classes == 10:
        parts = {part: [path for path in paths if path.parent.name in names] for part, paths in parts.items()}
    speakers = _speakers([path for paths in parts.values() for path in paths])
    listed = {}
    for part, paths in parts.items():
        if classes == 12:
            listed[part] = _twelve(folder, part, paths, speakers)
        else:
            listed[part] = [Recording(path, names.index(path.parent.name), speakers[path]) for path in paths]
    return Listing(folder, listed, names, mel="gsc-paper", warnings=_folders_without_class(folder, words))


def _words(folder: Path) -> list[str]:
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(("_", ".")) and sounds_in(entry)
    )


def _folders_without_class(folder: Path, words: list[str]) -> tuple[str, ...]:
    others = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in (*words, BACKGROUND)
    )
    empty = [name for name in others if not name.startswith("_")]
    special = [name for name in others if name.startswith("_")]
    warnings = []
    if empty:
        warnings.append(f"{folder}: no class is made of {', '.join(empty[:8])}: no .wav or .flac lies in it")
    if special:
        warnings.append(
            f"{folder}: no class is made of {', '.join(special[:8])}: folders whose names begin with _ are no words; "
            "rename what is one"
        )
    return tuple(warnings)


def _class_names(folder: Path, words: list[str], classes: int | None) -> tuple[str, ...]:
    if classes == 12:
        absent = [word for word in KEYWORDS if word not in words]
        if absent:
            raise DataError(
                f"{folder}: 12 classes need the ten words {', '.join(KEYWORDS)}, there is no {', '.join(absent)}; "
                "set data.classes=none to take every word there is"
            )
        return TWELVE
    if classes == 10 and all(word in words for word in KEYWORDS):
        return tuple(sorted(KEYWORDS))
    if classes is not None and classes != len(words):
        raise DataError(
            f"{folder}: {classes} classes were asked for, there are {len(words)} words; complete the folder, set "
            "data.classes to 10 or 12 for ten keywords, or data.classes=none to take every word there is"
        )
    return tuple(words)


def _parts(folder: Path, words: list[str]) -> dict[str, list[Path]]:
    """The words' recordings, part by part, each in the order of their names."""
    every = {f"{word}/{path.name}": path for word in words for path in sounds_in(folder / word)}
    lists = {part: read_list(folder / name) for part, name in LISTS.items()}
    if all(names is None for names in lists.values()):
        return {"all": list(every.values())}
    parts = {}
    rest = dict(every)
    for part, names in lists.items():
        if names is None:
            raise DataError(f"{folder}: no {LISTS[part]}, though the other list is there; add it, or remove both lists")
        parts[part] = [rest.pop(name) for name in sorted(set(names)) if name in rest]
    parts["train"] = list(rest.values())
    for part, paths in parts.items():
        if not paths:
            how = "every recording is in a list" if part == "train" else f"no recording of {LISTS[part]} is there"
            raise DataError(f"{folder}: an empty {part} part, {how}; complete the folder, or remove both lists")
    return {part: parts[part] for part in ("train", "validation", "test")}


def _twelve(folder: Path, part: str, paths: list[Path], speakers: dict[Path, int | None]) -> list[Recording]:
    generator = np.random.default_rng([SEED, ("train", "validation", "test", "all").index(part)])
    chosen = [
        Recording(path, TWELVE.index(path.parent.name), speakers[path])
        for path in paths
        if path.parent.name in KEYWORDS
    ]
    others = [path for path in paths if path.parent.name not in KEYWORDS]
    noises = sounds_in(folder / BACKGROUND) if (folder / BACKGROUND).is_dir() else []
    if not others or not noises:
        what = f"words besides the ten for {UNKNOWN}" if not others else f"recordings in {BACKGROUND} for {SILENCE}"
        raise DataError(
            f"{folder}: the {part} part has no {what}, and 12 classes need them; complete the folder, or leave out "
            "data.classes to take every word there is"
        )
    count = math.ceil(len(chosen) * PERCENT / 100)
    for index in sorted(generator.permutation(len(others))[:count]):
        chosen.append(Recording(others[index], TWELVE.index(UNKNOWN), speakers[others[index]]))
    for number in range(count):
        noise = noises[generator.integers(len(noises))]
        excerpt = (float(generator.random()), float(generator.random()))
        chosen.append(Recording(noise, TWELVE.index(SILENCE), NOBODY + number, excerpt))
    return chosen


def _speakers(paths: list[Path]) -> dict[Path, int | None]:
    """Each recording's speaker, numbered in the order of their names."""
    if not all(SPEAKER_ENDS in path.stem for path in paths):
        return dict.fromkeys(paths)
    names = {path: path.stem.partition(SPEAKER_ENDS)[0] for path in paths}
    numbers = {name: number for number, name in enumerate(sorted(set(names.values())))}
    return {path: numbers[name] for path, name in names.items()}
