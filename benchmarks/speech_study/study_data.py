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
import torch
from spike_sets import Pack, read_pack

from delaytool.datasets import DataSpec, EventData
from delaytool.datasets.sources import divide
from delaytool.datasets.splits import hold_out_speaker
from delaytool.trainer.data import Part, TrainingData
from delaytool.trainer.recipe import Recipe

HELD_OUT = "digits-speaker-"
# Of the data set's six speakers, in the alphabetical order of their names, all but theo.
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
        self._read: dict[str, Pack] = {}
        self._whole: dict[tuple[str, str], np.ndarray] = {}
        self._made: dict[tuple[str, ...], TrainingData] = {}

    def pack(self, name: str) -> Pack:
        """The pack that a data set's name stands for."""
        of = name.partition("-")[0]
        if of not in self._read:
            self._read[of] = read_pack(self._packs / f"{of}.pack")
        return self._read[of]

    def cut(self, name: str, parts: dict[str, EventData], fold: int | None = None) -> tuple[EventData, EventData]:
        """(train, test) of a pack's parts; of a fold, both are of the training part, and test the fold's speakers."""
        if "all" in parts:
            divided = divide(DataSpec(name, protocol="fixed"), parts)
            train, test = divided.train, divided.test
        else:
            train, test = parts["train"], parts["test"]
        if name.startswith("digits"):
            train, test = (
                part.subset(np.flatnonzero(np.isin(part.speakers, DIGITS_SPEAKERS))) for part in (train, test)
            )
        if name.startswith(HELD_OUT):
            train, test = hold_out_speaker(train, int(name.removeprefix(HELD_OUT)))
        if fold is not None:
            of = speaker_folds(train, FOLDS)
            train, test = (train.subset(np.flatnonzero(some)) for some in (of != fold, of == fold))
        if self._subset is not None:
            train, test = (_some(part, self._subset) for part in (train, test))
        return train, test

    def training_data(self, recipe: Recipe, name: str, fold: int | None = None) -> TrainingData:
        """Frames of a recipe, the test part also as validation; made at the first call for these data and this binning.

        They are those that training bins from the unpacked files. Raises ValueError for another binning than the
        pack's, but for the largest count and binary values.
        """
        key = (name, str(fold), recipe.data.model_copy(update={"source": "in-memory"}).model_dump_json())
        if key not in self._made:
            self._made[key] = self._frames(recipe, name, fold)
        return self._made[key]

    def _frames(self, recipe: Recipe, name: str, fold: int | None) -> TrainingData:
        pack = self.pack(name)
        encoding = recipe.data.encoding(pack.encoding.n_units)
        packed = replace(encoding, values="count", n_steps=None, max_count=None)
        if packed != pack.encoding:
            raise ValueError(f"{name}: the pack was binned as {pack.encoding}, the recipe wants {packed}")
        train, test = self.cut(name, pack.samples(), fold)
        # Both may be of one part: its name begins the name of what was cut off it.
        frames = [self._whole_frames(name, part.name.rpartition("/")[2])[part.units] for part in (train, test)]
        if encoding.n_steps is None:
            longest = int(np.flatnonzero(frames[0].any((0, 2)))[-1]) + 1
            encoding = replace(encoding, n_steps=longest)
        if encoding.max_count is None:
            largest = 1 if encoding.values == "binary" else int(frames[0][:, : encoding.n_steps].max())
            encoding = replace(encoding, max_count=largest)
        assert encoding.n_steps is not None
        encoding = replace(encoding, ear=train.ear)
        parts = []
        for part, some in zip((train, test), frames, strict=True):
            room = np.zeros((len(some), encoding.n_steps, some.shape[2]), np.uint8)
            kept = min(encoding.n_steps, some.shape[1])
            np.minimum(some[:, :kept], encoding.max_payload, out=room[:, :kept])
            parts.append(Part(torch.from_numpy(room), torch.from_numpy(part.labels)))
        what = f"{name}{'' if fold is None else f', fold {fold}'}: {DESCRIPTION}"
        return TrainingData(parts[0], parts[1], parts[1], encoding, pack.n_classes, what, pack.class_names)

    def _whole_frames(self, name: str, part: str) -> np.ndarray:
        key = (name.partition("-")[0], part)
        if key not in self._whole:
            self._whole[key] = self.pack(name).parts[part].frames()
        return self._whole[key]

    def prepare(self, wanted: Iterable[tuple[Recipe, str, int | None]]) -> None:
        """Make all frames that are wanted."""
        for recipe, name, fold in wanted:
            self.training_data(recipe, name, fold)


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
