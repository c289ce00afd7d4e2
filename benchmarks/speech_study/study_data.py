"""The study's data sets and how they are cut: who is tested on, and the folds in which settings are chosen.

    digits             train.h5 and test.h5 of the spoken digits: the test part's five speakers are the training part's
    digits-speaker-N   the training part, speaker N held out as the test part: a speaker not seen in training
    ten                the ten commands, cut by speaker as `delaytool train` cuts a file of `delaytool encode`

A fold takes the training part alone. The test part is then not even made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from spike_sets import SpikeSet, read_pack

from delaytool.datasets import DataSpec, EventData, Splits
from delaytool.datasets.sources import divide
from delaytool.datasets.splits import hold_out_speaker
from delaytool.trainer.data import TrainingData, load_data
from delaytool.trainer.recipe import Recipe

HELD_OUT = "digits-speaker-"
DIGITS_SPEAKERS = (0, 1, 2, 3, 5)
# What a recipe must have for them beyond the paper's: the recordings of the commands begin at time 0.
SETTINGS = {"ten": ("data.start=zero", "data.ear=true")}
FOLDS = 5
FOLD_SEED = 17
# The protocol, in words, of parts where the test part stands as validation so that its curve is recorded.
DESCRIPTION = "no epoch is chosen: the last one counts; the test part is evaluated after every epoch"


class FramesByName(Protocol):
    """What gives a run its frames."""

    def training_data(self, recipe: Recipe, name: str, fold: int | None = None) -> TrainingData: ...

    def prepare(self, wanted: Iterable[tuple[Recipe, str, int | None]]) -> None: ...


class StudyData:
    """Training data by name and fold, each made once.

    packs    the folder with digits.pack and ten.pack
    subset   keep only so many samples of each part, evenly spaced, for trying things out
    """

    def __init__(self, packs: Path, subset: int | None = None) -> None:
        self._packs, self._subset = packs, subset
        self._spikes: dict[str, SpikeSet] = {}
        self._frames: dict[tuple[str, ...], TrainingData] = {}

    def spikes(self, name: str) -> SpikeSet:
        """The packed set that a data set's name stands for."""
        pack = name.partition("-")[0]
        if pack not in self._spikes:
            self._spikes[pack] = read_pack(self._packs / f"{pack}.pack")
        return self._spikes[pack]

    def splits(self, name: str, fold: int | None = None) -> Splits:
        """Training and test part, the test part also as validation; of a fold, both are the fold's speakers."""
        parts = self.spikes(name).parts
        if "all" in parts:
            divided = divide(DataSpec(name, protocol="paper"), parts)
            train, test = divided.train, divided.test
        else:
            train, test = parts["train"], parts["test"]
        if name.startswith(HELD_OUT):
            train, test = hold_out_speaker(train, int(name.removeprefix(HELD_OUT)))
        if fold is not None:
            of = speaker_folds(train, FOLDS)
            train, test = (train.subset(np.flatnonzero(some)) for some in (of != fold, of == fold))
        if self._subset is not None:
            train, test = (_some(part, self._subset) for part in (train, test))
        return Splits(train, test, test, f"{name}{'' if fold is None else f', fold {fold}'}: {DESCRIPTION}")

    def training_data(self, recipe: Recipe, name: str, fold: int | None = None) -> TrainingData:
        """Frames of a recipe: made at the first call for these data and this binning, then kept."""
        key = (name, str(fold), recipe.data.model_copy(update={"source": "digits"}).model_dump_json())
        if key not in self._frames:
            self._frames[key] = load_data(recipe, splits=self.splits(name, fold))
        return self._frames[key]

    def prepare(self, wanted: Iterable[tuple[Recipe, str, int | None]]) -> None:
        """Make all frames that are wanted, and forget the events."""
        for recipe, name, fold in wanted:
            self.training_data(recipe, name, fold)
        self._spikes.clear()


def speaker_folds(data: EventData, count: int) -> np.ndarray:
    """(n_samples,) the fold of each sample: whole speakers, in a drawn order, each to the fold with fewest samples.

    Raises SystemExit where a class is missing from what a fold leaves.
    """
    speakers, who, sizes = np.unique(np.asarray(data.speakers), return_inverse=True, return_counts=True)
    fold_of, filled = np.zeros(speakers.size, np.int64), np.zeros(count, np.int64)
    for speaker in np.random.default_rng(FOLD_SEED).permutation(speakers.size):
        fold_of[speaker] = filled.argmin()
        filled[fold_of[speaker]] += sizes[speaker]
    folds = fold_of[who]
    for fold in range(count):
        if np.unique(data.labels[folds != fold]).size < np.unique(data.labels).size:
            raise SystemExit(f"{data.name}: without fold {fold} a class is missing; use fewer folds")
    return folds


def _some(part: EventData, count: int) -> EventData:
    chosen = np.linspace(0, len(part) - 1, min(count, len(part))).round().astype(int)
    return replace(part.subset(chosen), name=part.name)
