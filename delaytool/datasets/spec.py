"""DataSpec: which data, how they are read and how they are cut. Recipe, loading and verifying share it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from delaytool.contract.encoding import InputEncoding, MelSpectrogram
from delaytool.errors import DataError

# Sources that are names; everything else is a path.
DIGITS = "digits"
DOWNLOADS = {"shd": ("train", "test"), "ssc": ("train", "valid", "test")}
TONIC = "tonic:"
MEMORY = "in-memory"  # of data that a program gave: see `delaytool.datasets.in_memory`
# Recordings that have a name of their own as presets' sources; the user gives the folder that they are in.
RECORDINGS = {
    "gsc": "the folder of Speech Commands (get it with: delaytool data speech-commands -o FOLDER)",
    "hd": "the folder of the Heidelberg Digits' recordings",
}
# What a recipe's keys of these names admit.
Protocol = Literal["honest", "paper", "fixed", "cross-validated"]
TimeUnit = Literal["s", "ms", "us"]
Polarity = Literal["keep", "merge"]
SplitBy = Literal["auto", "speaker", "stratified"]
HeldOutAs = Literal["validation", "test"]
# Seconds that a time unit of event files stands for.
TIME_UNITS: dict[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
MAX_UNITS = 1 << 22
MAX_CLASSES = 1 << 16
MAX_FOLDS = 1000

_CHOICES: dict[str, tuple[str, ...]] = {
    "protocol": get_args(Protocol),
    "time_unit": get_args(TimeUnit),
    "polarity": get_args(Polarity),
    "split_by": get_args(SplitBy),
    "held_out_as": get_args(HeldOutAs),
}
# name: (lowest, highest) whole number
_RANGES = {
    "seed": (0, (1 << 31) - 1),
    "n_units": (1, MAX_UNITS),
    "classes": (2, MAX_CLASSES),
    "pixel_bins": (1, MAX_UNITS),
    "folds": (2, MAX_FOLDS),
    "fold": (0, MAX_FOLDS - 1),
    "held_out_speaker": (0, (1 << 63) - 1),
}
_FRACTIONS = ("validation_fraction", "test_fraction")
_OPTIONAL = ("n_units", "time_unit", "mel", "classes", "fold", "held_out_speaker")
OF_THE_RUN = ("seed", "protocol")  # keys of a recipe, not of its section `data`


@dataclass(frozen=True)
class DataSpec:
    """Everything that decides which samples are in which part of the data.

    source               'digits', 'shd', 'ssc', 'tonic:NAME', or the path of an HDF5 file or a folder
    seed                 of the draw of the validation part
    protocol             where the source has no validation part: 'honest', one is cut off training; 'paper', the test
                         part serves as one; 'fixed' and 'cross-validated', there is none

    n_units              units of the data; None: as the file states, else 700; of recordings, the number of filters
    time_step_ms         of recordings: from one frame to the next
    time_unit            of event files: 's', 'ms' or 'us'; None: seconds, which must be floats and look like seconds
    ear                  of recordings: True for the spikes of the ear behind SHD in place of mel frames, 'causal' for
                         those of its form for live sound; n_units is then its number of channels, 700 unless set
    mel                  of recordings: settings, or the name of some (`mel.MELS`); None: the kind of data's own
    classes              how many classes there are; of Speech Commands see `list_speech_commands`; None: as the data
                         have
    pixel_bins           of tonic's two-dimensional sensors, and polarity 'keep' or 'merge': see `read_tonic`

    validation_fraction, test_fraction   of the samples, where the source has no such part
    split_by             'auto', 'speaker' or 'stratified': see `split_validation`
    folds, fold          of 'cross-validated': how many folds the training part has, and the one that is validation;
                         None: none is
    held_out_speaker     one fold of leave-one-speaker-out, and held_out_as 'validation' or 'test': see `load`

    Raises DataError, which names the key, for a value of the wrong type or out of range.

    >>> DataSpec("digits", seed=3).validation_fraction
    0.2
    """

    source: str
    seed: int = 0
    protocol: str = "honest"
    n_units: int | None = None
    time_step_ms: float = 10.0
    time_unit: str | None = None
    ear: bool | str = False
    mel: MelSpectrogram | str | None = None
    classes: int | None = None
    pixel_bins: int = 1
    polarity: str = "keep"
    validation_fraction: float = 0.2
    test_fraction: float = 0.2
    split_by: str = "auto"
    folds: int = 5
    fold: int | None = None
    held_out_speaker: int | None = None
    held_out_as: str = "validation"

    def __post_init__(self) -> None:
        if not isinstance(self.source, (str, os.PathLike)) or not str(self.source).strip():
            raise DataError(
                f"data.source {self.source!r} names no data; give 'digits', 'shd', 'ssc', 'tonic:NAME', a file or a "
                "folder"
            )
        object.__setattr__(self, "source", str(self.source))
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic):  # a number of NumPy's stands for Python's, which files hold
                value = value.item()
                object.__setattr__(self, field.name, value)
            if value is None and field.name in _OPTIONAL:
                continue
            self._check(field.name, value)
        if self.fold is not None and (self.protocol != "cross-validated" or self.fold >= self.folds):
            raise DataError(
                f"data.fold {self.fold} is one of 0..{self.folds - 1} with protocol 'cross-validated' and data.folds "
                f"{self.folds}, and the protocol is {self.protocol!r}; correct these, or leave data.fold out"
            )

    def _check(self, name: str, value: Any) -> None:
        key = name if name in OF_THE_RUN else f"data.{name}"
        if name in _CHOICES and value not in _CHOICES[name]:
            raise DataError(f"{key} {value!r} is unknown; choose one of {', '.join(map(repr, _CHOICES[name]))}")
        if name in _RANGES:
            low, high = _RANGES[name]
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise DataError(f"{key} {value!r} is not a whole number in {low}..{high}")
        if name in (*_FRACTIONS, "time_step_ms"):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise DataError(f"{key} {value!r} is not a finite number")
            if name in _FRACTIONS and not 0 < value < 1:
                raise DataError(f"{key} {value} is outside 0..1 (both excluded); choose for example 0.2")
            if value <= 0:
                raise DataError(f"{key} {value} is not a positive number of milliseconds")
        if name == "ear" and value not in (True, False, "causal"):
            raise DataError(f"{key} {value!r} is unknown; choose true, false or 'causal'")
        if name == "mel" and not isinstance(value, (str, MelSpectrogram)):
            raise DataError(f"{key} {value!r} is not the name of mel settings")

    @staticmethod
    def from_recipe(
        recipe: Mapping[str, Any], encoding: InputEncoding | None = None, source: str | None = None
    ) -> DataSpec:
        """The spec of a recipe's plain values, as a checkpoint or a network file's provenance holds them.

        encoding   what the data's training part has decided already: time step and mel settings
        source     other data, read and cut as the recipe states
        Keys that the values lack have their defaults. Raises DataError where no source is named.
        """
        recipe = recipe if isinstance(recipe, Mapping) else {}
        data = recipe.get("data")
        data = data if isinstance(data, Mapping) else {}
        given = {field.name: data[field.name] for field in fields(DataSpec) if field.name in data}
        given |= {name: recipe[name] for name in OF_THE_RUN if name in recipe}
        if source is not None:
            given["source"] = source
        if given.get("source") is None:
            raise DataError("the recipe names no data (data.source); give samples with --data")
        if encoding is not None:
            given["time_step_ms"] = encoding.time_step_ms
            # What an earlier version let pass with data that have no such setting had no effect.
            given["mel"] = encoding.mel or (given.get("mel") if encoding.values == "graded" else None)
            if not str(given["source"]).startswith(TONIC):
                given |= {"pixel_bins": DataSpec.pixel_bins, "polarity": DataSpec.polarity}
        return DataSpec(**given)


def is_name(source: str) -> bool:
    """Whether a source is a name rather than a path. Write `./shd` for a folder of that name."""
    return source in (DIGITS, MEMORY) or source in DOWNLOADS or source in RECORDINGS or source.startswith(TONIC)


def absolute_source(source: str, beside: Path | None = None) -> str:
    """A source that is the same from every working directory: names unchanged, paths absolute.

    beside: the folder of the file that names the source. A relative path is looked for there, and, where nothing is
    there, in the working directory. None: in the working directory alone.
    """
    if not source.strip() or is_name(source):
        return source
    path = Path(source).expanduser()
    if beside is not None and not path.is_absolute():
        there = beside / path
        path = path if path.exists() and not there.exists() else there
    return os.path.abspath(path)
